/** Dropout masks inside the compiled step. */
import { streams } from '../prng.ts';
import type { Expression } from './expression.ts';
import { addRowsKernel, type KernelContext, type KernelFunction, type RowsKernel } from './kernel.ts';
import type { Lanes } from './lanes.ts';
import type { LayerLayout, Rows } from './layout.ts';
import { blocksFrom, philoxWords, splatWord } from './philox.ts';
import { wordOffset } from './scalars.ts';

/** Elements per turn: four blocks of four words. */
const ELEMENTS = 16;

/** Fills the mask of a layer: 0 or 1/(1 − p) for every output, as dropout.ts defines it. */
export function maskKernel(context: KernelContext, current: LayerLayout): KernelFunction | null {
  const { mask } = current;
  if (mask === null) return null;
  return addRowsKernel(context, (kernel) => {
    emitFactors(context, kernel, current);
    emitSpread(context, kernel, current, mask);
  });
}

/**
 * The factors of the rows' elements side by side: element e takes word e mod 4 of block ⌊e/4⌋. Elements of a neighbour's
 * rows may be among the first and the last; they get the same values here as there.
 */
function emitFactors({ layout }: KernelContext, kernel: RowsKernel, { layer, factors }: LayerLayout): void {
  const { f, o, first, count, zero } = kernel;
  const { units, dropout: p } = layer;
  const [end, element, block, at] = [f.local('i32'), f.local('i32'), f.local('i32'), f.local('i32')];
  const word = (name: Parameters<typeof wordOffset>[1]) => o.loadInvariantWord(zero, wordOffset(layout, name));
  const kept = o.constant(1 / (1 - p));
  // A word's top 24 bits are below the threshold where the word is below 256 times the threshold; at p near 1 every word is.
  const limit = Math.ceil(p * 2 ** 24) * 256;
  f.get(count).i32(units).op('i32.mul').set(end);
  f.get(first).i32(units).op('i32.mul').i32(-ELEMENTS).op('i32.and').set(element);
  f.get(element).i32(2).op('i32.shr_u').set(block);
  f.get(element).i32(layout.bytesPerNumber).op('i32.mul').set(at);
  f.whileBelow(element, { local: end }, ELEMENTS, () => {
    const stream = splatWord(o, streams.dropout + 256 * layer.number);
    const counter = [blocksFrom(o, block), word('step_low'), word('step_high'), stream];
    const words = philoxWords(o, counter, [word('seed_low'), word('seed_high')]);
    const values = words.flatMap((four) => {
      const dropped =
        limit < 2 ** 32 ? o.operation('i32x4.lt_u', [four, splatWord(o, limit)]) : splatWord(o, 0xffffffff);
      return halves(o, dropped, kept);
    });
    o.run(values.map((value, i) => ({ value, base: at, offset: factors + i * 16 })));
    f.increment(block, 4).increment(at, ELEMENTS * layout.bytesPerNumber);
  });
}

/** `kept` where a word of the mask is 0: one vector of four float32, or two of two float64. */
function halves(o: Lanes, dropped: Expression, kept: Expression): Expression[] {
  const masks =
    o.precision === 'float32'
      ? [dropped]
      : [o.shuffleWords(dropped, dropped, [0, 0, 1, 1]), o.shuffleWords(dropped, dropped, [2, 2, 3, 3])];
  return masks.map((mask) => o.operation('v128.andnot', [kept, mask]));
}

/** From elements side by side to rows with padding; the padding gets what follows, and meets only zeros. */
function emitSpread(
  { layout }: KernelContext,
  { f, o, first, count }: RowsKernel,
  { layer: { units }, factors }: LayerLayout,
  mask: Rows,
): void {
  const [row, from, to, column] = [f.local('i32'), f.local('i32'), f.local('i32'), f.local('i32')];
  const [source, target] = [f.local('i32'), f.local('i32')];
  const width = mask.columns * layout.bytesPerNumber;
  f.get(first)
    .tee(row)
    .i32(units * layout.bytesPerNumber)
    .op('i32.mul')
    .set(from);
  f.get(row).i32(mask.stride).op('i32.mul').set(to);
  f.whileBelow(row, { local: count }, 1, () => {
    f.get(from).set(source).get(to).set(target).i32(0).set(column);
    f.whileBelow(column, width, 16, () => {
      o.run([{ value: o.load(source, factors), base: target, offset: mask.base }]);
      f.increment(source, 16).increment(target, 16);
    });
    f.increment(from, units * layout.bytesPerNumber).increment(to, mask.stride);
  });
}
