import type supertest from 'supertest';
import { describe, expect, it } from 'vitest';
import { useApp } from '../support/app.ts';
import { endless, job, network, submit, train, untilProgress, xor } from '../support/jobs.ts';

const running = useApp({ MAX_MEMORY_BYTES: '50000000', MAX_EPOCHS: '10000000' });

const { network: _network, data: _data, ...options } = job;
const withNetwork = (changes: object) => ({ ...job, network: { ...network, ...changes } });
const withData = (changes: object) => ({ ...job, data: { ...xor, ...changes } });
const softmax3 = { layers: [{ units: 3, activation: 'softmax' }] };
const sparse = { ...network, ...softmax3, loss: 'sparse_categorical_cross_entropy' };
const hinge = { ...network, layers: [{ units: 1 }], loss: 'hinge' };
const unknownId = 'job_0198c5d2-7a3e-7bc1-9f00-5d3c1c0a8e21';

/** What is wrong, the body, and the pointers and codes of every problem. */
const refused: readonly (readonly [string, object, Readonly<Record<string, string>>])[] = [
  ['neither network nor data', options, { '/network_id': 'required', '/dataset_id': 'required' }],
  [
    'two networks and two sets of data',
    { ...job, network_id: 'a', dataset_id: 'b' },
    { '/network': 'not_allowed', '/data': 'not_allowed' },
  ],
  ['a misspelt field', { ...job, epoch: 3 }, { '/epoch': 'unknown_field' }],
  [
    'an unknown optimizer and a wrong type at once',
    { ...job, optimizer: 'adamm', epochs: '5' },
    { '/optimizer': 'unknown_name', '/epochs': 'wrong_type' },
  ],
  [
    'a misspelt option of an optimizer',
    { ...job, optimizer: { name: 'sgd', momentun: 0.9 } },
    { '/optimizer/momentun': 'unknown_field' },
  ],
  ['an unknown network', { ...options, data: xor, network_id: 'net_x' }, { '/network_id': 'not_found' }],
  ['an unknown data set', { ...options, network, dataset_id: 'ds_x' }, { '/dataset_id': 'not_found' }],
  ['ragged rows', withData({ inputs: [[0, 0], [1], [1, 0], [1, 1]] }), { '/data/inputs/1': 'ragged_rows' }],
  ['inputs of another width', withData({ inputs: [[0], [0], [1], [1]] }), { '/data/inputs/0': 'width_mismatch' }],
  [
    'targets of another width',
    withData({
      targets: [
        [0, 1],
        [1, 0],
        [1, 0],
        [0, 1],
      ],
    }),
    { '/data/targets/0': 'width_mismatch' },
  ],
  ['fewer targets than inputs', withData({ targets: [[0], [1], [1]] }), { '/data/targets': 'row_mismatch' }],
  [
    'a target outside the loss’s domain',
    withData({ targets: [[0], [1.5], [1], [-1]] }),
    { '/data/targets/1/0': 'target_domain', '/data/targets/3/0': 'target_domain' },
  ],
  [
    'a label that no output has',
    { ...job, network: sparse, data: { ...xor, targets: [0, 1, 3, 0.5] } },
    { '/data/targets/2': 'target_domain', '/data/targets/3': 'target_domain' },
  ],
  [
    'targets that are not ±1 for hinge',
    { ...job, network: hinge },
    { '/data/targets/0/0': 'target_domain', '/data/targets/3/0': 'target_domain' },
  ],
  [
    'probabilities that do not add up',
    {
      ...job,
      network: { ...network, ...softmax3, loss: 'categorical_cross_entropy' },
      data: { inputs: [[0, 1]], targets: [[0.5, 0.2, 0.2]] },
    },
    { '/data/targets/0': 'target_domain' },
  ],
  [
    'an undefined activation × loss pair',
    withNetwork({ layers: [{ units: 1 }] }),
    { '/network/loss': 'undefined_pair' },
  ],
  ['empty data', withData({ inputs: [], targets: [] }), { '/data/inputs': 'empty', '/data/targets': 'empty' }],
  ['a batch larger than the limit', { ...job, batch_size: 1e6 }, { '/batch_size': 'limit_exceeded' }],
  [
    'a monitor without validation',
    { ...job, early_stopping: { monitor: 'validation_loss' } },
    { '/early_stopping/monitor': 'unknown_name' },
  ],
  [
    'a monitored metric that is not measured',
    { ...job, target: { monitor: 'accuracy', value: 1 } },
    { '/target/monitor': 'unknown_name' },
  ],
  [
    'a metric that makes no sense for the targets',
    { ...job, network: sparse, data: { ...xor, targets: [0, 1, 2, 0] }, metrics: ['accuracy', 'rmse'] },
    { '/metrics/1': 'not_allowed' },
  ],
  [
    'parameters of another shape',
    {
      ...job,
      initial_parameters: {
        layers: [
          { weights: [[1, 2]], biases: [0] },
          { weights: [[1, 2, 3, 4]], biases: [0] },
        ],
      },
    },
    {
      '/initial_parameters/layers/0/weights': 'shape_mismatch',
      '/initial_parameters/layers/0/biases': 'shape_mismatch',
    },
  ],
  [
    'parameters of an unknown job',
    { ...job, initial_parameters: { job_id: unknownId } },
    { '/initial_parameters/job_id': 'not_found' },
  ],
  ['validation rows that are not there', { ...job, validation: { rows: [0, 9] } }, { '/validation/rows/1': 'invalid' }],
  ['validation on every row', { ...job, validation: { rows: [0, 1, 2, 3] } }, { '/validation/rows': 'invalid' }],
  [
    'two kinds of clipping',
    { ...job, clip_gradients: { max_norm: 1, max_value: 1 } },
    { '/clip_gradients/max_value': 'not_allowed' },
  ],
  [
    'a bug that cannot be made here',
    { ...job, simulate_bug: 'softmax_diagonal_only' },
    { '/simulate_bug': 'not_allowed' },
  ],
  [
    'a network too large for the memory',
    withNetwork({ layers: [{ units: 60000 }, { units: 60000 }, { units: 1, activation: 'sigmoid' }] }),
    { '/network/layers': 'limit_exceeded' },
  ],
];

