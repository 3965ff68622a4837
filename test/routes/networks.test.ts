import { describe, expect, it } from 'vitest';
import { activations } from '../../src/engine/activations.ts';
import { losses } from '../../src/engine/losses.ts';
import { networkExamples, networkList, networkPreview, networkView } from '../../src/schemas/network.ts';
import { useApp } from '../support/app.ts';

const running = useApp();
const { seed } = networkExamples;

const create = (body: object, query = '') => running.request.post(`/v1/networks${query}`).send(body);

interface Expected {
  readonly pointer: string;
  readonly code: string;
  readonly did_you_mean?: string;
}

const byPointer = (a: Expected, b: Expected) => (a.pointer < b.pointer ? -1 : 1);

/** The body is refused for exactly these problems, all at once. */
async function expectRefused(body: unknown, expected: readonly Expected[]) {
  const answer = await running.request
    .post('/v1/networks')
    .set('content-type', 'application/json')
    .send(typeof body === 'string' ? body : JSON.stringify(body));
  expect(answer.status).toBe(422);
  const found = (answer.body.errors as (Expected & { detail: string })[]).map(({ pointer, code, did_you_mean }) => ({
    pointer,
    code,
    ...(did_you_mean === undefined ? {} : { did_you_mean }),
  }));
  expect(found.sort(byPointer)).toEqual([...expected].sort(byPointer));
  return answer.body.errors as { pointer: string; detail: string; allowed?: string[] }[];
}

describe('defining a network', () => {
  it('answers 201 with its place, its sizes and its parameter counts', async () => {
    const answer = await create(seed);
    expect(answer.status).toBe(201);
    expect(answer.headers.location).toBe(`/v1/networks/${answer.body.id}`);
    expect(answer.body.id).toMatch(/^net_[\da-f-]{36}$/);
    expect(new Date(answer.body.created_at).toISOString()).toBe(answer.body.created_at);
    expect(answer.body).toMatchObject({
      name: 'seed',
      input_size: 3,
      output_size: 2,
      parameter_count: 3 * 3 + 3 + (3 * 4 + 4) + (4 * 2 + 2),
      precision: 'float32',
      metadata: { team: 'a' },
      loss: seed.loss,
      warnings: [],
    });
    expect(answer.body.layers).toEqual([
      { units: 3, activation: 'relu', input_size: 3, parameter_count: 12 },
      { units: 4, activation: 'relu', input_size: 3, parameter_count: 16 },
      { units: 2, activation: 'softmax', input_size: 4, parameter_count: 10 },
    ]);
    expect(networkView.safeParse(answer.body).error).toBeUndefined();
  });

  it('counts biases, gamma and beta where there are any', async () => {
    const layers = [
      { units: 5, use_bias: false },
      { units: 4, batch_norm: true },
      { units: 3, layer_norm: { epsilon: 1e-3 }, use_bias: false },
      { units: 2 },
    ];
    const answer = await create({ input_size: 7, layers, loss: 'mean_squared_error' }, '?validate_only=true');
    const counts = answer.body.layers.map((layer: { parameter_count: number }) => layer.parameter_count);
    expect(counts).toEqual([7 * 5, 5 * 4 + 4 + 2 * 4, 4 * 3 + 2 * 3, 3 * 2 + 2]);
    expect(answer.body.parameter_count).toBe(counts.reduce((sum: number, count: number) => sum + count));
  });

  it.each(['?validate_only=true', '?validate_only'])('%s answers 200 and stores nothing', async (query) => {
    const before = (await running.request.get('/v1/networks')).body.data.length;
    const answer = await create(seed, query);
    expect(answer.status).toBe(200);
    expect(answer.headers.location).toBeUndefined();
    expect(networkPreview.safeParse(answer.body).error).toBeUndefined();
    expect((await running.request.get('/v1/networks')).body.data).toHaveLength(before);
  });

  it('?validate_only=false stores it', async () => {
    expect((await create(seed, '?validate_only=false')).status).toBe(201);
  });

  it.each(Object.entries(networkExamples))(
    'the documented example %s is accepted without a warning',
    async (_name, example) => {
      const answer = await create(example, '?validate_only=true');
      expect(answer.status).toBe(200);
      expect(answer.body.warnings).toEqual([]);
    },
  );

  it.each(Object.keys(activations))(
    'accepts the activation %s by name and as an object, wherever a loss is defined on it',
    async (name) => {
      for (const activation of [name, { name }]) {
        const body = { input_size: 2, layers: [{ units: 3, activation }, { units: 2 }], loss: 'mean_squared_error' };
        expect((await create(body, '?validate_only=true')).status).toBe(200);
      }
    },
  );

  it.each(Object.keys(losses))('accepts the loss %s with each reduction', async (name) => {
    for (const reduction of ['mean', 'batch_mean', 'sum']) {
      const body = { input_size: 2, layers: [{ units: 2, activation: 'softmax' }], loss: { name, reduction } };
      expect((await create(body, '?validate_only=true')).status).toBe(200);
    }
  });
});

