/** Parameters on the wire and in the engine: nested arrays per layer, and one flat buffer. */
import type { Divergence, FloatArray, Plan, PlannedLayer, TensorSlice } from './backend.ts';
import type { LayerParameters, Parameters } from './definition.ts';
import type { InitialParameters } from './plan.ts';

export type TensorName = keyof LayerParameters;
export type TrainedTensorName = NonNullable<Divergence['tensor']>;

/** A tensor of a layer, by its name on the wire. */
export interface NamedTensor<Name extends string = TensorName> {
  readonly name: Name;
  readonly slice: TensorSlice;
}

/** The trained tensors of a layer, in the order of the parameter buffer. */
export function trainedTensors({
  weights,
  biases,
  normalization,
}: PlannedLayer): readonly NamedTensor<TrainedTensorName>[] {
  const tensors: NamedTensor<TrainedTensorName>[] = [{ name: 'weights', slice: weights }];
  if (biases !== null) tensors.push({ name: 'biases', slice: biases });
  if (normalization !== null) {
    tensors.push({ name: 'gamma', slice: normalization.gamma }, { name: 'beta', slice: normalization.beta });
  }
  return tensors;
}

/** The untrained tensors of a layer, slices of the statistics buffer. */
export function statisticTensors({ normalization }: PlannedLayer): readonly NamedTensor[] {
  const tensors: NamedTensor[] = [];
  if (normalization?.running_mean) tensors.push({ name: 'running_mean', slice: normalization.running_mean });
  if (normalization?.running_variance)
    tensors.push({ name: 'running_variance', slice: normalization.running_variance });
  return tensors;
}

/** Something on the wire that does not fit the plan. */
export interface ParameterProblem {
  /** RFC 6901 pointer into the parameters: `/layers/0/weights/2`. */
  readonly path: string;
  /** Shape, as `[3, 4]`, or kind of value that belongs there. */
  readonly expected: string;
  readonly found: string;
}

/** The parameters do not fit the network; `problems` names every place. */
export class ParameterShapeError extends Error {
  readonly problems: readonly ParameterProblem[];

  constructor(problems: readonly ParameterProblem[]) {
    super(problems.map(({ path, expected, found }) => `${path}: expected ${expected}, found ${found}`).join('; '));
    this.name = 'ParameterShapeError';
    this.problems = problems;
  }
}

/** What a tensor becomes that may be left out: running statistics start at mean 0 and variance 1. */
const defaults: Partial<Record<TensorName, number>> = { running_mean: 0, running_variance: 1 };

/** Flat buffers → wire. Values are those of the buffers, rounded no further. Gradients have the same shape. */
export function toWire(plan: Plan, parameters: FloatArray, statistics: FloatArray | null = null): Parameters {
  const layers = plan.layers.map((layer) => {
    const wire: Record<string, unknown> = {};
    for (const { name, slice } of trainedTensors(layer)) wire[name] = nested(parameters, slice);
    if (statistics !== null)
      for (const { name, slice } of statisticTensors(layer)) wire[name] = nested(statistics, slice);
    return wire as unknown as LayerParameters;
  });
  return { layers };
}

/** A vector as an array, a matrix as an array of rows. */
function nested(values: FloatArray, { offset, length, shape }: TensorSlice): number[] | number[][] {
  if (shape.length === 1) return Array.from(values.subarray(offset, offset + length));
  const [rows, columns] = shape;
  return Array.from({ length: rows }, (_, row) => {
    const start = offset + row * columns;
    return Array.from(values.subarray(start, start + columns));
  });
}

/**
 * Wire → flat buffers, rounded once to the plan's precision. Running statistics may be left out.
 * @throws {ParameterShapeError} naming path, expected shape and found shape of everything that does not fit
 */
