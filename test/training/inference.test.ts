import { afterEach, describe, expect, test } from 'vitest';
import { epochPoints } from '../../src/training/epoch-points.ts';
import { createPool, type TrainingPool } from '../../src/training/pool.ts';
import type { RunRequest, RunResult } from '../../src/training/request.ts';
import { Run } from '../../src/training/run.ts';
import { smallRequest, xorRows } from './fixtures/requests.ts';

let pool: TrainingPool | null = null;

afterEach(async () => {
  await pool?.close();
  pool = null;
});

const open = () => {
  pool = createPool({ workers: 1 });
  return pool;
};

function modelOf(request: RunRequest): RunResult {
  const run = new Run(request, null);
  while (run.end === null) run.advance(1000);
  return run.result();
}

const request = smallRequest({ epochs: 20 });
/** Above the bound for an answer on the main thread: 21 parameters and 3 inputs a row. */
const manyRows = 50_000;

describe('inference', () => {
  test('a large question is answered by its thread with the numbers of the small ones, while every worker trains', async () => {
    const busy = open();
    const training = busy.run(smallRequest({ epochs: 1e9 }), { onProgress: () => {}, onCheckpoint: () => {} });
    const [model, { network }] = [modelOf(request), request];
    const { inputs } = xorRows(manyRows);
    const all = await busy.predict({ network, model, inputs, rows: manyRows });
    const first = await busy.predict({ network, model, inputs: inputs.subarray(0, 30), rows: 10 });
    const last = await busy.predict({ network, model, inputs: inputs.subarray(-30), rows: 10 });
    expect(all).toHaveLength(manyRows);
    expect([...all.subarray(0, 10)]).toEqual([...first]);
    expect([...all.subarray(-10)]).toEqual([...last]);
    expect(new Set(all).size).toBeGreaterThan(1);
    training.cancel();
    await training.finished;
  });

  test('inputs and outputs are in the units of the client, whatever the network was scaled to', async () => {
    const inputs = Float64Array.from({ length: 20 }, (_, i) => 1000 + 50 * i);
    const data = { rows: 20, inputs, targets: inputs.map((x) => 3 * x - 7) };
    const scaled = smallRequest({
      network: { input_size: 1, layers: [{ units: 1 }], loss: 'mean_squared_error', precision: 'float64' },
      data,
      epochs: 300,
      optimizer: { name: 'sgd', learning_rate: 0.1 },
      scaling: { inputs: 'standardize', targets: 'standardize' },
    });
    const question = { network: scaled.network, model: modelOf(scaled) };
    const outputs = await open().predict({ ...question, inputs: Float64Array.of(2000), rows: 1 });
    // The line is learned to well below a unit: plain least squares, conditioned by the scaling to 1.
    expect(Math.abs(outputs[0] - 5993)).toBeLessThan(1e-3);
    const answer = await pool!.evaluate({ ...question, data, metrics: ['rmse', 'r2'] });
    expect(answer.metrics.rmse).toBeLessThan(1e-3);
    expect(answer.metrics.r2).toBeGreaterThan(0.999999);
    expect(answer.loss).toBeLessThan(1e-12);
  });

  test('evaluating gives the loss and metrics that the run itself has measured', async () => {
    const validation = { data: xorRows(8) };
    const run = new Run(smallRequest({ validation, metrics: ['accuracy'] }), null);
    const points = [];
    while (run.end === null) points.push(...epochPoints(run.advance(1000).epochs));
    const { network } = smallRequest();
    const answer = await open().evaluate({
      network,
      model: run.result(),
      data: validation.data,
      metrics: ['accuracy'],
    });
    const { validation_loss, accuracy } = points.at(-1)!.values;
    expect(answer).toEqual({ loss: validation_loss, metrics: { accuracy }, confusion_matrix: null });
  });

  test('a question that cannot be answered is refused with a code, here and in the thread', async () => {
    const model = modelOf(request);
    const ask = (rows: number) => {
      const data = xorRows(rows);
      return open().evaluate({
        network: request.network,
        model,
        data,
        metrics: ['confusion_matrix', 'nonsense' as 'mae'],
      });
    };
    await expect(ask(4)).rejects.toThrow('unknown name "nonsense"');
    await pool!.close();
    await expect(ask(manyRows)).rejects.toMatchObject({ code: 'invalid_request', message: 'unknown name "nonsense"' });
  });
});
