import { describe, expect, test } from 'vitest';
import { plan } from '../../src/engine/plan.ts';
import type { MetricContext } from '../../src/training/metric-context.ts';
import { prepareData } from '../../src/training/prepare.ts';
import type { RunRequest } from '../../src/training/request.ts';
import { rowWeights } from '../../src/training/row-weights.ts';
import { Run } from '../../src/training/run.ts';
import { smallRequest } from './fixtures/requests.ts';

const labels: MetricContext = { target_kind: 'labels', output_size: 3 };
const all = (rows: number) => Uint32Array.from({ length: rows }, (_, row) => row);
const data = (targets: readonly number[], weights?: readonly number[]) => ({
  rows: targets.length,
  inputs: new Float64Array(0),
  targets: Float64Array.from(targets),
  weights: weights && Float64Array.from(weights),
});

describe('the weights of rows', () => {
  test('are those of the rows themselves where classes have none', () => {
    const rows = data([0, 1], [2, 3]);
    expect(rowWeights(rows, all(2), labels, undefined)).toBe(rows.weights);
  });

  test('balanced are n / (k·n_c) of the rows that are trained on', () => {
    // sklearn.utils.class_weight.compute_class_weight('balanced', classes=[0, 1, 2], y=[0, 0, 0, 1, 2, 2]) = [2/3, 2, 1]
    const got = rowWeights(data([0, 0, 0, 1, 2, 2, 1]), all(6), labels, 'balanced');
    expect(got).toEqual(Float64Array.of(2 / 3, 2 / 3, 2 / 3, 2, 1, 1, 2));
  });

  test('balanced leave a class without training rows out of the count', () => {
    expect(rowWeights(data([0, 0, 0, 2]), all(4), labels, 'balanced')).toEqual(Float64Array.of(2 / 3, 2 / 3, 2 / 3, 2));
  });

  test('by name are 1 where nothing is said, and are multiplied with those of the rows', () => {
    const got = rowWeights(data([0, 1, 2, 1], [1, 2, 3, 4]), all(4), labels, { b: 5, c: 0 }, ['a', 'b', 'c']);
    expect(got).toEqual(Float64Array.of(1, 10, 0, 20));
  });

  test('of one output are by its two classes: 0 and 1, or −1 and 1', () => {
    const binary: MetricContext = { target_kind: 'indicators', output_size: 1 };
    expect(rowWeights(data([0, 1, 1]), all(3), binary, { 1: 3 })).toEqual(Float64Array.of(1, 3, 3));
    const signs: MetricContext = { target_kind: 'signs', output_size: 1 };
    expect(rowWeights(data([-1, 1, -1]), all(3), signs, { '-1': 2 })).toEqual(Float64Array.of(2, 1, 2));
  });

  test('of classes are refused for numbers', () => {
    expect(() => rowWeights(data([0.5]), all(1), { target_kind: 'values', output_size: 1 }, 'balanced')).toThrow(
      RangeError,
    );
  });
});

describe('training with weights', () => {
  /** Outputs stay at 0, so the squared errors of the targets 0, 1, 2, 3 are 0, 1, 4, 9. */
  const request = (weights: readonly number[] | undefined, changes: Partial<RunRequest> = {}): RunRequest =>
    smallRequest({
      network: {
        input_size: 1,
        layers: [{ units: 1, initializer: 'zeros' }],
        loss: 'mean_squared_error',
        precision: 'float64',
      },
      data: { ...data([0, 1, 2, 3], weights), inputs: new Float64Array(4) },
      epochs: 1,
      batch_size: 2,
      shuffle: false,
      optimizer: { name: 'sgd', learning_rate: 1e-300 },
      ...changes,
    });

  test('divides the weighted losses of a batch by its number of rows', () => {
    const { steps, epochs } = new Run(request([1, 2, 0.5, 4]), null).advance(10);
    expect([...steps.losses]).toEqual([(1 * 0 + 2 * 1) / 2, (0.5 * 4 + 4 * 9) / 2]);
    expect(epochs.series.loss[0]).toBe((2 + 2 + 36) / 4);
  });

  test('is as if a row of weight 2 were there twice, for a summed loss', () => {
    const network: RunRequest['network'] = {
      ...request(undefined).network,
      loss: { name: 'mean_squared_error', reduction: 'sum' },
    };
    const changes = { network, batch_size: 8, optimizer: { name: 'sgd', learning_rate: 0.01 } as const, epochs: 3 };
    const once = { ...data([1, 3], [1, 2]), inputs: Float64Array.of(1, -2) };
    const twice = { ...data([1, 3, 3]), inputs: Float64Array.of(1, -2, -2) };
    const train = (rows: RunRequest['data']) => {
      const run = new Run(request(undefined, { ...changes, data: rows }), null);
      run.advance(10);
      return run.result().parameters;
    };
    // Sums of two and of three terms: a handful of roundings on numbers below 1.
    train(once).forEach((value, i) => {
      expect(Math.abs(value - train(twice)[i])).toBeLessThanOrEqual(1e-14);
    });
  });

  test('leaves validation, test and metrics unweighted', () => {
    const split = { validation: { rows: [3] }, test: { rows: [2] } };
    const run = new Run(request([1, 1, 7, 7], { ...split, metrics: ['mse'] }), null);
    const { epochs } = run.advance(10);
    expect([epochs.series.validation_loss[0], epochs.series.mse[0]]).toEqual([9, 9]);
    expect(run.test()).toMatchObject({ rows: 1, loss: 4, metrics: { mse: 4, rmse: 2, mae: 2, r2: null } });
  });

  test('balanced counts after rows were held out', () => {
    const binary: RunRequest['network'] = {
      ...request(undefined).network,
      layers: [{ units: 1, activation: 'sigmoid' }],
      loss: 'binary_cross_entropy',
    };
    const rows = { ...data([0, 0, 1, 1, 1]), inputs: new Float64Array(5) };
    const wanted = request(undefined, {
      network: binary,
      data: rows,
      class_weights: 'balanced',
      validation: { rows: [2] },
      test: { rows: [1] },
    });
    const prepared = prepareData(wanted, plan(binary));
    // One negative and two positives are left: 3 / (2·1) and 3 / (2·2).
    expect(prepared.data.weights).toEqual(Float64Array.of(1.5, 1.5, 0.75, 0.75, 0.75));
  });
});
