/**
 * The two factors of a gradient of weights, dW[k][unit] = Σ_row inputs[row][k]·δ[row][unit], as the batch leaves them or
 * packed. Both are read down their columns, from one row of the batch to the next: where a batch is large that is a new
 * cache line and often a new page per number, which costs a third of the time. So large factors are copied first into
 * the order in which they are read: one number after the other, which the processor fetches ahead by itself.
 */
import type { FunctionBuilder, Index } from './assembler.ts';
import type { Sink } from './expression.ts';
import { addRowsKernel, type Kernel, type KernelContext, type KernelFunction } from './kernel.ts';
import type { LayerLayout, NetworkLayout, PackedFactors, Rows } from './layout.ts';
import { type PanelPlace, type Product, type Tile, tileHeights } from './product.ts';

/** Packed inputs that stay in the L2 cache beside all that passes through it, while every panel of units reads them. */
const BLOCK_BYTES = 150 * 2 ** 10;

/** How the inputs of a layer go through the panels; see `Product`. */
const blockRows = (tile: Tile, { perInput }: PackedFactors) =>
  Math.max(1, Math.round(BLOCK_BYTES / perInput / tile.rows)) * tile.rows;

/** Where the product finds its factors; packed, they are summed over the rows on the way. */
export function gradientFactors(
  kernel: Kernel,
  { tile, bytesPerNumber, capacity }: NetworkLayout,
  inputs: Rows,
  { deltas, packed }: LayerLayout,
  ofSums: SumsSinks | null,
): Pick<Product, 'a' | 'aRow' | 'aNext' | 'aTerm' | 'b' | 'bPanel' | 'bTerm' | 'beforePanel' | 'blockRows'> {
  if (packed === null) {
    return {
      a: inputs.base,
      aRow: bytesPerNumber,
      aTerm: () => inputs.stride,
      b: deltas.base,
      bPanel: tile.vectors * 16,
      bTerm: () => deltas.stride,
    };
  }
  return {
    a: packed.inputs,
    aRow: packed.perInput,
    aNext: bytesPerNumber,
    aTerm: (rows) => rows * bytesPerNumber,
    b: packed.deltas,
    bPanel: capacity * tile.vectors * 16,
    bTerm: (vectors) => vectors * 16,
    beforePanel: (panel) => emitPackedPanel(kernel, deltas, panel, ofSums),
    blockRows: blockRows(tile, packed),
  };
}

/** What becomes of Σ_row δ[row][column …], a local per vector, `column` being the byte offset in a row. */
export type SumsSinks = (column: Index, sums: readonly Index[]) => readonly Sink[];

/** b[row] ← δ[row][column …]: a panel's part of every row, one after the other; and their sums, rows ascending, if wanted. */
function emitPackedPanel(
  { f, o, count }: Kernel,
  deltas: Rows,
  { b, column, vectors }: PanelPlace,
  ofSums: SumsSinks | null,
): void {
  const [row, from, to] = [f.local('i32'), f.local('i32'), f.local('i32')];
  const sums = ofSums === null ? [] : Array.from({ length: vectors }, () => o.newLocal());
  for (const sum of sums) f.v128(new Uint8Array(16)).set(sum);
  f.i32(0).set(row).get(column).set(from).get(b).set(to);
  f.whileBelow(row, { local: count }, 1, () => {
    const values = Array.from({ length: vectors }, (_, v) => o.load(from, deltas.base + v * 16));
    o.run([
      ...values.map((value, v) => ({ value, base: to, offset: v * 16 })),
      ...sums.map((local, v) => ({ value: o.add(o.local(local), values[v]), local })),
    ]);
    f.increment(from, deltas.stride).increment(to, vectors * 16);
  });
  if (ofSums !== null) o.run(ofSums(column, sums));
  o.clearLocals();
}

/** Samples that are packed together, as long as so many are left: what a tile reads of them fills cache lines. */
const PACKED_SAMPLES = 16;

/** Packs the inputs of a layer for the gradient of its weights: tile t, row of the batch, input ← inputs[row][input]. */
export function packInputsKernel(
  context: KernelContext,
  inputs: Rows,
  { packed, weights }: LayerLayout,
): KernelFunction | null {
  if (packed === null) return null;
  const { tile, bytesPerNumber: bytes } = context.layout;
  const heights = tileHeights(weights.inner, tile, blockRows(tile, packed));
  const whole = heights.filter((height) => height === tile.rows).length;
  return addRowsKernel(context, ({ f, first, count }) => {
    const [sample, lastStart, input, from, to]: Index[] = Array.from({ length: 5 }, () => f.local('i32'));
    const emitSamples = (samples: number) => {
      const emitTile = (height: number) => {
        for (let i = 0; i < samples; i++)
          copyBytes(
            f,
            { at: from, offset: inputs.base + i * inputs.stride },
            { at: to, offset: packed.inputs + i * height * bytes },
            height * bytes,
          );
        f.increment(from, height * bytes).increment(input, height);
      };
      const begin = (height: number) =>
        f
          .get(input)
          .i32(packed.perInput)
          .op('i32.mul')
          .get(sample)
          .i32(height * bytes)
          .op('i32.mul')
          .op('i32.add')
          .set(to);
      f.get(sample).i32(inputs.stride).op('i32.mul').set(from).i32(0).set(input);
      begin(tile.rows);
      f.whileBelow(input, whole * tile.rows, 0, () => {
        emitTile(tile.rows);
        f.increment(to, tile.rows * packed.perInput);
      });
      for (const height of heights.slice(whole)) {
        begin(height);
        emitTile(height);
      }
    };
    f.get(count)
      .i32(PACKED_SAMPLES - 1)
      .op('i32.sub')
      .set(lastStart)
      .get(first)
      .set(sample);
    f.whileBelow(sample, { local: lastStart }, PACKED_SAMPLES, () => emitSamples(PACKED_SAMPLES));
    f.whileBelow(sample, { local: count }, 1, () => emitSamples(1));
  });
}

interface Place {
  readonly at: Index;
  readonly offset: number;
}

/** A multiple of four bytes, and no byte more: what lies behind is another row's. */
function copyBytes(f: FunctionBuilder, from: Place, to: Place, bytes: number): void {
  for (let done = 0; done < bytes; ) {
    const left = bytes - done;
    const type = left >= 16 ? 'v128' : left >= 8 ? 'f64' : 'f32';
    f.get(to.at)
      .get(from.at)
      .memory(`${type}.load`, from.offset + done)
      .memory(`${type}.store`, to.offset + done);
    done += { v128: 16, f64: 8, f32: 4 }[type];
  }
}
