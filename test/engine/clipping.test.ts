import { describe, expect, test } from 'vitest';
import { clipGradients, globalNorm } from '../../src/engine/clipping.ts';
import type { ClipGradients } from '../../src/engine/definition.ts';
import { float32 } from '../../src/engine/math/float32.ts';
import { float64 } from '../../src/engine/math/float64.ts';
import { expectClose } from './compare.ts';

function clipped(clip: ClipGradients, ...gradients: number[]): Float64Array {
  const values = Float64Array.from(gradients);
  clipGradients(float64, clip, values);
  return values;
}

describe('by global norm', () => {
  test('multiplies every gradient by max_norm/(norm + 1e-6)', () => {
    const factor = 1 / (5 + 1e-6);
    expectClose(clipped({ max_norm: 1 }, 3, -4), [3 * factor, -4 * factor], { relative: 1e-15 }, 'gradients');
  });

  test('takes another epsilon', () => {
    expectClose(clipped({ max_norm: 1, epsilon: 0 }, 3, -4), [0.6, -0.8], { relative: 1e-15 }, 'gradients');
  });

  test('leaves gradients below the norm as they are, bit for bit', () => {
    expect(clipped({ max_norm: 5.1 }, 3, -4)).toEqual(Float64Array.of(3, -4));
  });

  test('makes no NaN of zeros', () => {
    expect(clipped({ max_norm: 1, epsilon: 0 }, 0, 0)).toEqual(Float64Array.of(0, 0));
  });

  test.each([Number.NaN, Infinity, -Infinity])('hides no %d', (bad) => {
    expect(clipped({ max_norm: 1 }, 1, bad)).toEqual(Float64Array.of(1, bad));
  });

  test('rounds the factor and the product in float32', () => {
    const values = Float32Array.of(3, -4);
    clipGradients(float32, { max_norm: 1 }, values);
    const factor = Math.fround(1 / (5 + 1e-6));
    expect(values).toEqual(Float32Array.of(3 * factor, -4 * factor));
  });
});

describe('by value', () => {
  test('clamps every entry on its own', () => {
    expect(clipped({ max_value: 0.5 }, 0.2, -3, 7, -0.5)).toEqual(Float64Array.of(0.2, -0.5, 0.5, -0.5));
  });

  test('hides no NaN', () => {
    expect(clipped({ max_value: 0.5 }, 1, Number.NaN)).toEqual(Float64Array.of(0.5, Number.NaN));
  });
});

describe('the global norm', () => {
  test.each([1e-320, 1e-200, 1, 1e200, 4e307])('of (3, 4)·%d is 5 times as much', (scale) => {
    // 1e-320 has about 11 bits left.
    const relative = scale < 1e-307 ? 2 ** -10 : 1e-15;
    expectClose([globalNorm(Float64Array.of(3 * scale, 4 * scale))], 5 * scale, { relative }, 'norm');
  });

  test('is NaN or infinite when an entry is', () => {
    expect(globalNorm(Float64Array.of(1, Number.NaN))).toBeNaN();
    expect(globalNorm(Float64Array.of(1, -Infinity))).toBe(Infinity);
  });

  test('of nothing is 0', () => {
    expect(globalNorm(new Float64Array(0))).toBe(0);
  });
});
