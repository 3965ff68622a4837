import { describe, expect, it } from 'vitest';
import { jobView } from '../../src/schemas/job-view.ts';
import { evaluation } from '../../src/schemas/prediction.ts';
import { useApp } from '../support/app.ts';
import { train } from '../support/jobs.ts';

const running = useApp({ MAX_WORKERS: '1' });

/** 30 rows of three kinds, told apart by size; the column `weight` is 1 or 2. */
const kinds = ['small', 'medium', 'large'];
const csv = `size,weight,kind\n${Array.from({ length: 30 }, (_, i) => `${(i % 3) * 10 + i / 30},${1 + (i % 2)},${kinds[i % 3]}`).join('\n')}\n`;
const upload = async (text = csv) =>
  (await running.request.post('/v1/datasets').set('content-type', 'text/csv').send(text).expect(201)).body;
const network = (input_size: number) => ({
  input_size,
  layers: [
    { units: 8, activation: 'tanh' },
    { units: 3, activation: 'softmax' },
  ],
  loss: 'sparse_categorical_cross_entropy',
});
const options = {
  epochs: 60,
  batch_size: 8,
  standardize: true,
  seed: 1,
  optimizer: { name: 'adam', learning_rate: 0.05 },
};
const refused = async (body: object) => (await running.request.post('/v1/jobs').send(body).expect(422)).body.errors;

describe('a job with test rows', () => {
  it('answers with what its final model is worth on them, by the names of the classes', async () => {
    const dataset = await upload();
    const job = { ...options, network: network(2), dataset_id: dataset.id };
    const done = await train(running, { ...job, validation: { fraction: 0.2 }, test: { fraction: 0.2 } });
    expect(jobView.safeParse(done).error).toBeUndefined();
    expect(done.test).toMatchObject({ rows: 6, metrics: { accuracy: 1, f1: 1 } });
    expect(done.test!.confusion_matrix!.per_class).toEqual(
      // Stratified: two rows of each kind.
      ['large', 'medium', 'small'].map((name) => ({ name, precision: 1, recall: 1, f1: 1, support: 2 })),
    );
    expect(done.progress.steps).toBe(60 * Math.ceil(18 / 8));
    const named = await train(running, { ...job, test: { rows: [0, 1, 2] }, metrics: ['roc_auc', 'accuracy'] });
    expect(named.test).toMatchObject({ rows: 3, metrics: { roc_auc: 1, accuracy: 1, recall: 1 } });
    const oneClass = await train(running, { ...job, test: { rows: [0, 3] }, metrics: ['roc_auc'] });
    expect(oneClass.test!.metrics).toMatchObject({ roc_auc: null, accuracy: 1 });
    expect((await train(running, job)).test).toBeNull();
    const metrics = ['roc_auc', 'confusion_matrix', 'log_loss', { name: 'top_k_accuracy', k: 2 }];
    const judged = await running.request.post(done.urls.evaluate).send({ dataset_id: dataset.id, metrics }).expect(200);
    expect(evaluation.safeParse(judged.body).error).toBeUndefined();
    expect(judged.body.metrics).toEqual({ roc_auc: 1, log_loss: expect.any(Number), top_2_accuracy: 1 });
    expect(judged.body.confusion_matrix.per_class[0]).toEqual({
      name: 'large',
      precision: 1,
      recall: 1,
      f1: 1,
      support: 10,
      roc_auc: 1,
    });
  });

  it('is measured with the best model where that is what the job keeps', async () => {
    const dataset = await upload();
    const early_stopping = { monitor: 'validation_loss', patience: 3 };
    const done = await train(running, {
      ...options,
      network: network(2),
      dataset_id: dataset.id,
      validation: { rows: [0, 1, 2] },
      test: { rows: [3, 4, 5] },
      early_stopping,
      optimizer: { name: 'sgd', learning_rate: 3, momentum: 0.9 },
    });
    expect(done.best!.step).toBeLessThan(done.progress.step);
    const rows = [3, 4, 5].map((i) => [(i % 3) * 10 + i / 30, 1 + (i % 2)]);
    const data = { inputs: rows, targets: [2, 1, 0] };
    const judged = await running.request.post(done.urls.evaluate).send({ data }).expect(200);
    expect(evaluation.safeParse(judged.body).error).toBeUndefined();
    expect(done.test).toEqual({
      rows: 3,
      loss: judged.body.loss,
      metrics: judged.body.metrics,
      confusion_matrix: judged.body.confusion_matrix,
    });
  });

  it('is refused when a row would be in two parts, is not there, or none would be left', async () => {
    const { id } = await upload();
    const job = { ...options, network: network(2), dataset_id: id };
    const places = async (split: object) =>
      (await refused({ ...job, ...split })).map(({ pointer, detail }: Record<string, string>) => [pointer, detail]);
    expect(await places({ validation: { rows: [1, 2] }, test: { rows: [5, 2, 30, 5] } })).toEqual([
      ['/test/rows/1', 'Row 2 is in validation as well: a row can be in one part only.'],
      ['/test/rows/2', 'Row 30 is not one of the 30 rows.'],
      ['/test/rows/3', 'Row 5 is named twice.'],
    ]);
    expect(await places({ validation: { fraction: 0.5 }, test: { fraction: 0.5 } })).toEqual([
      ['/validation/fraction', 'Of the 30 rows 30 would be held out: no row would be left to train on.'],
    ]);
    expect((await refused({ ...job, test: { fraction: 0.1, rows: [1] } }))[0].pointer).toBe('/test/rows');
  });
});

