/**
 * Where everything lies in the memory of a network compiled by the tiny strategy.
 *
 * Weights are read one by one, into every lane, so they may lie in any order; they are updated four (or two) at a time,
 * so they lie as their gradients arise: with the inputs of a unit side by side, or with the units of an input.
 */
import type { FloatArray, Plan, PlannedLayer } from '../backend.ts';
import { shapes } from './lane-shape.ts';

/** Weights and biases of one layer in vectors: `outer` rows of `vectors` vectors. Bytes within the block. */
export interface TinyLayer {
  readonly layer: PlannedLayer;
  /** `inputs`: a row per unit, the bias after the last weight. `units`: a row per input, the biases in a last row. */
  readonly lanes: 'inputs' | 'units';
  readonly offset: number;
  readonly vectors: number;
}

export interface TinyLayout {
  readonly plan: Plan;
  readonly bytesPerNumber: 4 | 8;
  readonly lanes: 2 | 4;
  readonly layers: readonly TinyLayer[];
  readonly blockBytes: number;
  readonly parameters: number;
  readonly slots: readonly number[];
  /** Per step: `scale` and the optimizer's scalars, side by side. */
  readonly scalars: number;
  readonly scalarNames: readonly string[];
  readonly order: number;
  readonly losses: number;
  /** Rows of the data: inputs, a 1, padding; targets, padding; weight, padding. */
  readonly records: number;
  readonly recordBytes: number;
  /** Within a record, in bytes. */
  readonly targets: number;
  readonly weight: number;
}

/** Steps that run in one call at most. */
export const CHUNK_STEPS = 512;

const roundUp = (value: number, multiple: number) => Math.ceil(value / multiple) * multiple;

export interface TinyOptions {
  readonly plan: Plan;
  readonly slots: number;
  readonly scalarNames: readonly string[];
  readonly batch: number;
}

export function createTinyLayout({ plan, slots, scalarNames, batch }: TinyOptions): TinyLayout {
  const { bytes, lanes } = shapes[plan.precision];
  let block = 0;
  const layers = plan.layers.map((layer): TinyLayer => {
    const placed = orientation(layer, lanes, batch);
    const offset = block;
    block += placed.rows * placed.vectors * 16;
    return { layer, lanes: placed.lanes, offset, vectors: placed.vectors };
  });
  let end = 64;
  const take = (size: number) => {
    const place = end;
    end = roundUp(end + size, 64);
    return place;
  };
  const blockBytes = roundUp(block, 64);
  const targetCount = plan.loss.entry.target_domain.kind === 'label' ? 1 : plan.output_size;
  const targets = roundUp(plan.input_size + 1, lanes) * bytes;
  const weight = targets + roundUp(targetCount, lanes) * bytes;
  return {
    plan,
    bytesPerNumber: bytes,
    lanes,
    layers,
    blockBytes,
    parameters: take(blockBytes),
    slots: Array.from({ length: slots }, () => take(blockBytes)),
    scalars: take(CHUNK_STEPS * scalarNames.length * bytes),
    scalarNames,
    order: take(CHUNK_STEPS * batch * 4),
    losses: take(CHUNK_STEPS * bytes),
    records: take(0),
    recordBytes: weight + 16,
    targets,
    weight,
  };
}

/** The order of a layer's weights in which its gradient takes fewer instructions. */
function orientation({ input_size: inputs, units, biases }: PlannedLayer, lanes: number, batch: number) {
  const bias = biases === null ? 0 : 1;
  const groups = Math.ceil(batch / lanes);
  const inputVectors = Math.ceil((inputs + bias) / lanes);
  const unitVectors = Math.ceil(units / lanes);
  // A broadcast and a multiply-add per vector and sample; two shuffles per vector of columns that is turned into rows.
  const alongInputs = 2 * batch * units * inputVectors + 2 * lanes * groups * inputVectors;
  const alongUnits = batch * unitVectors * (2 * inputs + bias) + 2 * lanes * groups * unitVectors;
  return alongInputs <= alongUnits
    ? { lanes: 'inputs' as const, rows: units, vectors: inputVectors }
    : { lanes: 'units' as const, rows: inputs + bias, vectors: unitVectors };
}

/** Byte offset of a weight within the block; the bias of a unit is its weight number `input_size`. */
export function weightOffset(
  { lanes, offset, vectors }: TinyLayer,
  bytes: number,
  unit: number,
  input: number,
): number {
  const [row, position] = lanes === 'inputs' ? [unit, input] : [input, unit];
  return offset + row * vectors * 16 + position * bytes;
}

/** Copies between a flat parameter buffer and a block in memory, in either direction. */
export function copyTinyBlock(
  layout: TinyLayout,
  numbers: FloatArray,
  block: number,
  flat: FloatArray,
  direction: 'in' | 'out',
): void {
  const bytes = layout.bytesPerNumber;
  const copy = (place: number, position: number) => {
    if (direction === 'in') numbers[place] = flat[position];
    else flat[position] = numbers[place];
  };
  for (const tiny of layout.layers) {
    const { weights, biases, input_size: inputs, units } = tiny.layer;
    for (let unit = 0; unit < units; unit++) {
      for (let k = 0; k < inputs; k++) {
        copy((block + weightOffset(tiny, bytes, unit, k)) / bytes, weights.offset + unit * inputs + k);
      }
      if (biases !== null) copy((block + weightOffset(tiny, bytes, unit, inputs)) / bytes, biases.offset + unit);
    }
  }
}
