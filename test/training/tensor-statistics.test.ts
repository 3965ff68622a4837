import { describe, expect, it } from 'vitest';
import { uniform } from '../../src/engine/prng.ts';
import { tensorStatistics } from '../../src/training/tensor-statistics.ts';

/** The definition in two passes. */
function twoPasses(values: readonly number[]) {
  const mean = values.reduce((sum, x) => sum + x, 0) / values.length;
  const variance = values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / values.length;
  return { mean, std: Math.sqrt(variance) };
}

const close = (got: number, wanted: number, relative: number) =>
  expect(Math.abs(got - wanted)).toBeLessThanOrEqual(relative * Math.abs(wanted));

describe('the statistics of a tensor', () => {
  it('are exact on numbers that can be checked by hand', () => {
    expect(tensorStatistics(Float64Array.of(1, -3, 0, 2))).toEqual({
      abs_max: 3,
      mean: 0,
      std: Math.sqrt(3.5),
      zero_fraction: 0.25,
      non_finite: 0,
    });
  });

  it('read only the part that is asked for', () => {
    const values = Float32Array.of(99, 4, 8, -77);
    expect(tensorStatistics(values, 1, 2)).toEqual({ abs_max: 8, mean: 6, std: 2, zero_fraction: 0, non_finite: 0 });
    expect(tensorStatistics(values, 1).abs_max).toBe(77);
  });

  it('count what is not finite and measure the rest', () => {
    const values = Float64Array.of(Number.NaN, 5, Number.POSITIVE_INFINITY, 7, Number.NEGATIVE_INFINITY, 0);
    const { std, ...rest } = tensorStatistics(values);
    expect(rest).toEqual({ abs_max: 7, mean: 4, zero_fraction: 1 / 6, non_finite: 3 });
    close(std, twoPasses([5, 7, 0]).std, 1e-15);
  });

  it('say NaN where there is nothing to measure', () => {
    const nothing = { abs_max: 0, mean: Number.NaN, std: Number.NaN, zero_fraction: 0 };
    expect(tensorStatistics(Float64Array.of(Number.NaN))).toEqual({ ...nothing, non_finite: 1 });
    expect(tensorStatistics(new Float32Array(0))).toEqual({ ...nothing, non_finite: 0 });
  });

  it('keep the spread of values that lie far from zero', () => {
    const values = Array.from({ length: 1000 }, (_, i) => 1e9 + uniform(3, 'shuffle', 0, i));
    const { mean, std } = tensorStatistics(Float64Array.from(values));
    const wanted = twoPasses(values);
    close(mean, wanted.mean, 1e-15);
    // The values themselves are rounded to 1.2e-7, and the two passes see the same rounded values.
    close(std, wanted.std, 1e-9);
  });

  it('keep the spread when the first value is the outlier', () => {
    const values = [1e6, ...Array.from({ length: 999 }, (_, i) => uniform(4, 'shuffle', 0, i))];
    const { mean, std } = tensorStatistics(Float64Array.from(values));
    const wanted = twoPasses(values);
    // n = 1000 values: at most a factor n + 1 over the 2^-52 of one rounding, and n roundings in a sum.
    close(mean, wanted.mean, 1e-9);
    close(std, wanted.std, 1e-9);
  });

  it('do not overflow where the values do not', () => {
    const { mean, std, abs_max } = tensorStatistics(Float64Array.of(1.5e308, -1.5e308, 1.5e308, -1.5e308));
    expect(abs_max).toBe(1.5e308);
    expect(mean).toBe(0);
    close(std, 1.5e308, 1e-15);
  });
});
