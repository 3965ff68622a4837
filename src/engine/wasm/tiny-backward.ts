/** The backward pass of an unrolled step: δ of the layers below, gradients, updates. */
import type { Index } from './assembler.ts';
import { updatedValues } from './backward.ts';
import type { Expression, Sink } from './expression.ts';
import type { TinyLayer } from './tiny-layout.ts';
import { type Columns, laneOf, newColumns, type Step, scalar, sumOfProducts, weight } from './tiny-step.ts';

/** Accumulators that run side by side: as many as there are registers to spare. */
const SIDE_BY_SIDE = 10;

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

/** A gradient in the order of the layer's vectors, and the update of each vector as soon as its sum is there. */
export function emitUpdate(
  step: Step,
  layer: TinyLayer,
  outputsBelow: Columns | null,
  deltas: Columns,
  inputs: Columns,
): void {
  const { layout, records } = step;
  const { input_size: count, units, biases } = layer.layer;
  const bytes = layout.bytesPerNumber;
  const one = biases === null ? [] : ['one' as const];
  if (layer.lanes === 'inputs') {
    const columns = [...(outputsBelow ?? inputs), ...one];
    for (let v = 0; v < layer.vectors; v++) {
      const rows = outputsBelow === null ? recordRows(step, v) : turnedRows(step, columns, v);
      inBlocks(units, (from, to) => {
        const factors = deltas.slice(from, to).map((column) => (sample: number) => laneOf(step, column, sample));
        emitVectors(step, rows, factors, (i) => layer.offset + ((from + i) * layer.vectors + v) * 16);
      });
    }
    return;
  }
  for (let v = 0; v < layer.vectors; v++) {
    const rows = turnedRows(step, deltas, v);
    inBlocks(count + one.length, (from, to) => {
      const factors = Array.from({ length: to - from }, (_, i) => (sample: number): Expression | null => {
        if (from + i === count) return null;
        if (outputsBelow !== null) return laneOf(step, outputsBelow[from + i], sample);
        return step.o.loadSplat(records[sample], layout.records + (from + i) * bytes);
      });
      emitVectors(step, rows, factors, (i) => layer.offset + ((from + i) * layer.vectors + v) * 16);
    });
  }
}

function inBlocks(count: number, body: (from: number, to: number) => void): void {
  for (let from = 0; from < count; from += SIDE_BY_SIDE) body(from, Math.min(from + SIDE_BY_SIDE, count));
}

/** Vector v of every sample's row. */
type Rows = (sample: number) => Expression;

/** Inputs lie in rows already, with a 1 behind them for the bias. */
function recordRows({ o, layout, records }: Step, v: number): Rows {
  return (sample) => o.load(records[sample], layout.records + v * 16);
}

/** Columns v·lanes … of all groups, turned into rows that are kept in locals. */
function turnedRows(step: Step, columns: readonly (readonly Index[] | 'one')[], v: number): Rows {
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

/** For every vector i: g = Σ_sample factor_i(sample)·row(sample), or Σ row where there is no factor; then its update. */
function emitVectors(
  step: Step,
  row: Rows,
  factors: readonly ((sample: number) => Expression | null)[],
  offset: (i: number) => number,
): void {
  const { f, o, rows } = step;
  const sums = factors.map(() => f.local('v128'));
  for (let sample = 0; sample < rows; sample++) {
    o.run(
      sums.map((local, i): Sink => {
        const sum = sample === 0 ? o.constant(0) : o.local(local);
        const factor = factors[i](sample);
        return { value: factor === null ? o.add(sum, row(sample)) : o.mulAdd(factor, row(sample), sum), local };
      }),
      true,
    );
  }
  for (const [i, local] of sums.entries()) updateVector(step, offset(i), o.local(local));
}

function updateVector(step: Step, offset: number, gradient: Expression): void {
  const { o, layout, zero } = step;
  const places = [layout.parameters, ...layout.slots].map((block) => block + offset);
  const before = places.map((place) => o.load(zero, place));
  const values = updatedValues(o, step.rule, before, gradient, (name) => scalar(step, name), true);
  o.run(values.map((value, i) => ({ value, base: zero, offset: places[i] })));
}