describe('a definition with mistakes', () => {
  it('reports all of them at once, each with its pointer and the name that was meant', async () => {
    const problems = await expectRefused(
      {
        input_size: 3,
        layers: [
          { units: 3, activation: 'rleu' },
          { units: 0, actvation: 'relu' },
          { units: 2, activation: { name: 'elu', alpa: 2 } },
          { units: 2.5, dropout: 1, initializer: { name: 'he_unifrom' } },
          { units: '2', activation: 'softmax', batch_norm: { eps: 1e-3 } },
        ],
        loss: 'binary_crossentropy',
        precison: 'float64',
      },
      [
        { pointer: '/layers/0/activation', code: 'unknown_name', did_you_mean: 'relu' },
        { pointer: '/layers/1/units', code: 'out_of_range' },
        { pointer: '/layers/1/actvation', code: 'unknown_field', did_you_mean: 'activation' },
        { pointer: '/layers/2/activation/alpa', code: 'unknown_field', did_you_mean: 'alpha' },
        { pointer: '/layers/3/units', code: 'wrong_type' },
        { pointer: '/layers/3/dropout', code: 'out_of_range' },
        { pointer: '/layers/3/initializer/name', code: 'unknown_name', did_you_mean: 'he_uniform' },
        { pointer: '/layers/4/units', code: 'wrong_type' },
        { pointer: '/layers/4/batch_norm/eps', code: 'unknown_field', did_you_mean: 'epsilon' },
        { pointer: '/loss', code: 'unknown_name', did_you_mean: 'binary_cross_entropy' },
        { pointer: '/precison', code: 'unknown_field', did_you_mean: 'precision' },
      ],
    );
    expect(problems.find(({ pointer }) => pointer === '/layers/0/activation')?.allowed).toEqual(
      Object.keys(activations),
    );
  });

  it('says what each field must be', async () => {
    const problems = await expectRefused(
      { input_size: 0, layers: [{ units: 1, l2: -1, use_bias: 'no' }, 5], loss: 3 },
      [
        { pointer: '/input_size', code: 'out_of_range' },
        { pointer: '/layers/0/l2', code: 'out_of_range' },
        { pointer: '/layers/0/use_bias', code: 'wrong_type' },
        { pointer: '/layers/1', code: 'wrong_type' },
        { pointer: '/loss', code: 'wrong_type' },
      ],
    );
    expect(problems.map(({ detail }) => detail)).toEqual([
      'input_size must be at least 1, but is 0.',
      'use_bias must be true or false, but is a string.',
      'l2 must be at least 0, but is -1.',
      'layers[1] must be an object, but is 5.',
      'loss must be one of its names or an object, but is 3.',
    ]);
  });

  it('names what is missing', async () => {
    await expectRefused({}, [
      { pointer: '/input_size', code: 'required' },
      { pointer: '/layers', code: 'required' },
      { pointer: '/loss', code: 'required' },
    ]);
    await expectRefused({ input_size: 1, layers: [{}], loss: {} }, [
      { pointer: '/layers/0/units', code: 'required' },
      { pointer: '/loss/name', code: 'required' },
    ]);
    await expectRefused({ input_size: 1, layers: [], loss: 'hinge' }, [{ pointer: '/layers', code: 'empty' }]);
  });

  it('a number that overflows a float64 is refused where it stands', async () => {
    await expectRefused(
      '{"input_size": 1e309, "layers": [{"units": 1, "l1": 1e999, "activation": {"name": "elu", "alpha": -1e400}}], "loss": {"name": "huber", "delta": 1e309}, "metadata": {"a/b": [{"~": 1e309}]}}',
      [
        { pointer: '/input_size', code: 'not_finite' },
        { pointer: '/layers/0/l1', code: 'not_finite' },
        { pointer: '/layers/0/activation/alpha', code: 'not_finite' },
        { pointer: '/loss/delta', code: 'not_finite' },
        { pointer: '/metadata/a~1b/0/~0', code: 'not_finite' },
      ],
    );
  });

  it('an undefined pair of activation and loss says why, also beside other mistakes', async () => {
    const body = { input_size: 2, layers: [{ units: 1, activation: 'linear' }], loss: 'binary_cross_entropy' };
    const [problem] = await expectRefused(body, [{ pointer: '/loss', code: 'undefined_pair' }]);
    expect(problem.detail).toMatch(/^This loss is not defined here: binary_cross_entropy .*, and linear .*\.$/);
    await expectRefused({ ...body, nmae: 'x' }, [
      { pointer: '/loss', code: 'undefined_pair' },
      { pointer: '/nmae', code: 'unknown_field', did_you_mean: 'name' },
    ]);
  });

  it('the last layer has no dropout', async () => {
    const layers = [
      { units: 2, dropout: 0.5 },
      { units: 1, dropout: 0.5 },
    ];
    await expectRefused({ input_size: 2, layers, loss: 'mean_squared_error' }, [
      { pointer: '/layers/1/dropout', code: 'not_allowed' },
    ]);
  });

  it('a layer has one normalisation at most', async () => {
    const layers = [{ units: 1, batch_norm: true, layer_norm: {} }];
    await expectRefused({ input_size: 1, layers, loss: 'mean_squared_error' }, [
      { pointer: '/layers/0/layer_norm', code: 'not_allowed' },
    ]);
  });

  it.each([[[]], ['text'], [42], [true]])('a body that is not an object is refused: %j', async (body) => {
    await expectRefused(JSON.stringify(body), [{ pointer: '', code: 'wrong_type' }]);
  });

  it('a query that is not known is refused', async () => {
    const answer = await create(seed, '?validate_olny=true');
    expect(answer.status).toBe(422);
    expect(answer.body.errors).toMatchObject([
      { pointer: '?validate_olny', code: 'unknown_field', did_you_mean: 'validate_only' },
    ]);
  });
});

