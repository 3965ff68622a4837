/**
 * The tiny strategy: whole steps of a small network as one function without inner loops. A lane is a sample; every
 * weight, unit and group of samples is unrolled; activations stay in locals. One call runs many steps.
 *
 * The order of every sum is that of the reference: the gradients' sums over the samples take one sample after the
 * other, which is why activations or deltas are turned from columns into rows first.
 */
import type { ArithmeticMode } from '../definition.ts';
import type { FunctionBuilder } from './assembler.ts';
import { type Index, ModuleBuilder } from './assembler.ts';
import { type UpdateRule, updatedValues } from './backward.ts';
import { type Expression, Lanes, type Sink } from './expression.ts';
import { poisoned } from './kernel.ts';
import { emitRow } from './output.ts';
import { type TinyLayer, type TinyLayout, weightOffset } from './tiny-layout.ts';

/** Locals of one layer's values, [unit][group of samples]. */
type Columns = readonly (readonly Index[])[];

interface Step {
  readonly f: FunctionBuilder;
  readonly o: Lanes;
  readonly layout: TinyLayout;
  readonly rule: UpdateRule;
  readonly weighted: boolean;
  readonly rows: number;
  readonly groups: number;
  /** Address of every sample's record. */
  readonly records: readonly Index[];
  /** Address of the step's scalars. */
  readonly scalars: Index;
  readonly loss: Index;
  /** Always 0. */
  readonly zero: Index;
}

/** Activations that are computed side by side. */
const CHAINS = 3;

/** Accumulators that run side by side: as many as there are registers to spare. */
const SIDE_BY_SIDE = 10;

export interface TinyModuleOptions {
  readonly rule: UpdateRule;
  readonly mode: ArithmeticMode;
  readonly weighted: boolean;
  /** Samples in every batch that the function runs. */
  readonly rows: number;
}

/** The bytes of a module whose `run(steps)` carries out steps on batches of `rows` samples. */
export function emitTiny(
  layout: TinyLayout,
  { rule, mode, weighted, rows }: TinyModuleOptions,
): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder({ module: 'engine', name: 'memory', minimum: 1 });
  const steps: Index = 0;
  const body = (f: FunctionBuilder) => {
    const [order, scalars, loss, zero] = [f.local('i32'), f.local('i32'), f.local('i32'), f.local('i32')];
    const o = new Lanes(f, layout.plan.precision, mode);
    const groups = Math.ceil(rows / layout.lanes);
    const records = Array.from({ length: groups * layout.lanes }, () => f.local('i32'));
    f.i32(layout.order).set(order).i32(layout.scalars).set(scalars).i32(layout.losses).set(loss);
    f.get(steps);
    f.if(() =>
      f.loop(() => {
        for (const [sample, record] of records.entries()) {
          // Lanes without a sample repeat the first one; nothing sums over them.
          f.get(order).memory('i32.load', (sample < rows ? sample : 0) * 4);
          f.i32(layout.recordBytes).op('i32.mul').set(record);
        }
        emitStep({ f, o, layout, rule, weighted, rows, groups, records, scalars, loss, zero });
        f.increment(order, rows * 4).increment(scalars, layout.scalarNames.length * layout.bytesPerNumber);
        f.increment(loss, layout.bytesPerNumber).increment(steps, -1).get(steps).brIf(0);
      }),
    );
  };
  module.function(['i32'], [], body, 'run');
  return module.encode();
}

function emitStep(step: Step): void {
  const { layout } = step;
  const inputs = inputColumns(step);
  const outputs: Columns[] = [];
  const preActivations: Columns[] = [];
  for (const [index, layer] of layout.layers.entries()) {
    const z = emitAffine(step, layer, index === 0 ? inputs : outputs[index - 1]);
    preActivations.push(z);
    if (index < layout.layers.length - 1) outputs.push(emitActivation(step, layer, z));
  }
  const last = layout.layers.length - 1;
  const deltas: Columns[] = [];
  const { delta, emitLoss } = emitOutput(step, preActivations[last]);
  deltas[last] = delta;
  for (let index = last - 1; index >= 0; index--) {
    const [above, layer] = [layout.layers[index + 1], layout.layers[index]];
    deltas[index] = emitPropagate(step, above, layer, deltas[index + 1], preActivations[index], outputs[index]);
  }
  // The next step begins with the first layer's weights; all that comes after their update overlaps with it.
  for (const [index, layer] of layout.layers.entries()) {
    emitUpdate(step, layer, index === 0 ? null : outputs[index - 1], deltas[index], inputs);
  }
  emitLoss();
}

const newColumns = ({ f, groups }: Step, units: number): Index[][] =>
  Array.from({ length: units }, () => Array.from({ length: groups }, () => f.local('v128')));

/** Columns of the samples' records from byte `offset` on, `count` of them, for one group. */
function recordColumns({ o, layout, records }: Step, group: number, offset: number, count: number): Expression[] {
  const columns: Expression[] = [];
  for (let first = 0; first < count; first += layout.lanes) {
    const rows = Array.from({ length: layout.lanes }, (_, lane) =>
      o.load(records[group * layout.lanes + lane], layout.records + offset + first * layout.bytesPerNumber),
    );
    columns.push(...o.transpose(rows));
  }
  return columns.slice(0, count);
}

function inputColumns(step: Step): Columns {
  const { o, layout, groups } = step;
  const locals = newColumns(step, layout.plan.input_size);
  o.runSideBySide(
    Array.from({ length: groups }, (_, group) => {
      const columns = recordColumns(step, group, 0, layout.plan.input_size);
      return columns.map((value, k) => ({ value, local: locals[k][group] }));
    }),
  );
  return locals;
}

