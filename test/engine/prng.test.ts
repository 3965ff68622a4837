import { describe, expect, test } from 'vitest';
import {
  integerBelow,
  normal,
  permutation,
  philox,
  randomBlock,
  type Stream,
  streams,
  uniform,
  uniforms,
} from '../../src/engine/prng.ts';

function block(counter: number[], key: number[]): number[] {
  const out = new Uint32Array(4);
  philox(counter, key, out);
  return Array.from(out);
}

describe('philox4x32-10 gives the known answers of Random123 (kat_vectors)', () => {
  test.each([
    {
      counter: [0, 0, 0, 0],
      key: [0, 0],
      want: [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
    },
    {
      counter: [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
      key: [0xffffffff, 0xffffffff],
      want: [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
    },
    {
      // The digits of π.
      counter: [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      key: [0xa4093822, 0x299f31d0],
      want: [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    },
  ])('counter $counter', ({ counter, key, want }) => {
    expect(block(counter, key)).toEqual(want);
  });
});

const draws = (count: number, draw: (i: number) => number) => Float64Array.from({ length: count }, (_, i) => draw(i));
const mean = (values: Float64Array) => values.reduce((sum, x) => sum + x, 0) / values.length;
const moment = (values: Float64Array, power: number) => mean(values.map((x) => x ** power));

describe('uniform numbers', () => {
  const values = draws(20_000, (i) => uniform(7, 'generate', 3, i));

  test('lie in [0, 1) and use all 53 bits', () => {
    expect(values.every((x) => x >= 0 && x < 1 && Number.isInteger(x * 2 ** 53))).toBe(true);
    expect(values.some((x) => !Number.isInteger(x * 2 ** 52))).toBe(true);
  });

  // Five standard errors: 5·√(1/12/n) and 5·√(4/45/n)·… ≤ 0.011.
  test('have the mean 1/2 and the second moment 1/3', () => {
    expect(Math.abs(mean(values) - 1 / 2)).toBeLessThan(0.011);
    expect(Math.abs(moment(values, 2) - 1 / 3)).toBeLessThan(0.011);
  });

  test('are a function of their key: asking in another order gives the same', () => {
    expect(uniform(7, 'generate', 3, 19_999)).toBe(values[19_999]);
    expect(uniform(7, 'generate', 3, 0)).toBe(values[0]);
    expect(uniforms(19_999, 7, 'generate', 3)).toEqual(Float64Array.from(values.slice(0, 19_999)));
  });

  test('differ when any part of the key differs, the high words of seed and step included', () => {
    const base: [number, Stream, number, number] = [7, 'generate', 3, 5];
    const others: [number, Stream, number, number][] = [
      [8, 'generate', 3, 5],
      [7 + 2 ** 32, 'generate', 3, 5],
      [7, 'shuffle', 3, 5],
      [7, 'generate', 4, 5],
      [7, 'generate', 3 + 2 ** 32, 5],
      [7, 'generate', 3, 6],
    ];
    const all = [base, ...others].map((key) => uniform(...key));
    expect(new Set(all).size).toBe(all.length);
  });
});

test('the largest seed is used to its last bit', () => {
  const largest = Number.MAX_SAFE_INTEGER;
  expect(uniform(largest, 'split', 0, 0)).not.toBe(uniform(largest - 1, 'split', 0, 0));
});

test('every stream has a number of its own below 256, where the layer begins', () => {
  const values = Object.values(streams);
  expect(new Set(values).size).toBe(values.length);
  expect(values.every((value) => value < 256)).toBe(true);
});

test('blocks of different layers differ', () => {
  const [first, second] = [new Uint32Array(4), new Uint32Array(4)];
  randomBlock(1, 'dropout', 1, 0, 1, first);
  randomBlock(1, 'dropout', 1, 0, 2, second);
  expect(first).not.toEqual(second);
});

// Five standard errors of the k-th moment: 5·√(1, 2, 15, 96 / 20000).
test('normal numbers have the moments 0, 1, 0 and 3', () => {
  const values = draws(20_000, (i) => normal(11, 'initialization', 1, i));
  expect(Math.abs(mean(values))).toBeLessThan(0.036);
  expect(Math.abs(moment(values, 2) - 1)).toBeLessThan(0.05);
  expect(Math.abs(moment(values, 3))).toBeLessThan(0.14);
  expect(Math.abs(moment(values, 4) - 3)).toBeLessThan(0.35);
});

test('a whole number below 3 throws the one word away that would favour 0', () => {
  const words = [2 ** 32 - 1, 2 ** 32 - 2];
  expect(integerBelow(3, () => words.shift() ?? Number.NaN)).toBe(2);
  expect(words).toEqual([]);
});

describe('a permutation', () => {
  test('holds every number once', () => {
    const order = permutation(1000, 5, 'shuffle', 0);
    expect(Array.from(order.toSorted())).toEqual(Array.from({ length: 1000 }, (_, i) => i));
  });

  test('is the same for the same key and another for the next epoch', () => {
    expect(permutation(100, 5, 'shuffle', 3)).toEqual(permutation(100, 5, 'shuffle', 3));
    expect(permutation(100, 5, 'shuffle', 3)).not.toEqual(permutation(100, 5, 'shuffle', 4));
  });

  test('is the same in every release', () => {
    expect(permutation(10, 1, 'shuffle', 0).join()).toBe('3,5,2,4,8,7,6,0,1,9');
  });

  // Of 200,000 words with bounds up to 200,000 about 200,000²/2³³ = 5 are thrown away.
  test('draws whole numbers from the words of its stream, one after the other', () => {
    const n = 200_000;
    const [words, block] = [[] as number[], new Uint32Array(4)];
    const order = Array.from({ length: n }, (_, i) => i);
    let drawn = 0;
    const nextWord = (): number => {
      if (words.length === 0) {
        randomBlock(5, 'shuffle', 2 ** 33, drawn / 4, 0, block);
        words.push(...block);
      }
      drawn += 1;
      return words.shift() ?? Number.NaN;
    };
    for (let last = n - 1; last > 0; last--) {
      const chosen = integerBelow(last + 1, nextWord);
      [order[last], order[chosen]] = [order[chosen], order[last]];
    }
    expect(drawn).toBeGreaterThan(n - 1);
    expect(Buffer.from(permutation(n, 5, 'shuffle', 2 ** 33).buffer)).toEqual(
      Buffer.from(Uint32Array.from(order).buffer),
    );
  });

  test('of nothing and of one is trivial', () => {
    expect(Array.from(permutation(0, 1, 'shuffle', 0))).toEqual([]);
    expect(Array.from(permutation(1, 1, 'shuffle', 0))).toEqual([0]);
  });

  // χ² with 23 degrees of freedom exceeds 63 with a probability below 1e-5.
  test('takes each of the 24 orders of four equally often', () => {
    const counts = new Map<string, number>();
    const runs = 4800;
    for (let epoch = 0; epoch < runs; epoch++) {
      const order = permutation(4, 2024, 'shuffle', epoch).join();
      counts.set(order, (counts.get(order) ?? 0) + 1);
    }
    let chiSquare = 0;
    for (const count of counts.values()) chiSquare += (count - runs / 24) ** 2 / (runs / 24);
    expect(counts.size).toBe(24);
    expect(chiSquare).toBeLessThan(63);
  });
});
