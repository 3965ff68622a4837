/** Dropout masks inside the compiled step: the Philox generator of prng.ts, four blocks side by side in the lanes. */
import { philoxConstants, streams } from '../prng.ts';
import type { Expression } from './expression.ts';
import { addRowsKernel, type KernelContext, type KernelFunction, type RowsKernel } from './kernel.ts';
import type { Lanes } from './lanes.ts';
import type { LayerLayout, Rows } from './layout.ts';
import { wordOffset } from './scalars.ts';

const { multipliers: MULTIPLIERS, weyl: WEYL, rounds: ROUNDS } = philoxConstants;
/** Elements per turn: four blocks of four words. */
const ELEMENTS = 16;

const splat = (o: Lanes, word: number) => o.words([word, word, word, word]);

/** High and low words of a·multiplier in every lane. */
function multiplyWide(o: Lanes, a: Expression, multiplier: number): { high: Expression; low: Expression } {
  const factor = splat(o, multiplier);
  const [first, second] = [
    o.operation('i64x2.extmul_low_i32x4_u', [a, factor]),
    o.operation('i64x2.extmul_high_i32x4_u', [a, factor]),
  ];
  return { high: o.shuffleWords(first, second, [1, 3, 5, 7]), low: o.shuffleWords(first, second, [0, 2, 4, 6]) };
}

/** Four blocks of Philox4x32-10: the words of block b are lane b of the results. */
function philox(o: Lanes, counter: readonly Expression[], key: readonly Expression[]): Expression[] {
  const xor = (a: Expression, b: Expression, c: Expression) =>
    o.operation('v128.xor', [o.operation('v128.xor', [a, b]), c]);
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < ROUNDS; round++) {
    const [product0, product1] = [multiplyWide(o, c0, MULTIPLIERS[0]), multiplyWide(o, c2, MULTIPLIERS[1])];
    [c0, c1, c2, c3] = [xor(product1.high, k0, c1), product1.low, xor(product0.high, k1, c3), product0.low];
    [k0, k1] = [o.operation('i32x4.add', [k0, splat(o, WEYL[0])]), o.operation('i32x4.add', [k1, splat(o, WEYL[1])])];
  }
  return [c0, c1, c2, c3];
}

/** A square of 4 × 4 words turned. */
function turned(o: Lanes, [a, b, c, d]: readonly Expression[]): Expression[] {
  const [low0, low1] = [o.shuffleWords(a, b, [0, 4, 1, 5]), o.shuffleWords(c, d, [0, 4, 1, 5])];
  const [high0, high1] = [o.shuffleWords(a, b, [2, 6, 3, 7]), o.shuffleWords(c, d, [2, 6, 3, 7])];
  const pairs = [low0, low1, high0, high1] as const;
  return [0, 2].flatMap((i) => [
    o.shuffleWords(pairs[i], pairs[i + 1], [0, 1, 4, 5]),
    o.shuffleWords(pairs[i], pairs[i + 1], [2, 3, 6, 7]),
  ]);
}

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
    const blocks = o.operation('i32x4.add', [o.operation('i32x4.splat', [o.local(block)]), o.words([0, 1, 2, 3])]);
    const stream = splat(o, streams.dropout + 256 * layer.number);
    const counter = [blocks, word('step_low'), word('step_high'), stream];
    const words = turned(o, philox(o, counter, [word('seed_low'), word('seed_high')]));
    const values = words.flatMap((four) => {
      const dropped = limit < 2 ** 32 ? o.operation('i32x4.lt_u', [four, splat(o, limit)]) : splat(o, 0xffffffff);
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
