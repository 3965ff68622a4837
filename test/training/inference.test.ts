import { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import type { NetworkDefinition } from '../../src/engine/definition.ts';
import { epochPoints } from '../../src/training/epoch-points.ts';
import { createPool, type TrainingPool } from '../../src/training/pool.ts';
import type { RunRequest, RunResult, TrainedModel } from '../../src/training/request.ts';
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
/** Several chunks of rows. */
const manyRows = 50_000;

describe('inference', () => {
  test('a question is answered while every worker trains, with the same numbers however many rows are asked at once', async () => {
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
    expect(answer).toEqual({ loss: validation_loss, metrics: { accuracy }, confusion_matrix: null, areas: null });
  });

  test('a question that cannot be answered is refused with a code, and the thread goes on to the next one', async () => {
    const model = modelOf(request);
    const { network } = request;
    const data = xorRows(4);
    const metrics = ['confusion_matrix', 'nonsense' as 'mae'] as const;
    const refused = open().evaluate({ network, model, data, metrics });
    await expect(refused).rejects.toMatchObject({ code: 'invalid_request', message: 'unknown name "nonsense"' });
    expect(await pool!.predict({ network, model, inputs: data.inputs, rows: 4 })).toHaveLength(4);
  });

  test('a small question waits neither for a large one nor for a network that is slow to start', async () => {
    pool = createPool({ workers: 1, entry: new URL('./fixtures/held-inference.ts', import.meta.url) });
    const modelOfZeros = (parameters: number): TrainedModel => ({
      parameters: new Float32Array(parameters),
      statistics: new Float32Array(0),
      preprocessing: { inputs: null, targets: null },
      target_kind: 'values',
    });
    const ask = (layers: number, rows: number, inputs: Float64Array = new Float64Array(rows)) => {
      const network: NetworkDefinition = {
        input_size: 1,
        layers: Array.from({ length: layers }, () => ({ units: 1 })),
        loss: 'mean_squared_error',
      };
      return pool!.predict({ network, model: modelOfZeros(2 * layers), inputs, rows });
    };
    const gate = new Float64Array(new SharedArrayBuffer(8));
    // A network of many layers, and more rows than a small question may have.
    const held = [ask(30, 1, gate), ask(1, 2 ** 21, gate)];
    expect(await ask(1, 1)).toHaveLength(1);
    const cells = new Int32Array(gate.buffer);
    Atomics.store(cells, 0, 1);
    Atomics.notify(cells, 0);
    expect(await Promise.all(held)).toHaveLength(2);
  });

  test('nothing is compiled on the thread that asks', async () => {
    const asking = open();
    const compiled = vi.spyOn(WebAssembly, 'Module');
    try {
      // A shape of its own, so that it cannot have been compiled before.
      const network: NetworkDefinition = { input_size: 3, layers: [{ units: 23 }, { units: 1 }], loss: 'huber' };
      const model = modelOf(smallRequest({ network, epochs: 1 }));
      expect(compiled).toHaveBeenCalled();
      compiled.mockClear();
      expect(await asking.predict({ network, model, inputs: xorRows(1).inputs, rows: 1 })).toHaveLength(1);
      expect(compiled).not.toHaveBeenCalled();
    } finally {
      compiled.mockRestore();
    }
  });

  test('a few rows of a small model need no thread once one has compiled it, and give the same bits', async () => {
    const asking = open();
    const network: NetworkDefinition = { input_size: 3, layers: [{ units: 29 }, { units: 2 }], loss: 'huber' };
    const data = { ...xorRows(10), targets: Float64Array.from({ length: 20 }, (_, i) => i * 1000) };
    const model = modelOf(
      smallRequest({ network, data, epochs: 1, scaling: { inputs: 'standardize', targets: 'standardize' } }),
    );
    const ask = (rows: number) => asking.predict({ network, model, inputs: xorRows(rows).inputs, rows });
    const posted = vi.spyOn(Worker.prototype, 'postMessage');
    const compiled = vi.spyOn(WebAssembly, 'Module');
    onTestFinished(() => {
      posted.mockRestore();
      compiled.mockRestore();
    });
    const byThread = await ask(7);
    expect(posted).toHaveBeenCalled();
    let here: unknown;
    const asksThread = async () => {
      posted.mockClear();
      here = await ask(7);
      return posted.mock.calls.length > 0;
    };
    await expect.poll(asksThread).toBe(false);
    expect(here).toEqual(byThread);
    expect(compiled).not.toHaveBeenCalled();
    expect((await ask(5000)).subarray(0, 14)).toEqual(byThread);
    expect(posted).toHaveBeenCalled();
  });

  test('models that were forgotten for newer ones are learned again', async () => {
    // Two models together are more than the thread keeps.
    const network: NetworkDefinition = { input_size: 11_000, layers: [{ units: 1_000 }], loss: 'mean_squared_error' };
    const size = 11_000 * 1_000 + 1_000;
    const constant = (value: number): TrainedModel => ({
      parameters: new Float32Array(size).fill(0).fill(value, size - 1_000),
      statistics: new Float32Array(0),
      preprocessing: { inputs: null, targets: null },
      target_kind: 'values',
    });
    const [one, two] = [constant(1), constant(2)];
    const ask = async (model: TrainedModel) => {
      const outputs = await pool!.predict({ network, model, inputs: new Float32Array(11_000), rows: 1 });
      return outputs[0];
    };
    open();
    expect([await ask(one), await ask(two), await ask(one)]).toEqual([1, 2, 1]);
  });
});
