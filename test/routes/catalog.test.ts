import { beforeAll, describe, expect, it } from 'vitest';
import { limitNames, limits } from '../../src/config.ts';
import { missingPolicies } from '../../src/datasets/dataset.ts';
import { formats } from '../../src/datasets/formats.ts';
import { toyDatasets } from '../../src/datasets/generate.ts';
import { activations } from '../../src/engine/activations.ts';
import { initializers } from '../../src/engine/initializers.ts';
import { losses } from '../../src/engine/losses.ts';
import { optimizers } from '../../src/engine/optimizers.ts';
import { bugNames } from '../../src/engine/reference/bugs.ts';
import { schedules } from '../../src/engine/schedules.ts';
import { errorCodes, errors } from '../../src/errors.ts';
import { type Catalog, catalog } from '../../src/schemas/catalog.ts';
import { metrics } from '../../src/training/metrics.ts';
import { scalings } from '../../src/training/preprocessing.ts';
import { jobStates } from '../../src/training/states.ts';
import { useApp } from '../support/app.ts';

const running = useApp({ MAX_LAYERS: '7' });
let body: Catalog;

beforeAll(async () => {
  body = (await running.request.get('/v1/catalog')).body;
});

const named = (list: readonly { readonly name: string }[]) => list.map(({ name }) => name);

describe('the catalog', () => {
  it('has the shape that is documented', () => {
    expect(catalog.safeParse(body).error).toBeUndefined();
  });

  it('lists every name of every table', () => {
    expect(named(body.activations)).toEqual(Object.keys(activations));
    expect(named(body.losses)).toEqual(Object.keys(losses));
    expect(named(body.initializers)).toEqual(Object.keys(initializers));
    expect(named(body.optimizers)).toEqual(Object.keys(optimizers));
    expect(named(body.learning_rate_schedules)).toEqual(Object.keys(schedules));
    expect(named(body.metrics)).toEqual(Object.keys(metrics));
    expect(named(body.scalings)).toEqual(Object.keys(scalings));
    expect(named(body.toy_datasets)).toEqual(Object.keys(toyDatasets));
    expect(named(body.upload_formats)).toEqual(Object.keys(formats));
    expect(named(body.missing_policies)).toEqual(Object.keys(missingPolicies));
    expect(named(body.bugs)).toEqual(bugNames);
    expect(named(body.states)).toEqual(Object.keys(jobStates));
    expect(body.errors.map(({ code }) => code)).toEqual(errorCodes);
    expect(named(body.limits)).toEqual(limitNames);
  });

  it('shows options with defaults and ranges, formulas and outputs', () => {
    const elu = body.activations.find(({ name }) => name === 'elu');
    expect(elu?.options).toMatchObject([{ name: 'alpha', type: 'number', default: 1 }]);
    expect(elu?.formula).toBe(activations.elu.formula);
    expect(body.activations.find(({ name }) => name === 'relu')?.range).toEqual({ minimum: 0, maximum: 'Infinity' });
    const step = body.learning_rate_schedules.find(({ name }) => name === 'step');
    expect(step?.options[0]).toEqual({
      name: 'step_size',
      type: 'integer',
      minimum: 1,
      description: expect.any(String),
    });
  });

  it('says for each loss on which activations it is defined', () => {
    const definedOn = (loss: string) => body.losses.find(({ name }) => name === loss)?.activations;
    expect(definedOn('mean_squared_error')).toEqual(Object.keys(activations));
    expect(definedOn('binary_cross_entropy')).toEqual(expect.arrayContaining(['sigmoid', 'softmax']));
    expect(definedOn('binary_cross_entropy')).not.toContain('linear');
  });

  it('agrees with what POST /v1/networks accepts, for every pair of activation and loss', async () => {
    for (const { name: loss, activations: defined } of body.losses) {
      for (const activation of Object.keys(activations)) {
        const network = { input_size: 2, layers: [{ units: 2, activation }], loss };
        const answer = await running.request.post('/v1/networks?validate_only=true').send(network);
        expect([activation, loss, answer.status]).toEqual([activation, loss, defined.includes(activation) ? 200 : 422]);
      }
    }
  });

  it('shows the limits of this service with the status of their errors', () => {
    const layers = body.limits.find(({ name }) => name === 'max_layers');
    expect(layers).toMatchObject({ value: 7, default: limits.max_layers.default, status: 422 });
    for (const { name, status } of body.limits) expect(status).toBe(errors[limits[name].error].status);
  });
});