describe('POST /v1/jobs refuses', () => {
  it.each(refused)('%s', async (_name, body, want) => {
    const answer = await running.request.post('/v1/jobs').send(body);
    expect(answer.status).toBe(422);
    expect(answer.headers['content-type']).toContain('application/problem+json');
    const found = answer.body.errors.map(({ pointer, code }: Record<string, string>) => [pointer, code]);
    expect(Object.fromEntries(found)).toEqual(want);
  });

  it('a numeric literal that overflows, with its pointer', async () => {
    const text = JSON.stringify(job).replace('"inputs":[[0,0]', '"inputs":[[0,1e309]');
    const answer = await running.request.post('/v1/jobs').type('json').send(text).expect(422);
    expect(answer.body.errors).toMatchObject([{ pointer: '/data/inputs/0/1', code: 'not_finite' }]);
  });

  it.each([
    ['a misspelt optimizer', { ...job, optimizer: 'adamm' }, 'adam'],
    ['a misspelt field', { ...job, lerning_rate_schedule: [] }, 'learning_rate_schedule'],
  ])('%s, and says what was meant', async (_name, body, meant) => {
    const answer = await running.request.post('/v1/jobs').send(body).expect(422);
    expect(answer.body.errors[0].did_you_mean).toBe(meant);
  });

  it('what would not fit the memory, with the estimate, before anything is allocated', async () => {
    const wide = { ...network, layers: [{ units: 3000 }, { units: 1000 }, { units: 1, activation: 'sigmoid' }] };
    const answer = await running.request
      .post('/v1/jobs')
      .send({ ...job, network: wide, optimizer: 'adam' })
      .expect(422);
    expect(answer.body).toMatchObject({
      code: 'limit_exceeded',
      limit: { name: 'max_memory_bytes', value: 50_000_000 },
    });
    expect(answer.body.limit.estimate).toBeGreaterThan(50_000_000);
  });

  it('an unknown parameter of a list, a state that is none, and a limit of zero', async () => {
    const answer = await running.request.get('/v1/jobs?stat=queued&state=done&limit=0').expect(422);
    const pointers = answer.body.errors.map(({ pointer }: { pointer: string }) => pointer);
    expect(pointers).toEqual(expect.arrayContaining(['?state', '?limit']));
    await running.request.get('/v1/jobs?stat=queued').expect(422);
  });

  it('all of it without leaving anything behind', async () => {
    const { body } = await running.request.get('/v1/jobs').expect(200);
    expect(body).toEqual({ data: [], has_more: false });
  });
});