describe('a definition that is too large', () => {
  const small = useApp({
    MAX_LAYERS: '3',
    MAX_UNITS: '1000',
    MAX_PARAMETERS: '5000',
    MAX_METADATA_BYTES: '50',
    MAX_MEMORY_BYTES: '90000',
  });

  it.each([
    ['units', { input_size: 1, layers: [{ units: 1001 }] }, '/layers/0/units', 'max_units', 1000, 1001],
    ['features', { input_size: 4000, layers: [{ units: 1 }] }, '/input_size', 'max_units', 1000, 4000],
    ['layers', { input_size: 1, layers: Array(4).fill({ units: 1 }) }, '/layers', 'max_layers', 3, 4],
    ['parameters', { input_size: 100, layers: [{ units: 50 }] }, '/layers', 'max_parameters', 5000, 5050],
    [
      'memory',
      { input_size: 99, layers: [{ units: 40 }], precision: 'float64' },
      '/layers',
      'max_memory_bytes',
      90_000,
      100 * 40 * 3 * 8,
    ],
    [
      'metadata',
      { input_size: 1, layers: [{ units: 1 }], metadata: { note: 'é'.repeat(25) } },
      '/metadata',
      'max_metadata_bytes',
      50,
      61,
    ],
  ])(
    'too many %s are a 422 with the estimate and the limit',
    async (_what, definition, pointer, name, value, estimate) => {
      const answer = await small.request.post('/v1/networks').send({ ...definition, loss: 'mean_squared_error' });
      expect(answer.status).toBe(422);
      expect(answer.body).toMatchObject({ code: 'limit_exceeded', limit: { name, value, estimate } });
      expect(answer.body.errors).toMatchObject([{ pointer, code: 'limit_exceeded', limit: { name, value, estimate } }]);
      expect(answer.body.errors[0].detail).toContain(String(estimate));
    },
  );

  it('an absurd size is refused at once, by its estimate', async () => {
    const answer = await running.request.post('/v1/networks').send({
      input_size: Number.MAX_SAFE_INTEGER,
      layers: [{ units: Number.MAX_SAFE_INTEGER }],
      loss: 'mean_squared_error',
    });
    expect(answer.body).toMatchObject({ status: 422, code: 'limit_exceeded' });
    expect(answer.body.errors.map(({ limit }: { limit: { name: string } }) => limit.name)).toEqual([
      'max_units',
      'max_units',
      'max_parameters',
      'max_memory_bytes',
    ]);
  });

  it('nothing of it is stored', async () => {
    expect((await small.request.get('/v1/networks')).body.data).toEqual([]);
  });
});

