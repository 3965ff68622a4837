/** What every kernel of the tiles strategy is built from: the module, the layout, the arithmetic. */
import type { ArithmeticMode } from '../definition.ts';
import type { FunctionBuilder, Index, ModuleBuilder } from './assembler.ts';
import { type Expression, Lanes } from './expression.ts';
import type { NetworkLayout, Rows } from './layout.ts';

export interface KernelContext {
  readonly module: ModuleBuilder;
  readonly layout: NetworkLayout;
  readonly mode: ArithmeticMode;
}

/** A function of the module under construction, with its parameter (the rows of the batch) and its lanes. */
export interface Kernel {
  readonly f: FunctionBuilder;
  readonly o: Lanes;
  /** Rows of the batch. */
  readonly count: Index;
  /** Always 0: the base of constant addresses. */
  readonly zero: Index;
}

/** Adds a function of the number of rows; returns its index. */
export function addKernel(
  { module, layout, mode }: KernelContext,
  emit: (kernel: Kernel) => void,
  name?: string,
): Index {
  const body = (f: FunctionBuilder) =>
    emit({ f, o: new Lanes(f, layout.plan.precision, mode), count: 0, zero: f.local('i32') });
  return module.function(['i32'], [], body, name);
}

/** local = a·factor, for addresses. */
export function multiplied(f: FunctionBuilder, a: Index, factor: number): Index {
  const result = f.local('i32');
  f.get(a).i32(factor).op('i32.mul').set(result);
  return result;
}

/**
 * Runs `body` for every group of as many samples as there are lanes, so that a lane is a sample. The last group may
 * reach past `count`, into rows kept for that.
 */
export function forSampleGroups({ f, o, count }: Kernel, body: (firstSample: Index) => void): void {
  const sample = f.local('i32');
  f.i32(0).set(sample);
  f.whileBelow(sample, { local: count }, o.shape.lanes, () => {
    body(sample);
    o.clearLocals();
  });
}

/** Columns `first` … `first + units` of a group of samples, one expression per column, a lane per sample. `at` = sample·stride. */
export function loadColumns(o: Lanes, rows: Rows, at: Index, first: number, units: number): Expression[] {
  const { lanes, bytes } = o.shape;
  const columns: Expression[] = [];
  for (let unit = 0; unit < units; unit += lanes) {
    const offset = rows.base + (first + unit) * bytes;
    const vectors = Array.from({ length: lanes }, (_, sample) => o.load(at, offset + sample * rows.stride));
    columns.push(...o.transpose(vectors));
  }
  return columns.slice(0, units);
}

/** The stores that put columns back; padding columns of the last vector get 0. */
export function storeColumns(o: Lanes, rows: Rows, at: Index, first: number, columns: readonly Expression[]) {
  const { lanes, bytes } = o.shape;
  const sinks = [];
  for (let unit = 0; unit < columns.length; unit += lanes) {
    const block = Array.from({ length: lanes }, (_, i) => columns[unit + i] ?? o.constant(0));
    const offset = rows.base + (first + unit) * bytes;
    for (const [sample, value] of o.transpose(block).entries()) {
      sinks.push({ value, base: at, offset: offset + sample * rows.stride });
    }
  }
  return sinks;
}

/** a + z·0: a where z is finite, NaN where it is not, so that a saturating activation cannot hide an overflow. */
export function poisoned(o: Lanes, a: Expression, z: Expression): Expression {
  return a === z ? a : o.mulAdd(z, o.constant(0), a);
}
