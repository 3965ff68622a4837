import { describe, expect, test } from 'vitest';
import { dropoutBackward, dropoutForward, dropoutMask } from '../../src/engine/dropout.ts';
import { float32 } from '../../src/engine/math/float32.ts';
import { float64 } from '../../src/engine/math/float64.ts';
import { randomBlock } from '../../src/engine/prng.ts';

const key = { seed: 9, step: 4, layer: 2 };

function mask(length: number, p: number, from = key): Float64Array {
  const values = new Float64Array(length);
  dropoutMask(float64, p, from, values);
  return values;
}

test('a mask holds 0 and 1/(1 − p), 0 with the probability p', () => {
  const values = mask(40_000, 0.3);
  expect(new Set(values)).toEqual(new Set([0, 1 / 0.7]));
  const dropped = values.filter((value) => value === 0).length / values.length;
  // Five standard errors: 5·√(0.3·0.7/40000).
  expect(Math.abs(dropped - 0.3)).toBeLessThan(0.0115);
});

test('element e is decided by word e mod 4 of block ⌊e/4⌋', () => {
  const values = mask(10, 0.5);
  const words = new Uint32Array(4);
  for (let e = 0; e < values.length; e++) {
    randomBlock(key.seed, 'dropout', key.step, Math.floor(e / 4), key.layer, words);
    const uniform = Math.floor(words[e % 4] / 256) / 2 ** 24;
    expect(values[e]).toBe(uniform < 0.5 ? 0 : 2);
  }
});

test('float32 and float64 drop the same elements', () => {
  const single = new Float32Array(1000);
  dropoutMask(float32, 0.37, key, single);
  expect(Array.from(single, (value) => value === 0)).toEqual(Array.from(mask(1000, 0.37), (value) => value === 0));
});

test('a mask depends on seed, step and layer, and a short batch has the beginning of a long one', () => {
  const base = mask(64, 0.5);
  expect(mask(64, 0.5)).toEqual(base);
  expect(mask(16, 0.5)).toEqual(base.subarray(0, 16));
  for (const other of [
    { ...key, seed: 10 },
    { ...key, step: 5 },
    { ...key, layer: 3 },
  ]) {
    expect(mask(64, 0.5, other)).not.toEqual(base);
  }
});

describe('forward and backward', () => {
  test('multiply by the same mask', () => {
    const [values, factors] = [Float64Array.of(1, 2, 3), Float64Array.of(0, 2, 2)];
    const out = new Float64Array(3);
    dropoutForward(float64, values, factors, out);
    expect(out).toEqual(Float64Array.of(0, 4, 6));
    dropoutBackward(float64, values, factors);
    expect(values).toEqual(Float64Array.of(0, 4, 6));
  });
});
