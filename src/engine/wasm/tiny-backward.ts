/** The backward pass of an unrolled step: δ of the layers below, gradients, updates. */
import type { Index } from './assembler.ts';
import { updatedValues } from './backward.ts';
import type { Bits } from './emission.ts';
import type { Expression, Sink } from './expression.ts';
import type { TinyLayer } from './tiny-layout.ts';
import { type Columns, laneOf, newColumns, type Step, scalar, sumOfProducts, weight } from './tiny-step.ts';

/** Accumulators that run side by side: as many as there are registers to spare. */
const SIDE_BY_SIDE = 10;
/** Bits of other code between two terms of a sum; with more, registers run out. */
const BITS_BETWEEN = 2;

/** δ[k] of the layer below = (Σ_unit W[unit][k]·δ[unit])·f'(z[k]) */
export function emitPropagate(
  step: Step,
  layer: TinyLayer,
  below: TinyLayer,
  deltas: Columns,
  z: Columns,
  a: Columns,
): Columns {
  const { o, groups } = step;
  const { entry, options } = below.layer.activation;
  const result = newColumns(step, below.layer.units);
  for (const [k, column] of result.entries()) {
    sumOfProducts(step, column, deltas, (unit) => weight(step, layer, unit, k));
    if (entry.kind === 'rowwise') continue;
    o.run(
      column.map((local, group) => {
        const slope = entry.derivative(o, o.local(z[k][group]), o.local(a[k][group]), options);
        return { value: o.mul(o.local(local), slope), local };
      }),
    );
  }
  if (entry.kind === 'rowwise') {
    for (let group = 0; group < groups; group++) {
      const gradient = result.map((column) => o.local(column[group]));
      const outputs = a.map((column) => o.local(column[group]));
      entry.backward(o, outputs, gradient, 0, gradient.length);
      o.run(gradient.map((value, k) => ({ value, local: result[k][group] })));
    }
  }
  return result;
}

/** What the gradient of one layer is made of; `outputsBelow` is null for the first layer. */
export interface Factors {
  readonly layer: TinyLayer;
  readonly outputsBelow: Columns | null;
  readonly deltas: Columns;
}

/** One vector of a gradient: Σ_sample factor(sample)·row(sample), or Σ row where there is no factor. */
interface GradientVector {
  readonly row: (sample: number) => Expression;
  readonly factor: ((sample: number) => Expression) | null;
  /** Of the vector within its block. */
  readonly offset: number;
}

/**
 * The gradients of all layers and the updates by them. A sum is one chain of additions, sample after sample, which leaves
 * the processor time for what can be done `meanwhile`: it is emitted in between.
 */
export function emitUpdates(step: Step, layers: readonly Factors[], inputs: Columns, meanwhile: Bits): void {
  for (const factors of layers) {
    const vectors = gradientVectors(step, factors, inputs);
    for (let first = 0; first < vectors.length; first += SIDE_BY_SIDE) {
      emitVectors(step, vectors.slice(first, first + SIDE_BY_SIDE), meanwhile);
    }
  }
  for (const _ of meanwhile);
}

/** The vectors of a layer's gradient in the order in which its weights lie. */
function gradientVectors(step: Step, { layer, outputsBelow, deltas }: Factors, inputs: Columns): GradientVector[] {
  const { o, layout, records } = step;
  const { input_size: count, biases } = layer.layer;
  const offset = (row: number, v: number) => layer.offset + (row * layer.vectors + v) * 16;
  const bias = biases === null ? [] : ['one' as const];
  if (layer.lanes === 'inputs') {
    const columns = [...(outputsBelow ?? inputs), ...bias];
    return Array.from({ length: layer.vectors }, (_, v) => {
      const row = outputsBelow === null ? recordRows(step, v) : turnedRows(step, columns, v);
      return deltas.map((column, unit) => {
        return { row, factor: (sample: number) => laneOf(step, column, sample), offset: offset(unit, v) };
      });
    }).flat();
  }
  const factorOf = (input: number) => {
    if (input === count) return null;
    if (outputsBelow !== null) return (sample: number) => laneOf(step, outputsBelow[input], sample);
    return (sample: number) => o.loadSplat(records[sample], layout.records + input * layout.bytesPerNumber);
  };
  return Array.from({ length: layer.vectors }, (_, v) => {
    const row = turnedRows(step, deltas, v);
    return Array.from({ length: count + bias.length }, (_, input) => {
      return { row, factor: factorOf(input), offset: offset(input, v) };
    });
  }).flat();
}

/** Vector v of every sample's inputs, which lie in rows already, with a 1 behind them for the bias. */
function recordRows({ o, layout, records }: Step, v: number): GradientVector['row'] {
  return (sample) => o.load(records[sample], layout.records + v * 16);
}

/** Columns v·lanes … of all groups, turned into rows that are kept in locals. */
function turnedRows(step: Step, columns: readonly (readonly Index[] | 'one')[], v: number): GradientVector['row'] {
  const { f, o, layout, groups } = step;
  const locals = Array.from({ length: groups * layout.lanes }, () => f.local('v128'));
  for (let group = 0; group < groups; group++) {
    const square = Array.from({ length: layout.lanes }, (_, i): Expression => {
      const column = columns[v * layout.lanes + i];
      if (column === undefined) return o.constant(0);
      return column === 'one' ? o.constant(1) : o.local(column[group]);
    });
    o.run(o.transpose(square).map((value, lane) => ({ value, local: locals[group * layout.lanes + lane] })));
  }
  return (sample) => o.local(locals[sample]);
}

/** Sums vectors side by side, and updates each of them. */
function emitVectors(step: Step, vectors: readonly GradientVector[], meanwhile: Bits): void {
  const { f, o, rows } = step;
  const sums = vectors.map(() => f.local('v128'));
  for (let sample = 0; sample < rows; sample++) {
    o.run(
      vectors.map(({ row, factor }, i): Sink => {
        const sum = sample === 0 ? o.constant(0) : o.local(sums[i]);
        const value = factor === null ? o.add(sum, row(sample)) : o.mulAdd(factor(sample), row(sample), sum);
        return { value, local: sums[i] };
      }),
      true,
    );
    for (let i = 0; i < BITS_BETWEEN; i++) meanwhile.next();
  }
  for (const [i, { offset }] of vectors.entries()) updateVector(step, offset, o.local(sums[i]));
}

function updateVector(step: Step, offset: number, gradient: Expression): void {
  const { o, layout, zero } = step;
  const places = [layout.parameters, ...layout.slots].map((block) => block + offset);
  const before = places.map((place) => o.load(zero, place));
  const values = updatedValues(o, step.rule, before, gradient, (name) => scalar(step, name), true);
  o.run(values.map((value, i) => ({ value, base: zero, offset: places[i] })));
}
