/** What every part of an unrolled step is emitted from: columns of values in locals, a lane per sample. */
import type { FunctionBuilder, Index } from './assembler.ts';
import type { UpdateRule } from './backward.ts';
import type { Expression } from './expression.ts';
import type { Lanes } from './lanes.ts';
import { type TinyLayer, type TinyLayout, weightOffset } from './tiny-layout.ts';

/** Locals of one layer's values, [unit][group of samples]. */
export type Columns = readonly (readonly Index[])[];

export interface Step {
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

export const newColumns = ({ f, groups }: Step, units: number): Index[][] =>
  Array.from({ length: units }, () => Array.from({ length: groups }, () => f.local('v128')));

/** Columns of the samples' records from byte `offset` on, `count` of them, for one group. */
export function recordColumns(
  { o, layout, records }: Step,
  group: number,
  offset: number,
  count: number,
): Expression[] {
  const columns: Expression[] = [];
  for (let first = 0; first < count; first += layout.lanes) {
    const rows = Array.from({ length: layout.lanes }, (_, lane) =>
      o.load(records[group * layout.lanes + lane], layout.records + offset + first * layout.bytesPerNumber),
    );
    columns.push(...o.transpose(rows));
  }
  return columns.slice(0, count);
}

/** One weight in every lane. */
export function weight({ o, layout, zero }: Step, layer: TinyLayer, unit: number, input: number): Expression {
  return o.loadSplat(zero, layout.parameters + weightOffset(layer, layout.bytesPerNumber, unit, input));
}

/** A number of this step in every lane. */
export function scalar({ o, layout, scalars }: Step, name: string): Expression {
  return o.loadSplat(scalars, layout.scalarNames.indexOf(name) * layout.bytesPerNumber);
}

/** target[group] = Σ_k factor(k)·columns[k][group], k ascending from 0. */
export function sumOfProducts(
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

/** One sample of a column in every lane. */
export function laneOf({ o, layout }: Step, column: readonly Index[], sample: number): Expression {
  return o.broadcast(o.local(column[Math.floor(sample / layout.lanes)]), sample % layout.lanes);
}
