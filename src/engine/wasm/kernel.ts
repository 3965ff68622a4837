/** What every kernel of the tiles strategy is built from: the module, the layout, the arithmetic. */
import type { ArithmeticMode } from '../definition.ts';
import type { FunctionBuilder, Index, ModuleBuilder } from './assembler.ts';
import type { Expression } from './expression.ts';
import { Lanes } from './lanes.ts';
import { type NetworkLayout, type Panels, panelsIn, type Rows } from './layout.ts';
import { type Count, pushCount, type Range } from './product.ts';

export interface KernelContext {
  readonly module: ModuleBuilder;
  readonly layout: NetworkLayout;
  readonly mode: ArithmeticMode;
}

/**
 * What is divided when several threads carry out a kernel: the rows of the batch, or the columns of the weights and
 * whatever else is summed over the whole batch. Either way each result is computed by one thread, as one thread alone
 * would compute it.
 */
export type Split = 'rows' | 'columns';

/**
 * A function of the module. One of rows takes the first row to work on and the row behind the last; one of columns takes
 * the rows of the batch and its share of the columns, from and to, in parts of `WHOLE`.
 */
export interface KernelFunction {
  readonly index: Index;
  readonly split: Split;
}

/** A function of the module under construction, and its lanes. */
export interface Kernel {
  readonly f: FunctionBuilder;
  readonly o: Lanes;
  /** The row of the batch behind the last one to work on. */
  readonly count: Index;
  /** Always 0: the base of constant addresses. */
  readonly zero: Index;
}

export interface RowsKernel extends Kernel {
  /** The first row to work on. */
  readonly first: Index;
}

export interface ColumnsKernel extends Kernel {
  readonly from: Index;
  readonly to: Index;
}

/** Adds a function of some rows of the batch. */
export function addRowsKernel(context: KernelContext, emit: (kernel: RowsKernel) => void): KernelFunction {
  const { module } = context;
  const body = (f: FunctionBuilder) => emit({ ...kernelOf(context, f, 1), first: 0 });
  return { index: module.function(['i32', 'i32'], [], body), split: 'rows' };
}

/** Adds a function of all rows of the batch and a share of the columns. */
export function addColumnsKernel(context: KernelContext, emit: (kernel: ColumnsKernel) => void): KernelFunction {
  const { module } = context;
  const body = (f: FunctionBuilder) => emit({ ...kernelOf(context, f, 0), from: 1, to: 2 });
  return { index: module.function(['i32', 'i32', 'i32'], [], body), split: 'columns' };
}

/** Adds an exported function of the rows of the batch, which one thread carries out. */
export function addWholeKernel(context: KernelContext, name: string, emit: (kernel: Kernel) => void): void {
  context.module.function(['i32'], [], (f) => emit(kernelOf(context, f, 0)), name);
}

function kernelOf({ layout, mode }: KernelContext, f: FunctionBuilder, count: Index): Kernel {
  return { f, o: new Lanes(f, layout.plan.precision, mode), count, zero: f.local('i32') };
}

const WHOLE_BITS = 12;
/** Shares of the columns are multiples of 1/WHOLE. */
export const WHOLE = 2 ** WHOLE_BITS;

/** Those of `units` things that belong to the kernel's share; a single thing belongs to the last share. */
function shareOf({ f, from, to }: ColumnsKernel, units: Count): Range {
  const [first, end] = [f.local('i32'), f.local('i32')];
  for (const [share, local] of [
    [from, first],
    [to, end],
  ]) {
    pushCount(f.get(share), units).op('i32.mul').i32(WHOLE_BITS).op('i32.shr_u').set(local);
  }
  return { first, end };
}

/** The panels of a layer's weights in the kernel's share. */
export const shareOfPanels = (kernel: ColumnsKernel, weights: Panels): Range => shareOf(kernel, panelsIn(weights));

/** So many rows of the batch as the share is of all. */
export const shareOfRows = (kernel: ColumnsKernel): Range => shareOf(kernel, { local: kernel.count });

/**
 * Byte offsets of the columns in those panels. Whatever is divided by columns is divided like the weights, so that a
 * kernel may use what an earlier one of the same phase has made of the same columns.
 */
export function shareOfColumns(kernel: ColumnsKernel, weights: Panels): Range {
  const { f, o } = kernel;
  const { first, end } = shareOfPanels(kernel, weights);
  const bytes = (weights.width / o.shape.lanes) * 16;
  const limit = (weights.columns / o.shape.lanes) * 16;
  const range = { first: multiplied(f, first, bytes), end: multiplied(f, end, bytes) };
  f.get(range.end).i32(limit).op('i32.gt_u');
  f.if(() => f.i32(limit).set(range.end));
  return range;
}

/** Emits what only one of the threads does. */
export function once(kernel: ColumnsKernel, body: () => void): void {
  const { first, end } = shareOf(kernel, 1);
  kernel.f.get(first).get(end).op('i32.lt_s');
  kernel.f.if(body);
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
export function forSampleGroups({ f, o, first, count }: RowsKernel, body: (firstSample: Index) => void): void {
  const sample = f.local('i32');
  f.get(first).set(sample);
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