describe('a job with weights', () => {
  it('takes those of the rows from a column, which then is no feature, and those of classes by name', async () => {
    const dataset = await upload();
    const job = { ...options, network: network(1), dataset_id: dataset.id, sample_weights: 'weight' };
    const done = await train(running, { ...job, class_weights: { small: 2 }, metrics: ['accuracy'] });
    expect(done).toMatchObject({ state: 'succeeded', latest: { accuracy: 1 } });
    expect(done.request).toMatchObject({ sample_weights: 'weight', class_weights: { small: 2 } });
    const predicted = await running.request
      .post(done.urls.predict)
      .send({ inputs: [{ size: 20 }] })
      .expect(200);
    expect(predicted.body.labels).toEqual(['large']);
    const judged = await running.request.post(done.urls.evaluate).send({ dataset_id: dataset.id }).expect(200);
    expect(judged.body.metrics.accuracy).toBe(1);
    const plain = await train(running, job);
    expect(plain.parameters_sha256).not.toBe(done.parameters_sha256);
    expect(plain.run_sha256).not.toBe(done.run_sha256);
  });

  it('gives the same numbers for the weights of a column and of a list', async () => {
    const { id } = await upload();
    const without = await upload(csv.replaceAll(/,([12]|weight),/g, ','));
    const job = { ...options, network: network(1) };
    const byColumn = await train(running, { ...job, dataset_id: id, sample_weights: 'weight' });
    const sample_weights = Array.from({ length: 30 }, (_, i) => 1 + (i % 2));
    const byList = await train(running, { ...job, dataset_id: without.id, sample_weights });
    expect(byList.parameters_sha256).toBe(byColumn.parameters_sha256);
    const unweighted = await train(running, { ...job, dataset_id: without.id });
    expect(unweighted.parameters_sha256).not.toBe(byList.parameters_sha256);
  });

  it('trains inline data with balanced classes and a list of weights', async () => {
    const data = { inputs: [[0], [1], [2], [3]], targets: [0, 0, 0, 1] };
    const layers = [{ units: 2, activation: 'softmax' }];
    const job = { ...options, network: { ...network(1), layers }, data, standardize: false };
    const balanced = await train(running, { ...job, class_weights: 'balanced' });
    const written = await train(running, { ...job, sample_weights: [2 / 3, 2 / 3, 2 / 3, 2] });
    expect(balanced.parameters_sha256).toBe(written.parameters_sha256);
  });

  it('is refused when they fit neither classes nor rows', async () => {
    const { id } = await upload();
    const job = { ...options, network: network(2), dataset_id: id };
    const first = async (weights: object) => {
      const [{ pointer, code, detail, did_you_mean }] = await refused({ ...job, ...weights });
      return [pointer, code, did_you_mean ?? detail];
    };
    expect(await first({ class_weights: { smal: 1 } })).toEqual(['/class_weights/smal', 'unknown_name', 'small']);
    expect(await first({ class_weights: { small: -1 } })).toEqual([
      '/class_weights/small',
      'out_of_range',
      expect.stringContaining('at least 0'),
    ]);
    expect((await first({ class_weights: { small: 0, medium: 0, large: 0 } })).slice(0, 2)).toEqual([
      '/class_weights',
      'invalid',
    ]);
    expect((await first({ sample_weights: 'kind' })).slice(0, 2)).toEqual(['/sample_weights', 'unknown_name']);
    expect(await first({ sample_weights: [1, 2] })).toEqual([
      '/sample_weights',
      'row_mismatch',
      'There are 2 weights but 30 rows.',
    ]);
    const weights = Array.from({ length: 30 }, (_, i) => (i === 7 ? -1 : 1));
    expect((await first({ sample_weights: weights })).slice(0, 2)).toEqual(['/sample_weights/7', 'out_of_range']);
    expect((await first({ sample_weights: weights.map(() => 0) })).slice(0, 2)).toEqual(['/sample_weights', 'invalid']);
    expect((await first({ sample_weights: [1, 'x'] })).slice(0, 2)).toEqual(['/sample_weights/1', 'wrong_type']);
    const regression = { ...network(1), layers: [{ units: 1 }], loss: 'mean_squared_error' };
    const numbers = { data: { inputs: [[1], [2]], targets: [[0.5], [2]] }, dataset_id: undefined, network: regression };
    expect((await first({ ...numbers, class_weights: 'balanced' })).slice(0, 2)).toEqual([
      '/class_weights',
      'not_allowed',
    ]);
    expect((await first({ ...numbers, sample_weights: 'w' }))[2]).toContain('one weight for each row');
  });
});

describe('an evaluation with the area under the curve', () => {
  const small = useApp({ MAX_WORKERS: '1', MAX_MEMORY_BYTES: '200000' });

  it('is refused where its scores would take more memory than the limit; other metrics need none', async () => {
    const layers = [{ units: 2, activation: 'softmax' }];
    const network = { input_size: 1, layers, loss: 'sparse_categorical_cross_entropy' };
    const done = await train(small, { network, data: { inputs: [[0], [1]], targets: [0, 1] }, epochs: 1 });
    const inputs = Array.from({ length: 12_000 }, (_, i) => [i % 2]);
    const data = { inputs, targets: inputs.map(([label]) => label) };
    const ask = (metric: string) => small.request.post(done.urls.evaluate).send({ data, metrics: [metric] });
    const { body } = await ask('roc_auc').expect(422);
    expect(body).toMatchObject({ code: 'limit_exceeded', errors: [{ pointer: '/metrics' }] });
    expect(body.errors[0].detail).toContain('216000 bytes');
    await ask('accuracy').expect(200);
  });
});
