/**
 * The random numbers of the engine: Philox4x32-10, a counter-based generator.
 *
 * A number is a pure function of (seed, stream, a, b): there is no state to save, any number can be had at any time,
 * and back ends that work in another order draw the same ones. By convention a is an epoch, step or layer, b an index.
 *
 * Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011; checked against the
 * known answers of their library Random123.
 */
import { cosPi, log } from './math/elementary.ts';
import { float64 } from './math/float64.ts';

/** What the numbers are for; streams never overlap. The values are part of every seed's meaning: append, never renumber. */
export const streams = { initialization: 0, shuffle: 1, dropout: 2, split: 3, generate: 4, audit: 5 } as const;
export type Stream = keyof typeof streams;

/** `weyl`, the key's increments: the golden ratio and √3 − 1, as 32-bit fractions. */
export const philoxConstants = {
  rounds: 10,
  multipliers: [0xd2511f53, 0xcd9e8d57],
  weyl: [0x9e3779b9, 0xbb67ae85],
} as const;

const { rounds: ROUNDS } = philoxConstants;
const [MULTIPLIER_0, MULTIPLIER_1] = philoxConstants.multipliers;
const [WEYL_0, WEYL_1] = philoxConstants.weyl;

/** High 32 bits of a·b for unsigned 32-bit words, from 16-bit halves; every sum below stays under 2³². */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const middle = (Math.imul(aHigh, bLow) + (Math.imul(aLow, bLow) >>> 16)) | 0;
  const cross = (Math.imul(aLow, bHigh) + (middle & 0xffff)) | 0;
  return (Math.imul(aHigh, bHigh) + (middle >>> 16) + (cross >>> 16)) | 0;
}

/**
 * One block: four uniform 32-bit words for a counter of four words and a key of two, written to `out`.
 * Per round: (c0, c1, c2, c3) ← (hi(M1·c2) ⊕ c1 ⊕ k0, lo(M1·c2), hi(M0·c0) ⊕ c3 ⊕ k1, lo(M0·c0)); k += Weyl.
 */
export function philox(counter: ArrayLike<number>, key: ArrayLike<number>, out: Uint32Array): void {
  // Signed words throughout: V8 keeps them in integer registers. One by one: before it compiles this, arrays take most of the time.
  let c0 = counter[0] | 0;
  let c1 = counter[1] | 0;
  let c2 = counter[2] | 0;
  let c3 = counter[3] | 0;
  let k0 = key[0] | 0;
  let k1 = key[1] | 0;
  for (let round = 0; round < ROUNDS; round++) {
    const high0 = multiplyHigh(MULTIPLIER_0, c0);
    const high1 = multiplyHigh(MULTIPLIER_1, c2);
    const low0 = Math.imul(MULTIPLIER_0, c0);
    const low1 = Math.imul(MULTIPLIER_1, c2);
    c0 = high1 ^ c1 ^ k0;
    c1 = low1;
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
    k0 = (k0 + WEYL_0) | 0;
    k1 = (k1 + WEYL_1) | 0;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

const TWO_32 = 0x1_0000_0000;
const counterWords = new Uint32Array(4);
const keyWords = new Uint32Array(2);

/**
 * Key and counter of block number `block` of (seed, stream, a, layer): the seed's low and high word, and
 * (block, a low, a high, stream + 256·layer). Both are overwritten by the next call.
 */
export function philoxInput(seed: number, stream: Stream, a: number, block: number, layer: number) {
  keyWords[0] = seed;
  keyWords[1] = Math.floor(seed / TWO_32);
  counterWords[0] = block;
  counterWords[1] = a;
  counterWords[2] = Math.floor(a / TWO_32);
  counterWords[3] = streams[stream] + 256 * layer;
  return { key: keyWords, counter: counterWords };
}

/** The block number `block` of (seed, stream, a, layer). */
export function randomBlock(
  seed: number,
  stream: Stream,
  a: number,
  block: number,
  layer: number,
  out: Uint32Array,
): void {
  const { key, counter } = philoxInput(seed, stream, a, block, layer);
  philox(counter, key, out);
}

const words = new Uint32Array(4);

/** 53 uniform bits of two words as a number in [0, 1). */
const toUnit = (high: number, low: number) => ((high >>> 5) * 0x400_0000 + (low >>> 6)) * 2 ** -53;

/** The number b of (seed, stream, a): uniform in [0, 1), a multiple of 2⁻⁵³. */
export function uniform(seed: number, stream: Stream, a: number, b: number): number {
  randomBlock(seed, stream, a, Math.floor(b / 2), 0, words);
  return b % 2 === 0 ? toUnit(words[0], words[1]) : toUnit(words[2], words[3]);
}

/** The numbers 0, 1, … of (seed, stream, a), as `uniform` gives them. */
export type Uniforms = (count: number, seed: number, stream: Stream, a: number) => Float64Array;

/** Two from each block. */
export const uniforms: Uniforms = (count, seed, stream, a) => {
  const numbers = new Float64Array(count);
  for (let b = 0; b < count; b += 2) {
    randomBlock(seed, stream, a, b / 2, 0, words);
    numbers[b] = toUnit(words[0], words[1]);
    if (b + 1 < count) numbers[b + 1] = toUnit(words[2], words[3]);
  }
  return numbers;
};

/** The number b of (seed, stream, a): standard normal by Box–Muller, √(−2·ln u)·cos(2π·v) with u in (0, 1]. */
export function normal(seed: number, stream: Stream, a: number, b: number): number {
  randomBlock(seed, stream, a, b, 0, words);
  const u = 1 - toUnit(words[0], words[1]);
  const v = toUnit(words[2], words[3]);
  return Math.sqrt(-2 * log(float64, u)) * cosPi(float64, 2 * v);
}

/** A uniform integer in [0, bound), bound ≤ 2³²: words at or above the largest multiple of the bound are thrown away. */
export function integerBelow(bound: number, nextWord: () => number): number {
  for (;;) {
    const word = nextWord();
    const rest = word % bound;
    if (isFair(word, rest, bound)) return rest;
  }
}

/** Whether all numbers that share the word's multiple of the bound, word − rest … word − rest + bound − 1, are words. */
const isFair = (word: number, rest: number, bound: number) => word - rest <= TWO_32 - bound;

const places = new Uint32Array(4);

/**
 * The numbers 0 … n − 1 in random order, every order equally likely (Fisher–Yates, without modulo bias): for last =
 * n − 1 … 1 the entries last and `integerBelow(last + 1)` of the words of (seed, stream, epoch) change places.
 */
export function permutation(n: number, seed: number, stream: Stream, epoch: number): Uint32Array {
  const order = new Uint32Array(n);
  for (let i = 0; i < n; i++) order[i] = i;
  for (let last = n - 1, block = 0; last > 0; block++) {
    randomBlock(seed, stream, epoch, block, 0, places);
    for (let i = 0; i < 4 && last > 0; i++) {
      const word = places[i];
      const chosen = word % (last + 1);
      if (!isFair(word, chosen, last + 1)) continue;
      const row = order[last];
      order[last] = order[chosen];
      order[chosen] = row;
      last--;
    }
  }
  return order;
}
