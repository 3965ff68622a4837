/** The generator of prng.ts as compiled code: Philox4x32-10, four blocks side by side in the lanes of vectors. */
import { philoxConstants } from '../prng.ts';
import type { FunctionBuilder, Index } from './assembler.ts';
import type { Expression } from './expression.ts';
import { Lanes } from './lanes.ts';

const { multipliers: MULTIPLIERS, weyl: WEYL, rounds: ROUNDS } = philoxConstants;

/** Blocks that are drawn at once, and the bytes of their words. */
export const DRAWN_BLOCKS = 4;
export const DRAWN_BYTES = 64;

/** A word in every lane. */
export const splatWord = (o: Lanes, word: number): Expression => o.words([word, word, word, word]);

/** The numbers of four blocks from the one in a local. */
export const blocksFrom = (o: Lanes, first: Index): Expression =>
  o.operation('i32x4.add', [o.operation('i32x4.splat', [o.local(first)]), o.words([0, 1, 2, 3])]);

/** High and low words of a·multiplier in every lane. */
function multiplyWide(o: Lanes, a: Expression, multiplier: number): { high: Expression; low: Expression } {
  const factor = splatWord(o, multiplier);
  const [first, second] = [
    o.operation('i64x2.extmul_low_i32x4_u', [a, factor]),
    o.operation('i64x2.extmul_high_i32x4_u', [a, factor]),
  ];
  return { high: o.shuffleWords(first, second, [1, 3, 5, 7]), low: o.shuffleWords(first, second, [0, 2, 4, 6]) };
}

/** The rounds: the words of block b are lane b of the results. */
function philox(o: Lanes, counter: readonly Expression[], key: readonly Expression[]): Expression[] {
  const xor = (a: Expression, b: Expression, c: Expression) =>
    o.operation('v128.xor', [o.operation('v128.xor', [a, b]), c]);
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < ROUNDS; round++) {
    const [product0, product1] = [multiplyWide(o, c0, MULTIPLIERS[0]), multiplyWide(o, c2, MULTIPLIERS[1])];
    [c0, c1, c2, c3] = [xor(product1.high, k0, c1), product1.low, xor(product0.high, k1, c3), product0.low];
    const added = WEYL.map((weyl) => splatWord(o, weyl));
    [k0, k1] = [o.operation('i32x4.add', [k0, added[0]]), o.operation('i32x4.add', [k1, added[1]])];
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

/**
 * The words of four blocks, one vector each.
 * @param counter word by word, a block in every lane
 */
export const philoxWords = (o: Lanes, counter: readonly Expression[], key: readonly Expression[]): Expression[] =>
  turned(o, philox(o, counter, key));

/** What blocks are drawn from, in locals: see `philoxInput`. */
export interface PhiloxLocals {
  readonly aLow: Index;
  readonly aHigh: Index;
  readonly stream: Index;
  readonly seedLow: Index;
  readonly seedHigh: Index;
}

/** Writes the words of four blocks from the one in `block` on to memory, side by side from the address in `to`. */
export function emitDraw(f: FunctionBuilder, input: PhiloxLocals, block: Index, to: Index): void {
  const o = new Lanes(f, 'float32', 'strict');
  const everywhere = (local: Index) => o.operation('i32x4.splat', [o.local(local)]);
  const { aLow, aHigh, stream, seedLow, seedHigh } = input;
  const counter = [blocksFrom(o, block), ...[aLow, aHigh, stream].map(everywhere)];
  const words = philoxWords(o, counter, [seedLow, seedHigh].map(everywhere));
  o.run(words.map((value, i) => ({ value, base: to, offset: 16 * i })));
}