describe('what is not there', () => {
  it.each([
    ['get', ''],
    ['delete', ''],
    ['post', '/pause'],
    ['get', '/loss-history'],
    ['get', '/parameters'],
    ['get', '/checkpoints'],
    ['get', '/events'],
  ] as const)('%s %s of an unknown job is 404', async (method, path) => {
    const answer = await running.request[method](`/v1/jobs/${unknownId}${path}`).expect(404);
    expect(answer.body.code).toBe('not_found');
  });

  it('predictions and evaluations of an unknown job are 404', async () => {
    const predicted = await running.request.post(`/v1/jobs/${unknownId}/predict`).send({ inputs: [[0, 0]] });
    const judged = await running.request.post(`/v1/jobs/${unknownId}/evaluate`).send({ data: xor });
    expect([predicted.status, judged.status]).toEqual([404, 404]);
  });

  it('a step without a checkpoint and a layer that the network lacks are 404', async () => {
    const { urls } = await train(running, job);
    await running.request.get(`${urls.parameters}?step=1`).expect(404);
    await running.request.get(`${urls.parameters}?layer=3`).expect(404);
    const { body } = await running.request.get(`${urls.parameters}?layer=2`).expect(200);
    expect(body.layers).toHaveLength(1);
  });

  it('another method is 405 with Allow', async () => {
    const answer = await running.request.put('/v1/jobs').send({}).expect(405);
    expect(answer.headers.allow).toContain('POST');
  });
});

describe('predictions and evaluations refuse', () => {
  it('rows of another width and targets outside the domain, with their pointers', async () => {
    const { urls } = await train(running, job);
    const narrow = await running.request
      .post(urls.predict)
      .send({ inputs: [[1]] })
      .expect(422);
    expect(narrow.body.errors).toMatchObject([{ pointer: '/inputs/0', code: 'width_mismatch' }]);
    const outside = await running.request
      .post(urls.evaluate)
      .send({ data: { inputs: [[0, 1]], targets: [[7]] } })
      .expect(422);
    expect(outside.body.errors).toMatchObject([{ pointer: '/data/targets/0/0', code: 'target_domain' }]);
  });
});

describe('Idempotency-Key', () => {
  const post = (key: string, body: object) => running.request.post('/v1/jobs').set('Idempotency-Key', key).send(body);

  it('creates one job however often the same request comes, also at the same time', async () => {
    const answers = await Promise.all(Array.from({ length: 5 }, () => post('five', job)));
    expect(answers.map(({ status }) => status)).toEqual([201, 201, 201, 201, 201]);
    expect(new Set(answers.map(({ body }) => body.id)).size).toBe(1);
    const again = await post('five', job).expect(201);
    expect(again.headers['idempotency-replayed']).toBe('true');
    expect(again.text).toBe(answers.find(({ headers }) => headers['idempotency-replayed'] === undefined)!.text);
    expect(again.headers.location).toBe(`/v1/jobs/${again.body.id}`);
  });

  it('answers a repetition that waits with the job as it has become', async () => {
    const first = await post('wait', job).expect(201);
    const second = await post('wait', job).set('Prefer', 'wait=30').expect(201);
    expect(second.body).toMatchObject({ id: first.body.id, state: 'succeeded' });
  });

  it('refuses another body under the same key', async () => {
    await post('other', job).expect(201);
    const answer = await post('other', { ...job, seed: 99 }).expect(422);
    expect(answer.body.code).toBe('idempotency_key_reused');
  });

  it('is not used up by a request that is refused', async () => {
    const statuses = [(await post('refused', { ...job, epochs: 0 })).status, (await post('refused', job)).status];
    expect(statuses).toEqual([422, 201]);
  });
});

describe('Prefer: reuse', () => {
  const post = (body: object, prefer = 'reuse') => running.request.post('/v1/jobs').set('Prefer', prefer).send(body);

  it('answers 200 with the job that has trained the same, whatever its labels are', async () => {
    const done = await train(running, { ...job, seed: 501 });
    const again = await post({ ...job, seed: 501, metadata: { other: true } }).expect(200);
    expect(again.headers).toMatchObject({ 'preference-applied': 'reuse', location: done.urls.self });
    expect(again.body).toEqual(done);
    const other = await post({ ...job, seed: 502 }).expect(201);
    expect(other.headers['preference-applied']).toBeUndefined();
  });

  it('trains a run once that is asked for many times at once, and waits for it', async () => {
    const answers = await Promise.all(Array.from({ length: 5 }, () => post({ ...job, seed: 503 }, 'reuse, wait=30')));
    expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 200, 200, 200, 201]);
    expect(new Set(answers.map(({ body }) => body.id)).size).toBe(1);
    expect(answers.map(({ body }) => body.state)).toEqual(Array(5).fill('succeeded'));
    expect(answers.map(({ headers }) => headers['preference-applied']).toSorted()).toEqual([
      ...Array(4).fill('reuse, wait=30'),
      'wait=30',
    ]);
  });

  it('does not take a job for the same that was stopped, paused, or changed under way', async () => {
    const stopped = await submit(running, { ...endless, seed: 504 });
    await untilProgress(running, stopped.id);
    const { body: reused } = await post({ ...endless, seed: 504 }).expect(200);
    expect(reused.id).toBe(stopped.id);
    await running.request.post(`${stopped.urls.self}/stop`).expect(200);
    const { body: second } = await post({ ...endless, seed: 504 }).expect(201);
    await untilProgress(running, second.id);
    await running.request.patch(second.urls.self).send({ learning_rate: 0.1 }).expect(200);
    const { body: third } = await post({ ...endless, seed: 504 }).expect(201);
    expect(new Set([stopped.id, second.id, third.id]).size).toBe(3);
    for (const { urls } of [second, third]) await running.request.post(`${urls.self}/cancel`).expect(200);
  });

  it('is not applied to a request with a key of its own', async () => {
    await train(running, { ...job, seed: 505 });
    expect((await post({ ...job, seed: 505, external_id: 'mine' })).status).toBe(201);
  });

  it('keeps its answer under the idempotency key', async () => {
    const done = await train(running, { ...job, seed: 506 });
    const keyed = (prefer: string) => post({ ...job, seed: 506 }, prefer).set('Idempotency-Key', 'reused');
    const first = await keyed('reuse').expect(200);
    const again = await keyed('').expect(200);
    expect([first.body.id, again.text]).toEqual([done.id, first.text]);
    expect(again.headers['idempotency-replayed']).toBe('true');
    const other = await post({ ...job, seed: 507 }).set('Idempotency-Key', 'reused');
    expect(other.body.code).toBe('idempotency_key_reused');
  });
});

