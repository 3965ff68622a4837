/**
 * The two factors of a gradient of weights, dW[k][unit] = Σ_row inputs[row][k]·δ[row][unit], as the batch leaves them or
 * packed. Both are read down their columns, from one row of the batch to the next: where a batch is large that is a new
 * cache line and often a new page per number, which costs a third of the time. So large factors are copied first into
 * the order in which they are read.
 */
import type { FunctionBuilder, Index } from './assembler.ts';
import { addRowsKernel, type Kernel, type KernelContext, type KernelFunction, multiplied } from './kernel.ts';
import type { Lanes } from './lanes.ts';
import type { LayerLayout, NetworkLayout, Rows } from './layout.ts';
import type { PanelPlace, Product } from './product.ts';

/** Turned inputs that stay in the L2 cache beside all that passes through it, while every panel of units reads them. */
const BLOCK_BYTES = 150 * 2 ** 10;

/** Where the product finds its factors. */
export function gradientFactors(
  kernel: Kernel,
  { tile, bytesPerNumber, capacity }: NetworkLayout,
  inputs: Rows,
  { deltas, packed }: LayerLayout,
): Pick<Product, 'a' | 'aRow' | 'aTerm' | 'b' | 'bPanel' | 'bTerm' | 'beforePanel' | 'blockRows'> {
  if (packed === null) {
    return {
      a: inputs.base,
      aRow: bytesPerNumber,
      aTerm: inputs.stride,
      b: deltas.base,
      bPanel: tile.vectors * 16,
      bTerm: () => deltas.stride,
    };
  }
  return {
    a: packed.inputs.base,
    aRow: packed.inputs.stride,
    aTerm: bytesPerNumber,
    b: packed.deltas,
    bPanel: capacity * tile.vectors * 16,
    bTerm: (vectors) => vectors * 16,
    beforePanel: (panel) => emitPackedPanel(kernel, deltas, panel),
    blockRows: Math.max(1, Math.round(BLOCK_BYTES / packed.inputs.stride / tile.rows)) * tile.rows,
  };
}

/** b[row] ← δ[row][column …]: a panel's part of every row, one after the other. */
function emitPackedPanel({ f, o, count }: Kernel, deltas: Rows, { b, column, vectors }: PanelPlace): void {
  const [row, from, to] = [f.local('i32'), f.local('i32'), f.local('i32')];
  f.i32(0).set(row).get(column).set(from).get(b).set(to);
  f.whileBelow(row, { local: count }, 1, () => {
    const sinks = Array.from({ length: vectors }, (_, v) => ({
      value: o.load(from, deltas.base + v * 16),
      base: to,
      offset: v * 16,
    }));
    o.run(sinks);
    f.increment(from, deltas.stride).increment(to, vectors * 16);
  });
}

/** Groups of samples that are turned together, as long as so many are left: their numbers fill cache lines. */
const TURNED_GROUPS = 4;

/** The inputs of a layer turned for the gradient of its weights: row k, column row ← inputs[row][k]. */
export function turnInputsKernel(context: KernelContext, inputs: Rows, { packed }: LayerLayout): KernelFunction | null {
  if (packed === null) return null;
  return addRowsKernel(context, ({ f, o, first, count }) => {
    const { lanes } = o.shape;
    const [sample, lastStart] = [f.local('i32'), f.local('i32')];
    f.get(count)
      .i32(TURNED_GROUPS * lanes - 1)
      .op('i32.sub')
      .set(lastStart)
      .get(first)
      .set(sample);
    f.whileBelow(sample, { local: lastStart }, TURNED_GROUPS * lanes, () =>
      emitTurned(f, o, inputs, packed.inputs, sample, TURNED_GROUPS),
    );
    f.whileBelow(sample, { local: count }, lanes, () => emitTurned(f, o, inputs, packed.inputs, sample, 1));
  });
}

/** Turns some groups of samples from the sample on. */
function emitTurned(f: FunctionBuilder, o: Lanes, inputs: Rows, turned: Rows, sample: Index, groups: number): void {
  const { lanes, bytes } = o.shape;
  const [from, to, k] = [multiplied(f, sample, inputs.stride), multiplied(f, sample, bytes), f.local('i32')];
  f.i32(0).set(k);
  f.whileBelow(k, inputs.columns, lanes, () => {
    for (let group = 0; group < groups; group++) {
      const base = inputs.base + group * lanes * inputs.stride;
      const rows = Array.from({ length: lanes }, (_, i) => o.load(from, base + i * inputs.stride));
      const place = (i: number) => turned.base + i * turned.stride + group * 16;
      o.run(o.transpose(rows).map((value, i) => ({ value, base: to, offset: place(i) })));
    }
    f.increment(from, 16).increment(to, lanes * turned.stride);
  });
}