/** One weight in every lane. */
function weight({ o, layout, zero }: Step, layer: TinyLayer, unit: number, input: number): Expression {
  return o.loadSplat(zero, layout.parameters + weightOffset(layer, layout.bytesPerNumber, unit, input));
}

/** z[unit] = Σ_k W[unit][k]·a[k] + b[unit] */
function emitAffine(step: Step, layer: TinyLayer, inputs: Columns): Columns {
  const { o } = step;
  const z = newColumns(step, layer.layer.units);
  for (const [unit, column] of z.entries()) {
    sumOfProducts(step, column, inputs, (k) => weight(step, layer, unit, k));
    if (layer.layer.biases === null) continue;
    const bias = weight(step, layer, unit, layer.layer.input_size);
    o.run(column.map((local) => ({ value: o.add(o.local(local), bias), local })));
  }
  return z;
}

/** target[group] = Σ_k factor(k)·columns[k][group], k ascending from 0. */
function sumOfProducts(
  { o }: Step,
  target: readonly Index[],
  columns: Columns,
  factor: (k: number) => Expression,
): void {
  for (const [k, column] of columns.entries()) {
    o.run(
      target.map((local, group) => {
        const sum = k === 0 ? o.constant(0) : o.local(local);
        return { value: o.mulAdd(factor(k), o.local(column[group]), sum), local };
      }),
    );
  }
}

function emitActivation(step: Step, { layer }: TinyLayer, z: Columns): Columns {
  const { o, groups } = step;
  const { entry, options } = layer.activation;
  const a = newColumns(step, layer.units);
  const sink = (value: Expression, unit: number, group: number): Sink => {
    return { value: poisoned(o, value, o.local(z[unit][group])), local: a[unit][group] };
  };
  if (entry.kind === 'rowwise') {
    o.runSideBySide(
      Array.from({ length: groups }, (_, group) => {
        const outputs: Expression[] = [];
        const inputs = z.map((column) => o.local(column[group]));
        entry.forward(o, inputs, outputs, 0, layer.units);
        return outputs.map((value, unit) => sink(value, unit, group));
      }),
    );
    return a;
  }
  const places = z.flatMap((column, unit) => column.map((local, group) => ({ local, unit, group })));
  for (let first = 0; first < places.length; first += CHAINS) {
    o.runSideBySide(
      places.slice(first, first + CHAINS).map(({ local, unit, group }) => {
        return [sink(entry.forward(o, o.local(local), options), unit, group)];
      }),
    );
  }
  return a;
}

/** δ of the output layer, weighted and reduced; and what stores the loss of the batch, on which nothing waits. */
function emitOutput(step: Step, z: Columns): { delta: Columns; emitLoss: () => void } {
  const { f, o, layout, groups } = step;
  const labels = layout.plan.loss.entry.target_domain.kind === 'label';
  const deltas = newColumns(step, z.length);
  const losses = Array.from({ length: groups }, () => f.local('v128'));
  const sinks = Array.from({ length: groups }, (_, group): { deltas: Sink[]; loss: Sink[] } => {
    const targets = recordColumns(step, group, layout.targets, labels ? 1 : z.length);
    const row = emitRow(
      o,
      layout,
      z.map((column) => o.local(column[group])),
      targets,
    );
    const [rowWeight] = step.weighted ? recordColumns(step, group, layout.weight, 1) : [null];
    const factor = rowWeight === null ? scalar(step, 'scale') : o.mul(scalar(step, 'scale'), rowWeight);
    return {
      deltas: row.deltas.map((delta, k) => ({ value: o.mul(factor, delta), local: deltas[k][group] })),
      loss: [{ value: rowWeight === null ? row.loss : o.mul(rowWeight, row.loss), local: losses[group] }],
    };
  });
  const emitRowLosses = o.runSideBySide(
    sinks.map((sink) => sink.deltas),
    sinks.map((sink) => sink.loss),
  );
  const emitLoss = () => {
    emitRowLosses();
    storeLoss(step, losses);
  };
  return { delta: deltas, emitLoss };
}

/** Stores scale·Σ of the rows' losses, rows ascending. */
function storeLoss(step: Step, losses: readonly Index[]): void {
  const { f, o, layout, rows } = step;
  let sum = o.constant(0);
  for (let sample = 0; sample < rows; sample++) sum = o.add(sum, laneOf(step, losses, sample));
  const total = f.local('v128');
  o.run([{ value: o.add(o.mul(scalar(step, 'scale'), sum), o.constant(0)), local: total }]);
  const type = layout.bytesPerNumber === 4 ? 'f32' : 'f64';
  f.get(step.loss).get(total).lane(`${o.shape.float}.extract_lane`, 0).memory(`${type}.store`);
}

/** A number of this step in every lane. */
function scalar({ o, layout, scalars }: Step, name: string): Expression {
  return o.loadSplat(scalars, layout.scalarNames.indexOf(name) * layout.bytesPerNumber);
}

/** δ[k] of the layer below = (Σ_unit W[unit][k]·δ[unit])·f'(z[k]) */
function emitPropagate(
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
function emitUpdate(
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

function laneOf({ o, layout }: Step, column: readonly Index[], sample: number): Expression {
  return o.broadcast(o.local(column[Math.floor(sample / layout.lanes)]), sample % layout.lanes);
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
