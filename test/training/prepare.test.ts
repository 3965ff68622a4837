import { describe, expect, test } from 'vitest';
import { plan } from '../../src/engine/plan.ts';
import { prepareData } from '../../src/training/prepare.ts';
import type { RunRequest } from '../../src/training/request.ts';
import { smallRequest, xorRows } from './fixtures/requests.ts';

const prepare = (changes: Partial<RunRequest>) => {
  const request = smallRequest(changes);
  return { request, ...prepareData(request, plan(request.network)) };
};

describe('prepared data', () => {
  test('without a split or scaling is the data itself, not a copy', () => {
    const { request, data, rows, validation } = prepare({});
    expect(data.inputs).toBe(request.data.inputs);
    expect([...rows]).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(validation).toBeNull();
  });

  test('held-out rows are validated on and not trained on', () => {
    const { request, rows, validation } = prepare({ validation: { rows: [1, 8] } });
    expect([...rows]).toEqual([0, 2, 3, 4, 5, 6, 7, 9]);
    const { inputs, targets } = request.data;
    expect([...validation!.inputs]).toEqual([...inputs.subarray(3, 6), ...inputs.subarray(24, 27)]);
    expect([...validation!.targets]).toEqual([targets[1], targets[8]]);
  });

  test('rows held out for the test are in no other part, also when nothing validates', () => {
    const { request, rows, validation, test: tested, measured } = prepare({ test: { rows: [0, 9] } });
    expect([...rows]).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    expect(validation).toBeNull();
    expect([...tested!.targets]).toEqual([request.data.targets[0], request.data.targets[9]]);
    expect([...measured.targets]).toEqual([...request.data.targets.subarray(1, 9)]);
    const both = prepare({ test: { fraction: 0.2 }, validation: { fraction: 0.3 } });
    expect([both.rows.length, both.validation!.rows, both.test!.rows]).toEqual([5, 3, 2]);
  });

  test('rows of soft targets are held out by their class, not by their value', () => {
    const targets = Float64Array.from({ length: 10 }, (_, row) => row / 10);
    const network: RunRequest['network'] = {
      ...smallRequest().network,
      layers: [{ units: 1, activation: 'sigmoid' }],
      loss: 'binary_cross_entropy',
    };
    const { validation } = prepare({ network, data: { ...xorRows(10), targets }, validation: { fraction: 0.4 } });
    expect([...validation!.targets].map((y) => y >= 0.5)).toEqual([false, false, true, true]);
  });

  test('a fraction is drawn from the seed', () => {
    const rowsOf = (seed: number) => [...prepare({ validation: { fraction: 0.3 }, data: xorRows(100), seed }).rows];
    expect(rowsOf(1)).toHaveLength(70);
    expect(rowsOf(1)).toEqual(rowsOf(1));
    expect(rowsOf(1)).not.toEqual(rowsOf(2));
  });

  test('the scaling is fitted on the training rows alone and applied to all', () => {
    const data = { rows: 4, inputs: Float64Array.of(1, 3, 1, 3), targets: Float64Array.of(0, 1, 0, 1) };
    const network: RunRequest['network'] = { ...smallRequest().network, input_size: 1 };
    const inputs = data.inputs.map((x, row) => (row === 3 ? 1e6 : x));
    const { data: scaled, validation } = prepare({
      network,
      data: { ...data, inputs },
      validation: { rows: [3] },
      scaling: { inputs: 'min_max' },
    });
    expect([...scaled.inputs.subarray(0, 3)]).toEqual([0, 1, 0]);
    expect([...validation!.inputs]).toEqual([(1e6 - 1) / 2]);
  });

  test('a data set of its own is scaled like the training rows', () => {
    const own = { rows: 1, inputs: Float64Array.of(2, 2, 2), targets: Float64Array.of(1) };
    const { validation } = prepare({ validation: { data: own }, scaling: { inputs: 'min_max' } });
    expect([...validation!.inputs.subarray(0, 2)]).toEqual([2, 2]);
    // The third column runs from 0 to 0.8.
    expect(validation!.inputs[2]).toBe(2 / 0.8);
  });
});
