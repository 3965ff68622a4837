/** What a client computed: tensors of one kind, brought into the engine's order from whatever order they were sent in. */
import type { FloatArray, Plan, PlannedLayer } from '../backend.ts';
import { type ParameterProblem, type TensorName, trainedTensors } from '../parameters.ts';

export const observedKinds = ['gradients', 'activations', 'parameters_after'] as const;
export type ObservedKind = (typeof observedKinds)[number];

/** One tensor, row-major: activations [rows, units], the others in their parameter's shape. */
export interface Observed {
  /** 1-based. */
  readonly layer: number;
  readonly tensor: TensorName | 'activations';
  readonly shape: readonly number[];
  readonly values: Float64Array;
  /** Where the tensor begins in the parameter buffer; 0 for activations. */
  readonly offset: number;
}

/** All tensors under one reading of the order of their axes; in the order in which a difference shows first. */
export interface Reading {
  readonly tensors: readonly Observed[];
  readonly notes: readonly string[];
}

/** What stands at each layer: an object of tensors, a matrix of activations, or nothing. */
export type SentLayers = readonly unknown[];

export interface Reader {
  readonly plan: Plan;
  readonly rows: number;
  readonly kind: ObservedKind;
  readonly layers: SentLayers;
}

interface Place {
  readonly layer: number;
  readonly tensor: Observed['tensor'];
  readonly shape: readonly number[];
  readonly offset: number;
  readonly path: string;
  readonly sent: unknown;
}

type Axes = 'as_given' | 'swapped';

/**
 * The readings of what was sent: one, or two where only square matrices leave open which axis comes first.
 * Problems name every tensor that fits no reading.
 */
export function readObservations(reader: Reader): {
  readonly readings: readonly Reading[];
  readonly problems: readonly ParameterProblem[];
} {
  const { places, problems } = findPlaces(reader);
  const parsed = places.map((place) => ({ place, array: arrayOf(place.sent) }));
  for (const { place, array } of parsed) {
    if (array === null || !fits(array.shape, place.shape)) problems.push(misfit(place, array));
  }
  if (places.length === 0 && problems.length === 0) {
    problems.push({ path: '/layers', expected: 'at least one tensor', found: 'none' });
  }
  if (problems.length > 0) return { readings: [], problems };
  const arrays = parsed as readonly { place: Place; array: SentArray }[];
  const known = arrays.map(({ place, array }) => axesOf(array.shape, place.shape)).filter((axes) => axes !== 'open');
  const open = arrays.some(({ place, array }) => axesOf(array.shape, place.shape) === 'open');
  const usual: Axes = known.includes('swapped') ? 'swapped' : 'as_given';
  const other: Axes = usual === 'swapped' ? 'as_given' : 'swapped';
  const choices = open ? [usual, other] : [usual];
  return { readings: choices.map((choice) => readingOf(reader.kind, arrays, choice)), problems };
}

function findPlaces({ plan, rows, kind, layers }: Reader): { places: Place[]; problems: ParameterProblem[] } {
  const problems: ParameterProblem[] = [];
  if (layers.length > plan.layers.length) {
    const [expected, found] = [plan.layers.length, layers.length].map((count) => `${count} layers`);
    problems.push({ path: '/layers', expected, found });
  }
  const inOrder = kind === 'activations' ? plan.layers : plan.layers.toReversed();
  const places = inOrder.flatMap((layer): Place[] => {
    const index = layer.number - 1;
    const sent = layers[index];
    if (sent === undefined || sent === null) return [];
    const path = `/layers/${index}`;
    if (kind !== 'activations') return tensorPlaces(layer, sent, path, problems);
    const shape = [rows, layer.units];
    return [{ layer: layer.number, tensor: 'activations', shape, offset: 0, path, sent }];
  });
  return { places, problems };
}

function tensorPlaces(layer: PlannedLayer, sent: unknown, path: string, problems: ParameterProblem[]): Place[] {
  if (typeof sent !== 'object' || Array.isArray(sent)) {
    problems.push({ path, expected: 'an object of tensors', found: Array.isArray(sent) ? 'an array' : typeof sent });
    return [];
  }
  const given = sent as Readonly<Record<string, unknown>>;
  const tensors = trainedTensors(layer);
  for (const name of Object.keys(given)) {
    if (tensors.some((tensor) => tensor.name === name)) continue;
    problems.push({ path: `${path}/${name}`, expected: 'nothing: the layer has no such tensor', found: name });
  }
  return tensors
    .filter(({ name }) => given[name] !== undefined && given[name] !== null)
    .map(({ name, slice: { offset, shape } }) => ({
      layer: layer.number,
      tensor: name,
      shape,
      offset,
      path: `${path}/${name}`,
      sent: given[name],
    }));
}