describe('PUT /v1/jobs/by-external-id', () => {
  const put = (key: string, body: object) => running.request.put(`/v1/jobs/by-external-id/${key}`).send(body);

  it('creates one job however often it is sent, also at the same time', async () => {
    const answers = await Promise.all(Array.from({ length: 5 }, () => put('order-1', job)));
    expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 200, 200, 200, 201]);
    expect(new Set(answers.map(({ body }) => body.id)).size).toBe(1);
    expect(answers[0]!.body.external_id).toBe('order-1');
  });

  it('refuses another job under the same key, and another key in the body', async () => {
    await put('order-2', job).expect(201);
    const other = await put('order-2', { ...job, seed: 77 }).expect(409);
    const { body: page } = await running.request.get('/v1/jobs?limit=1');
    const existing = { id: page.data[0].id, url: page.data[0].urls.self };
    expect(other.body).toMatchObject({ code: 'already_exists', existing });
    const twoKeys = await put('order-3', { ...job, external_id: 'order-4' }).expect(422);
    expect(twoKeys.body.errors).toMatchObject([{ pointer: '/external_id', code: 'not_allowed' }]);
    const posted = await running.request
      .post('/v1/jobs')
      .send({ ...job, external_id: 'order-2' })
      .expect(409);
    expect(posted.body).toMatchObject({ code: 'already_exists', existing });
  });

  it('finds the job that was meant although its learning rate has been changed since', async () => {
    const { body: first } = await put('order-5', endless).expect(201);
    await running.request.patch(first.urls.self).send({ learning_rate: 0.1 }).expect(200);
    expect((await put('order-5', endless).expect(200)).body.id).toBe(first.id);
    await running.request.post(`${first.urls.self}/cancel`).expect(200);
  });
});

describe('GET /v1/jobs', () => {
  it('pages through all jobs by its Link, newest first and each once', async () => {
    const made: string[] = [];
    for (let i = 0; i < 5; i++) made.push((await submit(running, { ...job, metadata: { page: 'yes', i } })).id);
    const seen: string[] = [];
    let next: string | undefined = '/v1/jobs?limit=2&metadata[page]=yes';
    while (next !== undefined) {
      const answer: supertest.Response = await running.request.get(next).expect(200);
      seen.push(...answer.body.data.map(({ id }: { id: string }) => id));
      next = /<(.+)>; rel="next"/.exec(answer.headers.link ?? '')?.[1];
    }
    expect(seen).toEqual(made.toReversed());
  });

  it('filters by network, state and metadata', async () => {
    const { body: stored } = await running.request.post('/v1/networks').send(network);
    const mine = await train(running, {
      ...options,
      data: xor,
      network_id: stored.id,
      metadata: { team: 'a', run: 2 },
    });
    const ids = async (query: string) =>
      (await running.request.get(`/v1/jobs?${query}`).expect(200)).body.data.map(({ id }: { id: string }) => id);
    expect(await ids(`network_id=${stored.id}`)).toEqual([mine.id]);
    expect(await ids('metadata[team]=a&metadata[run]=2&state=succeeded')).toEqual([mine.id]);
    expect(await ids('metadata[team]=b')).toEqual([]);
    expect(await ids(`network_id=${stored.id}&state=failed`)).toEqual([]);
  });
});