describe('stored networks', () => {
  const lists = useApp();

  it('are read back as they were created', async () => {
    const created = await lists.request.post('/v1/networks').send(networkExamples.regularised);
    const read = await lists.request.get(created.headers.location);
    expect(read.status).toBe(200);
    expect(read.body).toEqual(created.body);
    expect((await lists.request.delete(created.headers.location)).status).toBe(204);
  });

  it('are listed newest first, page by page, until the Link header ends', async () => {
    const ids: string[] = [];
    for (let n = 0; n < 5; n++)
      ids.unshift((await lists.request.post('/v1/networks').send({ ...seed, name: `n${n}` })).body.id);
    const seen: string[][] = [];
    for (let next: string | undefined = '/v1/networks?limit=2'; next !== undefined; ) {
      const page = await lists.request.get(next);
      expect(networkList.safeParse(page.body).error).toBeUndefined();
      seen.push(page.body.data.map(({ id }: { id: string }) => id));
      expect(page.body.has_more).toBe(page.headers.link !== undefined);
      next = /^<(.+)>; rel="next"$/.exec(page.headers.link ?? '')?.[1];
    }
    expect(seen).toEqual([ids.slice(0, 2), ids.slice(2, 4), ids.slice(4)]);
  });

  it.each(['limit=0', 'limit=101', 'limit=ten', 'limit=1.5', 'limit=', 'after='])(
    '?%s is a 422 that points to the parameter',
    async (query) => {
      const answer = await lists.request.get(`/v1/networks?${query}`);
      expect(answer.status).toBe(422);
      expect(answer.body.errors).toMatchObject([{ pointer: `?${query.split('=')[0]}` }]);
    },
  );

  it('are gone after DELETE', async () => {
    const { location } = (await lists.request.post('/v1/networks').send(seed)).headers;
    expect((await lists.request.delete(location)).status).toBe(204);
    for (const answer of [await lists.request.get(location), await lists.request.delete(location)]) {
      expect(answer.status).toBe(404);
      expect(answer.body.code).toBe('not_found');
    }
  });

  it.each(['net_1', 'job_0198c5d2-7a3e-7bc1-9f00-5d3c1c0a8e21', "'; drop table networks; --", '%00', '🚂'])(
    'an id that does not exist is a 404: %s',
    async (id) => {
      const answer = await lists.request.get(`/v1/networks/${id.startsWith('%') ? id : encodeURIComponent(id)}`);
      expect(answer.status).toBe(404);
      expect(answer.body.code).toBe('not_found');
    },
  );
});
