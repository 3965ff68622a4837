import { describe, expect, test } from 'vitest';
import { plan } from '../../../src/engine/plan.ts';
import { largestCurvature, rateBound } from '../../../src/training/post-mortem/curvature.ts';
import { tryOut } from '../../../src/training/post-mortem/trial.ts';
import type { RunRequest } from '../../../src/training/request.ts';

const network = {
  input_size: 2,
  layers: [{ units: 1, use_bias: false }],
  loss: 'mean_squared_error',
  precision: 'float64',
} as const;
/** Loss = mean (w·x − y)², so the Hessian is 2·mean(x·xᵀ) = diag(2·16/2, 2·9/2). */
const data = { rows: 2, inputs: Float64Array.of(4, 0, 0, 3), targets: Float64Array.of(1, 1) };
const values = { parameters: Float64Array.of(0.5, -0.25), statistics: new Float64Array(0) };

describe('the largest curvature', () => {
  test('of a linear model is the largest eigenvalue of its Hessian', () => {
    const found = largestCurvature(plan(network), values, data)!;
    // The iteration ends when it gains 1e-6 of 16; the rest of the series, of ratio (9/16)², is less than that.
    expect(Math.abs(found - 16)).toBeLessThan(16 * 1e-6);
  });

  test('is the largest one also where a negative one is larger in size', () => {
    // Loss = mean (w2·w1·x − y)²: at 0 the Hessian is [[0, −2·x·y], [−2·x·y, 0]] with the eigenvalues ±2·x·y.
    const saddle = {
      ...network,
      input_size: 1,
      layers: [
        { units: 1, use_bias: false },
        { units: 1, use_bias: false },
      ],
    };
    const point = { rows: 1, inputs: Float64Array.of(3), targets: Float64Array.of(2) };
    const zero = { parameters: new Float64Array(2), statistics: new Float64Array(0) };
    const found = largestCurvature(plan(saddle), zero, point)!;
    // Shifted by the radius 12 the other eigenvalue is 0: what is left is rounding and the fourth derivative times h².
    expect(Math.abs(found - 12)).toBeLessThan(12 * 1e-6);
  });
});

describe('the bound on the learning rate', () => {
  const request: RunRequest = {
    network,
    data,
    epochs: 1_000_000,
    batch_size: 2,
    shuffle: false,
    seed: 0,
    optimizer: 'sgd',
    learning_rate_schedule: [],
    initial_parameters: values,
    metrics: [],
    arithmetic: 'strict',
  };

  test.each([{ name: 'sgd' }, { name: 'sgd', momentum: 0.9 }, { name: 'sgd', momentum: 0.5, nesterov: true }] as const)(
    'parts what is stable from what is not: %o',
    (optimizer) => {
      const bound = rateBound(optimizer as RunRequest['optimizer'], 16)!;
      const lossAt = (learning_rate: number) =>
        tryOut({ ...request, optimizer: { ...optimizer, learning_rate } as RunRequest['optimizer'] }, 2000).loss;
      expect(lossAt(0.99 * bound)).toBeLessThan(1e-6);
      expect(lossAt(1.01 * bound)).toBeGreaterThan(1);
    },
  );

  test('is not given for optimizers that scale their steps', () => {
    expect(rateBound('adam', 16)).toBeNull();
  });
});
