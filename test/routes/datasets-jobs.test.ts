import { describe, expect, it } from 'vitest';
import { useApp } from '../support/app.ts';
import { endless, train, untilState } from '../support/jobs.ts';
import { csv, options as job, network } from '../support/kinds.ts';

const running = useApp({ MAX_WORKERS: '1' });

const upload = async (text: string, query = '') =>
  (await running.request.post(`/v1/datasets${query}`).set('content-type', 'text/csv').send(text).expect(201)).body;

const options = { ...job, metrics: ['accuracy'] };

describe('a job on a stored data set', () => {
  it('shares its rows with others that read them in the same form', async () => {
    const { id } = await upload(csv);
    const { datasets } = running.services;
    const labels = { loss: 'sparse_categorical_cross_entropy', output_size: 2 } as const;
    const held = await datasets.load(id, labels);
    expect((await datasets.load(id, labels))!.inputs).toBe(held!.inputs);
    const weighted = await datasets.load(id, labels, 'size');
    expect([weighted!.inputs.columns, weighted!.weights![19]]).toEqual([2, 19]);
    expect((await datasets.load(id, { ...labels, loss: 'mean_squared_error' }))!.target_form).not.toBe('labels');
    await running.request.delete(`/v1/datasets/${id}`).expect(204);
    expect(await datasets.load(id, labels)).toBeUndefined();
  });

  it.each([
    ['float32', 0.125],
    ['float64', 0.1],
  ])('has the bits and the name of a run on the same rows given inline, kept in %s', async (type, unit) => {
    const rows = Array.from({ length: 40 }, (_, i) => [i * unit, (i % 7) - 3, ((i * i) % 11) * unit]);
    const { id } = await upload(`a,b,y\n${rows.map((row) => row.join()).join('\n')}\n`, '?task=regression');
    const loaded = await running.services.datasets.load(id);
    const { values } = loaded!.inputs;
    expect([values.constructor.name.toLowerCase(), values.buffer.constructor.name]).toEqual([
      `${type}array`,
      'SharedArrayBuffer',
    ]);
    const data = { inputs: rows.map(([a, b]) => [a, b]), targets: rows.map(([, , y]) => [y]) };
    for (const precision of ['float32', 'float64']) {
      const body = {
        ...{ epochs: 5, batch_size: 7, seed: 3, standardize: true, validation: { fraction: 0.25 }, metrics: ['r2'] },
        network: {
          ...{ input_size: 2, loss: 'mean_squared_error', precision },
          layers: [{ units: 3, activation: 'tanh' }, { units: 1 }],
        },
      };
      const stored = await train(running, { ...body, dataset_id: id });
      const inline = await train(running, { ...body, data });
      expect([stored.parameters_sha256, stored.run_sha256, stored.latest]).toEqual([
        inline.parameters_sha256,
        inline.run_sha256,
        inline.latest,
      ]);
    }
  });

  it('is asked in the columns of the data set and answers with its classes, also when the set is gone', async () => {
    const dataset = await upload(csv);
    const done = await train(running, { ...options, dataset_id: dataset.id });
    expect(done).toMatchObject({ state: 'succeeded', dataset_id: dataset.id });
    const judged = await running.request.post(done.urls.evaluate).send({ dataset_id: dataset.id }).expect(200);
    expect(judged.body.metrics.accuracy).toBe(1);
    await running.request.delete(`/v1/datasets/${dataset.id}`).expect(204);

    const predict = (inputs: unknown) => running.request.post(done.urls.predict).send({ inputs });
    const named = await predict([
      { colour: 'blue', size: 1 },
      { colour: 'red', size: 18 },
    ]).expect(200);
    expect(named.body.labels).toEqual(['small', 'large']);
    const listed = await predict([
      [1, 'blue'],
      [18, 'red'],
    ]).expect(200);
    const features = await predict([
      [1, 1, 0],
      [18, 0, 1],
    ]).expect(200);
    expect(listed.body.outputs).toEqual(named.body.outputs);
    expect(features.body).toEqual(named.body);
    const { body } = await predict([
      { colour: 'green', size: 1 },
      { colour: 'red', sise: 1 },
    ]).expect(422);
    expect(body.errors.map(({ pointer }: { pointer: string }) => pointer)).toEqual([
      '/inputs/0/colour',
      '/inputs/1/sise',
      '/inputs/1/size',
    ]);
  });

  it('is refused in the words of the data set when it does not fit the network', async () => {
    const dataset = await upload(csv);
    const faults = async (body: object) => {
      const answer = await running.request.post('/v1/jobs').send({ ...options, dataset_id: dataset.id, ...body });
      return answer.body.errors.map(({ pointer, detail }: Record<string, string>) => [pointer, detail]);
    };
    const three = 'The data set has 3 features (size, colour=blue, colour=red), but the network has input_size 2.';
    const classes = 'The data set has 2 classes (large, small): the output layer has 1 and needs 2 units.';
    expect(
      await faults({ network: { ...network, input_size: 2, layers: [{ units: 1, activation: 'softmax' }] } }),
    ).toEqual([
      ['/dataset_id', three],
      ['/dataset_id', classes],
    ]);
    const validation = { dataset_id: (await upload('size,kind\n1,small\n2,large\n')).id };
    expect((await faults({ validation }))[0]).toEqual([
      '/validation/dataset_id',
      'The data set has 1 feature (size), but the network has input_size 3.',
    ]);
    const poisson = { ...network, layers: [{ units: 1, activation: 'softplus' }], loss: 'poisson' };
    const negative = await upload('size,colour,y\n1,red,0.5\n2,blue,-1.5\n3,red,-2.5\n');
    expect(await faults({ network: poisson, dataset_id: negative.id, metrics: [] })).toEqual([
      ['/dataset_id', expect.stringContaining('Row 1: poisson needs')],
    ]);
  });

  it('gives two classes on one unit their names', async () => {
    const dataset = await upload(csv);
    const layers = [{ units: 1, activation: 'sigmoid' }];
    const done = await train(running, {
      ...options,
      network: { ...network, layers, loss: 'binary_cross_entropy' },
      dataset_id: dataset.id,
    });
    const { body } = await running.request
      .post(done.urls.predict)
      .send({
        inputs: [
          [0, 'red'],
          [19, 'blue'],
        ],
      })
      .expect(200);
    // The sorted classes are large (0) and small (1).
    expect(body.labels).toEqual(['small', 'large']);
  });

  it('is refused when the validation set numbers its classes differently', async () => {
    const [dataset, other] = [
      await upload(csv),
      await upload('size,colour,kind\n1,red,small\n2,blue,small\n3,red,tiny\n'),
    ];
    const { body } = await running.request
      .post('/v1/jobs')
      .send({ ...options, dataset_id: dataset.id, validation: { dataset_id: other.id } })
      .expect(422);
    expect(body.errors).toMatchObject([{ pointer: '/validation/dataset_id', code: 'invalid' }]);
  });

  it('keeps the data set from being deleted until it has finished', async () => {
    const dataset = await upload(csv);
    const { data, ...endlessOptions } = endless;
    const created = await running.request
      .post('/v1/jobs')
      .send({ ...endlessOptions, network, standardize: true, dataset_id: dataset.id })
      .expect(201);
    const refused = await running.request.delete(`/v1/datasets/${dataset.id}`).expect(409);
    expect(refused.body.code).toBe('in_use');
    await running.request.post(`/v1/jobs/${created.body.id}/cancel`).expect((answer) => expect(answer.ok).toBe(true));
    await untilState(running, created.body.id, 'cancelled');
    await running.request.delete(`/v1/datasets/${dataset.id}`).expect(204);
  });
});
