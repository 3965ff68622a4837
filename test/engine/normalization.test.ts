import { describe, expect, test } from 'vitest';
import type { PlannedNormalization } from '../../src/engine/backend.ts';
import { float64 } from '../../src/engine/math/float64.ts';
import {
  normalizationCache,
  normalizeBackward,
  normalizeForward,
  updateRunning,
} from '../../src/engine/normalization.ts';
import { expectClose } from './compare.ts';

const [rows, units] = [4, 3];
const shape = [rows, units] as const;

function layer(kind: PlannedNormalization['kind']): PlannedNormalization {
  const slice = (offset: number) => ({ offset, length: units, shape: [units] });
  const running = kind === 'batch_norm';
  return {
    kind,
    epsilon: 1e-5,
    momentum: 0.1,
    gamma: slice(0),
    beta: slice(units),
    running_mean: running ? slice(0) : null,
    running_variance: running ? slice(units) : null,
  };
}

const z: Float64Array = Float64Array.of(0.3, -1.2, 2, 1.7, 0.4, -0.6, -2.1, 0.9, 1.1, 0.2, 3.3, -0.8);
const parameters: Float64Array = Float64Array.of(1.5, -0.7, 0.4, 0.1, 0.2, -0.3);
/** Makes the loss Σ c·y, so that dLoss/dy = c. */
const c = Float64Array.of(0.5, 1.1, -0.3, 0.8, -1.4, 0.2, 0.9, 0.6, -0.7, 1.3, -0.2, 0.4);

function forward(
  kind: PlannedNormalization['kind'],
  input = z,
  values = parameters,
  statistics: Float64Array | null = null,
) {
  const planned = layer(kind);
  const cache = normalizationCache(planned, Float64Array, shape);
  const y = new Float64Array(rows * units);
  normalizeForward(float64, planned, input, values, statistics, cache, y, shape);
  return { planned, cache, y };
}

const loss = (y: Float64Array) => y.reduce((sum, value, i) => sum + c[i] * value, 0);

const entriesOf = {
  batch_norm: (group: number) => Array.from({ length: rows }, (_, row) => row * units + group),
  layer_norm: (group: number) => Array.from({ length: units }, (_, unit) => group * units + unit),
} as const;

describe.each(['batch_norm', 'layer_norm'] as const)('%s', (kind) => {
  test('gives every group the mean 0 and the variance var/(var + ε)', () => {
    const plain = Float64Array.of(1, 1, 1, 0, 0, 0);
    const { y } = forward(kind, z, plain);
    for (let group = 0; group < (kind === 'batch_norm' ? units : rows); group++) {
      const entries = entriesOf[kind](group);
      const mean = (values: Float64Array) => entries.reduce((sum, e) => sum + values[e], 0) / entries.length;
      const variance = (values: Float64Array) => {
        const center = mean(values);
        return entries.reduce((sum, e) => sum + (values[e] - center) ** 2, 0) / entries.length;
      };
      expectClose([mean(y)], 0, { absolute: 1e-15 }, 'mean');
      expectClose([variance(y)], variance(z) / (variance(z) + 1e-5), { relative: 1e-14 }, 'variance');
    }
  });

  test('scales by gamma and shifts by beta', () => {
    const { y, cache } = forward(kind);
    const want = Array.from(cache.normalized, (n, e) => parameters[e % units] * n + parameters[units + (e % units)]);
    expectClose(y, want, { relative: 1e-15 }, 'y');
  });

  test('its gradients agree with central differences', () => {
    const { planned, cache } = forward(kind);
    const gradient = c.slice();
    const gradients = new Float64Array(2 * units);
    normalizeBackward(float64, planned, gradient, parameters, cache, gradients, shape);
    // Truncation h²·f''' ≈ 1e-10 and rounding 1e-16·|loss|/h ≈ 1e-11 for h = 1e-5.
    const h = 1e-5;
    const slope = (values: Float64Array, i: number, at: (moved: Float64Array) => number) => {
      const [up, down] = [values.slice(), values.slice()];
      up[i] += h;
      down[i] -= h;
      return (at(up) - at(down)) / (2 * h);
    };
    const dz = Array.from(z, (_, i) => slope(z, i, (moved) => loss(forward(kind, moved).y)));
    const dp = Array.from(parameters, (_, i) => slope(parameters, i, (moved) => loss(forward(kind, z, moved).y)));
    expectClose(gradient, dz, { absolute: 1e-8 }, 'dz');
    expectClose(gradients, dp, { absolute: 1e-8 }, 'dgamma and dbeta');
  });
});

test('batch_norm predicts with the running statistics', () => {
  const statistics = Float64Array.of(0.5, -0.5, 1, 4, 9, 0.25);
  const { y } = forward('batch_norm', z, Float64Array.of(1, 1, 1, 0, 0, 0), statistics);
  const want = Array.from(z, (value, e) => (value - statistics[e % 3]) / Math.sqrt(statistics[3 + (e % 3)] + 1e-5));
  expectClose(y, want, { relative: 1e-15 }, 'y');
});

// torch.nn.BatchNorm1d: running = 0.9·running + 0.1·batch, variance with rows − 1.
test('the running statistics take a tenth of the batch, the variance unbiased', () => {
  const { planned, cache } = forward('batch_norm');
  const next = new Float64Array(2 * units);
  updateRunning(float64, planned, cache, Float64Array.of(0, 0, 0, 1, 1, 1), next, shape);
  for (let unit = 0; unit < units; unit++) {
    const column = entriesOf.batch_norm(unit).map((e) => z[e]);
    const mean = column.reduce((sum, value) => sum + value, 0) / rows;
    const variance = column.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (rows - 1);
    expectClose([next[unit], next[units + unit]], [0.1 * mean, 0.9 + 0.1 * variance], { relative: 1e-14 }, 'running');
  }
});

test('a constant column gives beta, not NaN', () => {
  const { y } = forward('batch_norm', new Float64Array(rows * units).fill(7));
  expect(Array.from(y.subarray(0, 3))).toEqual([0.1, 0.2, -0.3]);
});
