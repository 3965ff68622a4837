import { describe, expect, test } from 'vitest';
import { initializers } from '../../src/engine/initializers.ts';

const key = { seed: 3, layer: 1 };
const [fanIn, fanOut] = [120, 80];
const size = fanIn * fanOut;

function moments(weights: Float64Array) {
  const mean = weights.reduce((sum, w) => sum + w, 0) / weights.length;
  const variance = weights.reduce((sum, w) => sum + (w - mean) ** 2, 0) / weights.length;
  return { mean, variance };
}

const variances = {
  glorot_uniform: 2 / (fanIn + fanOut),
  glorot_normal: 2 / (fanIn + fanOut),
  he_uniform: 2 / fanIn,
  he_normal: 2 / fanIn,
  lecun_uniform: 1 / fanIn,
  lecun_normal: 1 / fanIn,
} as const;

describe.each(Object.entries(variances))('%s', (name, variance) => {
  const { weights } = initializers[name as keyof typeof variances];
  const drawn = weights(fanIn, fanOut, key, {});

  // Five standard errors: of the mean 5·√(variance/n), of the variance at most 5·variance·√(2/n).
  test('has the mean 0 and the stated variance', () => {
    const { mean, variance: got } = moments(drawn);
    expect(drawn.length).toBe(size);
    expect(Math.abs(mean)).toBeLessThan(5 * Math.sqrt(variance / size));
    expect(Math.abs(got / variance - 1)).toBeLessThan(5 * Math.sqrt(2 / size));
  });

  test('stays within its bound if uniform, and passes it if normal', () => {
    const bound = Math.sqrt(3 * variance);
    expect(drawn.every((w) => Math.abs(w) <= bound)).toBe(name.endsWith('uniform'));
  });

  test('depends on seed and layer', () => {
    expect(weights(fanIn, fanOut, { seed: 4, layer: 1 }, {})).not.toEqual(drawn);
    expect(weights(fanIn, fanOut, { seed: 3, layer: 2 }, {})).not.toEqual(drawn);
    expect(weights(fanIn, fanOut, key, {})).toEqual(drawn);
  });
});

test('uniform draws between its bounds and reaches both ends', () => {
  const drawn = initializers.uniform.weights(fanIn, fanOut, key, { low: 2, high: 3 });
  expect(Math.min(...drawn)).toBeGreaterThanOrEqual(2);
  expect(Math.min(...drawn)).toBeLessThan(2.01);
  expect(Math.max(...drawn)).toBeLessThan(3);
  expect(Math.max(...drawn)).toBeGreaterThan(2.99);
});

test('normal has the mean and the deviation asked for', () => {
  const { mean, variance } = moments(initializers.normal.weights(fanIn, fanOut, key, { mean: 5, std: 0.1 }));
  expect(Math.abs(mean - 5)).toBeLessThan((5 * 0.1) / Math.sqrt(size));
  expect(Math.abs(variance / 0.01 - 1)).toBeLessThan(5 * Math.sqrt(2 / size));
});

test('zeros are zeros', () => {
  expect(initializers.zeros.weights(3, 2, key, {})).toEqual(new Float64Array(6));
});

describe.each([
  { title: 'more units than inputs', inputs: 5, units: 9 },
  { title: 'fewer units than inputs', inputs: 9, units: 5 },
  { title: 'a square layer', inputs: 40, units: 40 },
])('orthogonal with $title', ({ inputs, units }) => {
  test('has orthogonal vectors of length gain', () => {
    const weights = initializers.orthogonal.weights(inputs, units, key, { gain: 2 });
    const byColumns = units > inputs;
    const [count, length] = byColumns ? [inputs, units] : [units, inputs];
    const at = (v: number, i: number) => weights[byColumns ? i * inputs + v : v * inputs + i];
    for (let v = 0; v < count; v++) {
      for (let u = 0; u <= v; u++) {
        let dot = 0;
        for (let i = 0; i < length; i++) dot += at(v, i) * at(u, i);
        // 40 terms, each rounded to 1.1e-16 of at most gain² = 4.
        expect(Math.abs(dot - (u === v ? 4 : 0))).toBeLessThan(2e-14);
      }
    }
  });
});