export function fromWire(plan: Plan, wire: Parameters): InitialParameters {
  const FloatArrayOf = plan.precision === 'float64' ? Float64Array : Float32Array;
  const parameters = new FloatArrayOf(plan.parameter_count);
  const statistics = new FloatArrayOf(plan.statistic_count);
  const problems: ParameterProblem[] = [];
  if (wire.layers.length !== plan.layers.length) {
    const [expected, found] = [plan.layers.length, wire.layers.length].map((count) => `${count} layers`);
    throw new ParameterShapeError([{ path: '/layers', expected, found }]);
  }
  for (const [index, layer] of plan.layers.entries()) {
    const given: Readonly<Record<string, unknown>> = { ...wire.layers[index] };
    const path = `/layers/${index}`;
    const [trained, untrained] = [trainedTensors(layer), statisticTensors(layer)];
    for (const tensor of trained) readTensor(tensor, given, path, parameters, problems);
    for (const tensor of untrained) readTensor(tensor, given, path, statistics, problems);
    const known = new Set<string>([...trained, ...untrained].map(({ name }) => name));
    for (const name of Object.keys(given)) {
      if (known.has(name) || given[name] === undefined) continue;
      problems.push({
        path: `${path}/${name}`,
        expected: 'nothing: the layer has no such tensor',
        found: describe(given[name]),
      });
    }
  }
  if (problems.length > 0) throw new ParameterShapeError(problems);
  return { parameters, statistics };
}

function readTensor(
  { name, slice }: NamedTensor,
  given: Readonly<Record<string, unknown>>,
  layerPath: string,
  buffer: FloatArray,
  problems: ParameterProblem[],
): void {
  const value = given[name];
  const fallback = defaults[name];
  if (value === undefined && fallback !== undefined) buffer.fill(fallback, slice.offset, slice.offset + slice.length);
  else readArray(value, slice.shape, slice.offset, `${layerPath}/${name}`, buffer, problems);
}

/** Copies an array of the given shape into the buffer at `offset`, or notes what is wrong with it. */
function readArray(
  value: unknown,
  shape: readonly number[],
  offset: number,
  path: string,
  buffer: FloatArray,
  problems: ParameterProblem[],
): void {
  const [size, ...inner] = shape;
  if (!Array.isArray(value) || value.length !== size) {
    problems.push({ path, expected: `[${shape.join(', ')}]`, found: describe(value) });
    return;
  }
  const stride = inner.reduce((product, n) => product * n, 1);
  for (const [i, entry] of value.entries()) {
    if (inner.length > 0) readArray(entry, inner, offset + i * stride, `${path}/${i}`, buffer, problems);
    else if (Number.isFinite(entry) && Number.isFinite(rounded(buffer, offset + i, entry))) continue;
    else problems.push({ path: `${path}/${i}`, expected: 'a finite number', found: describe(entry) });
  }
}

/** Stores a number and gives it back as the buffer holds it: 1e39 is infinite in float32. */
function rounded(buffer: FloatArray, index: number, value: number): number {
  buffer[index] = value;
  return buffer[index];
}

/** The shape of arrays, as far as their first entries show it; the value or kind of anything else. */
function describe(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (typeof value === 'number' || value === null) return String(value);
  if (!Array.isArray(value)) return typeof value;
  const shape: number[] = [];
  for (let level: unknown = value; Array.isArray(level); level = level[0]) shape.push(level.length);
  return `[${shape.join(', ')}]`;
}

/** Trained values, then running statistics, as little-endian bytes in the plan's precision: what a hash is taken of. */
export function parameterBytes(plan: Plan, parameters: FloatArray, statistics: FloatArray): Uint8Array {
  const double = plan.precision === 'float64';
  const size = double ? 8 : 4;
  const bytes = new Uint8Array((parameters.length + statistics.length) * size);
  const view = new DataView(bytes.buffer);
  let position = 0;
  for (const values of [parameters, statistics]) {
    for (let i = 0; i < values.length; i++, position += size) {
      if (double) view.setFloat64(position, values[i], true);
      else view.setFloat32(position, values[i], true);
    }
  }
  return bytes;
}