interface SentArray {
  readonly shape: readonly number[];
  readonly values: readonly number[];
}

/** JSON has no NaN: strings stand for what is not finite, and JavaScript writes null for all of it. */
const notFinite: ReadonlyMap<unknown, number> = new Map([
  ['NaN', Number.NaN],
  ['Infinity', Number.POSITIVE_INFINITY],
  ['-Infinity', Number.NEGATIVE_INFINITY],
  [null, Number.NaN],
]);

/** The numbers, or null where something is none. */
function numbersOf(values: readonly unknown[]): readonly number[] | null {
  const numbers = values.map((value) => notFinite.get(value) ?? value);
  return numbers.every((value) => typeof value === 'number') ? numbers : null;
}

/** A vector or matrix of numbers, or null. */
function arrayOf(sent: unknown): SentArray | null {
  if (!Array.isArray(sent) || sent.length === 0) return null;
  if (!Array.isArray(sent[0])) {
    const values = numbersOf(sent);
    return values && { shape: [sent.length], values };
  }
  const columns = sent[0].length;
  if (!sent.every((row) => Array.isArray(row) && row.length === columns)) return null;
  const values = numbersOf(sent.flat());
  return values && { shape: [sent.length, columns], values };
}

/** Equal, transposed, or a vector written as a column or row. */
function fits(sent: readonly number[], wanted: readonly number[]): boolean {
  if (wanted.length === 1)
    return sent.length === 1 ? sent[0] === wanted[0] : isLine(sent) && product(sent) === wanted[0];
  return sent.length === 2 && axesOf(sent, wanted) !== null;
}

const product = (shape: readonly number[]) => shape.reduce((total, size) => total * size, 1);
const isLine = (shape: readonly number[]) => shape.includes(1);

/** Which axis comes first in a matrix; open when it is square; null when the sizes fit neither way. */
function axesOf([first, second]: readonly number[], wanted: readonly number[]): Axes | 'open' | null {
  if (wanted.length === 1) return 'as_given';
  const [rows, columns] = wanted;
  if (first === rows && second === columns) return rows === columns && rows > 1 ? 'open' : 'as_given';
  return first === columns && second === rows ? 'swapped' : null;
}

function misfit({ path, shape }: Place, array: SentArray | null): ParameterProblem {
  const swapped = shape.length === 2 ? ` or [${shape.toReversed().join(', ')}]` : '';
  const found = array === null ? 'something that is no array of numbers' : `[${array.shape.join(', ')}]`;
  return { path, expected: `[${shape.join(', ')}]${swapped}`, found };
}

function readingOf(
  kind: ObservedKind,
  arrays: readonly { readonly place: Place; readonly array: SentArray }[],
  choice: Axes,
): Reading {
  let [swapped, lines] = [false, false];
  const tensors = arrays.map(({ place: { layer, tensor, shape, offset }, array }): Observed => {
    const axes = axesOf(array.shape, shape);
    const swap = shape.length === 2 && (axes === 'open' ? choice : axes) === 'swapped';
    swapped ||= swap;
    lines ||= array.shape.length > shape.length;
    return { layer, tensor, shape, offset, values: swap ? transpose(array) : Float64Array.from(array.values) };
  });
  const notes: string[] = [];
  if (swapped && kind === 'activations') notes.push('The activations were read features first, as [units][rows].');
  if (swapped && kind !== 'activations') notes.push('The weights were read as [inputs][units], the transpose of ours.');
  if (lines) notes.push('Vectors written as columns or rows of a matrix were read as vectors.');
  return { tensors, notes };
}

/** [a][b] → [b][a] */
function transpose({ shape: [rows, columns], values }: SentArray): Float64Array {
  return Float64Array.from({ length: values.length }, (_, i) => values[(i % rows) * columns + Math.floor(i / rows)]);
}

/** The part of a flat buffer that a tensor stands for. */
export const partOf = (buffer: FloatArray, { offset, values }: Observed): FloatArray =>
  buffer.subarray(offset, offset + values.length);
