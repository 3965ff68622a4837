import { describe, expect, it } from 'vitest';
import { type LossName, type LossSpec, losses, reductionScale, resolveLoss } from '../../src/engine/losses.ts';
import { float32 } from '../../src/engine/math/float32.ts';
import { float64 } from '../../src/engine/math/float64.ts';

function term(spec: LossSpec) {
  const { entry, options } = resolveLoss(spec).loss;
  return {
    value: (a: number, y: number) => entry.value(float64, a, y, options),
    slope: (a: number, y: number) => entry.derivative(float64, a, y, options),
  };
}

// loss, a, y, value, derivative: worked out by hand from the formulas.
const worked: [LossSpec, number, number, number, number][] = [
  ['mean_squared_error', 3, 1, 4, 4],
  ['mean_absolute_error', 1, 3.5, 2.5, -1],
  ['mean_absolute_error', 2, 2, 0, 0],
  [{ name: 'huber', delta: 2 }, 5, 1, 6, 2],
  [{ name: 'huber', delta: 2 }, 1, 2, 0.5, -1],
  ['huber', 1e200, 0, 1e200, 1],
  ['log_cosh', 1000, 0, 1000 - Math.LN2, 1],
  ['log_cosh', 1e-9, 0, 5e-19, 1e-9],
  ['log_cosh', 0, 1, Math.log(Math.cosh(1)), -Math.tanh(1)],
  ['binary_cross_entropy', 0.25, 1, Math.log(4), -4],
  ['binary_cross_entropy', 0.25, 0, Math.log(4 / 3), 4 / 3],
  ['binary_cross_entropy', 0.25, 0.5, 0.5 * Math.log(16 / 3), -2 + 2 / 3],
  ['categorical_cross_entropy', 0.25, 0.5, Math.LN2, -2],
  ['categorical_cross_entropy', 0, 0, 0, 0],
  ['sparse_categorical_cross_entropy', 0.25, 1, Math.log(4), -4],
  ['kl_divergence', 0.25, 0.5, 0.5 * Math.LN2, -2],
  ['kl_divergence', 0.25, 0, 0, 0],
  ['poisson', 2, 3, 2 - 3 * Math.LN2, -0.5],
  ['hinge', 0.25, 1, 0.75, -1],
  ['hinge', 0.25, -1, 1.25, 1],
  ['hinge', 3, 1, 0, 0],
];

describe('the term of one output', () => {
  it.each(worked)('%o at a = %d, y = %d', (spec, a, y, value, slope) => {
    const { value: got, slope: gotSlope } = term(spec);
    // A handful of float64 operations.
    expect(Math.abs(got(a, y) - value)).toBeLessThanOrEqual(1e-15 * Math.abs(value));
    if (!(a === 0 && y === 0)) expect(Math.abs(gotSlope(a, y) - slope)).toBeLessThanOrEqual(1e-15 * Math.abs(slope));
  });

  it('is NaN when the output is NaN, for every loss', () => {
    for (const name of Object.keys(losses) as LossName[]) {
      expect([name, term(name).value(Number.NaN, 1), term(name).slope(Number.NaN, 1)]).toEqual([
        name,
        Number.NaN,
        name === 'hinge' ? 0 : Number.NaN,
      ]);
    }
  });

  it('keeps log_cosh smooth where its two forms meet', () => {
    const { value } = term('log_cosh');
    for (const d of [0.9, 0.999999, 1, 1.000001, 1.1, 3]) {
      expect(Math.abs(value(d, 0) - Math.log(Math.cosh(d)))).toBeLessThan(2e-15);
    }
  });
});

it('resolves names and objects, the reduction apart from the options', () => {
  expect(resolveLoss('poisson').reduction).toBe('mean');
  const { loss, reduction } = resolveLoss({ name: 'huber', delta: 0.5, reduction: 'batch_mean' });
  expect([loss.name, loss.options, reduction]).toEqual(['huber', { delta: 0.5 }, 'batch_mean']);
  expect(() => resolveLoss('mse' as LossName)).toThrow(RangeError);
});

it('scales by batch and outputs, categorical losses by the batch alone', () => {
  const scale = (name: LossName, reduction: 'mean' | 'batch_mean' | 'sum') =>
    reductionScale(losses[name], reduction, 10, 2);
  expect([scale('mean_squared_error', 'mean'), scale('kl_divergence', 'mean')]).toEqual([1 / 20, 1 / 10]);
  expect([scale('binary_cross_entropy', 'batch_mean'), scale('hinge', 'sum')]).toEqual([1 / 10, 1]);
});

it('gives float32 losses that follow float64', () => {
  for (const name of Object.keys(losses) as LossName[]) {
    const { entry, options } = resolveLoss(name).loss;
    for (let a = 0.05; a < 1; a += 0.049) {
      const x = Math.fround(a);
      const exact = entry.value(float64, x, 1, options);
      // A few roundings of terms that are at most 3.
      expect(Math.abs(entry.value(float32, x, 1, options) - exact)).toBeLessThan(6 * 2 ** -23);
    }
  }
});
