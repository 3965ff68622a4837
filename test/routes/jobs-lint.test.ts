import { describe, expect, it } from 'vitest';
import {
  type Bar,
  type GoldenDataset,
  goldenDatasets,
  optimizerOf,
  outputOf,
  readGolden,
} from '../../scripts/dataset-bars.ts';
import type { JobWarning } from '../../src/schemas/job-warnings.ts';
import { jobLintRules } from '../../src/services/job-lint.ts';
import { namesOf } from '../../src/training/states.ts';
import { useApp } from '../support/app.ts';
import { job } from '../support/jobs.ts';
import { patched } from '../support/json-patch.ts';

const running = useApp({ MAX_WORKERS: '1' });

/** What a valid body is warned of. */
async function warningsOf(body: object): Promise<JobWarning[]> {
  const answer = await running.request.post('/v1/jobs?validate_only=true').send(body);
  expect(answer.body).toMatchObject({ warnings: expect.any(Array) });
  expect(answer.status).toBe(200);
  return answer.body.warnings;
}

/** One layer from one number to one, on two rows. */
function body(activation: string, data: readonly [number, number][], changes: object = {}) {
  const [inputs, targets] = [0, 1].map((column) => data.map((row) => [row[column]]));
  const network = { input_size: 1, layers: [{ units: 1, activation }], loss: 'mean_squared_error' };
  return { network, data: { inputs, targets }, epochs: 20, batch_size: 2, optimizer: 'sgd', ...changes };
}

const sgd = (learning_rate: number) => ({ optimizer: { name: 'sgd', learning_rate } });

interface Pair {
  readonly provokes: readonly object[];
  readonly misses: readonly object[];
}

const large = [
  [-2000, 0],
  [1000, 0.5],
] as const satisfies [number, number][];
const small = [
  [-1, 0],
  [1, 1],
] as const satisfies [number, number][];
const dear = [
  [-1, 0],
  [1, 250_000],
] as const satisfies [number, number][];
const below = [
  [-1, -0.5],
  [1, 0.5],
] as const satisfies [number, number][];

const scenarios: Record<keyof typeof jobLintRules, Pair> = {
  inputs_unscaled: {
    provokes: [
      body('linear', [...large], sgd(0.01)),
      body('linear', [...large], { ...sgd(0.01), scaling: { targets: 'standardize' } }),
    ],
    // 2/2000² = 5e-7, of which fifty times as much is allowed.
    misses: [
      body('linear', [...large], sgd(2e-5)),
      body('linear', [...large], { optimizer: 'adam' }),
      body('linear', [...large], { ...sgd(0.01), standardize: true }),
    ],
  },
  targets_unscaled: {
    provokes: [body('linear', [...dear]), body('linear', [...dear], { standardize: true })],
    misses: [body('linear', [...small]), body('linear', [...dear], { scaling: { targets: 'min_max' } })],
  },
  targets_out_of_reach: {
    provokes: [body('sigmoid', [...below]), body('tanh', [...dear]), body('relu', [...below])],
    misses: [body('tanh', [...below]), body('sigmoid', [...small]), body('linear', [...dear])],
  },
  relu_for_bounded_targets: {
    provokes: [body('relu', [...small])],
    misses: [
      body('relu', [
        [1, 0],
        [2, 1.5],
      ]),
      body('sigmoid', [...small]),
    ],
  },
  learning_rate_unusual: {
    provokes: [
      body('linear', [...small], { optimizer: { name: 'adam', learning_rate: 5 } }),
      body('linear', [...small], { optimizer: { name: 'lion', learning_rate: 1 } }),
      body('linear', [...small], sgd(1e-12)),
    ],
    misses: [
      body('linear', [...small], { optimizer: { name: 'adam', learning_rate: 0.5 } }),
      body('linear', [...small], sgd(5)),
      body('linear', [...small], { optimizer: { name: 'adadelta', learning_rate: 5 } }),
    ],
  },
  batch_larger_than_data: {
    provokes: [body('linear', [...small], { batch_size: 3 })],
    misses: [body('linear', [...small]), body('linear', [...small], { batch_size: undefined })],
  },
  early_stopping_never: {
    provokes: [body('linear', [...small], { early_stopping: { patience: 20 } })],
    misses: [body('linear', [...small], { early_stopping: { patience: 19 } })],
  },
};

describe.each(namesOf(scenarios))('%s', (code) => {
  const { provokes, misses } = scenarios[code];

  it('is told, and its patch gives a body that is accepted and not warned of it any more', async () => {
    for (const given of provokes) {
      const told = (await warningsOf(given)).find((warning) => warning.code === code);
      expect(told).toMatchObject({ level: jobLintRules[code].level, detail: expect.stringMatching(/\.$/) });
      const left = await warningsOf(patched(given, told?.patch ?? []));
      expect(left.map((warning) => warning.code)).not.toContain(code);
    }
  });

  it('is not told of a body that comes near it', async () => {
    for (const given of misses) {
      expect((await warningsOf(given)).map((warning) => warning.code)).not.toContain(code);
    }
  });
});

const bars = goldenDatasets.flatMap((dataset) =>
  dataset.bars.map(
    (bar) => [`${dataset.name} ${bar.config.hidden} ${bar.config.act} ${bar.config.opt}`, dataset, bar] as const,
  ),
);

/** A reference configuration as a client would send it. */
function barBody(dataset: GoldenDataset, { config }: Bar) {
  const { hidden, act, opt, lr, momentum, batch, epochs } = config;
  const { train } = readGolden(dataset);
  const { loss, ...output } = outputOf(dataset);
  const rowsOf = (values: ArrayLike<number>) => {
    const width = values.length / train.rows;
    return Array.from({ length: train.rows }, (_, row) =>
      Array.from({ length: width }, (_, column) => values[row * width + column]),
    );
  };
  const layers = [...hidden.map((units) => ({ units, activation: act })), output];
  const isLabel = loss === 'sparse_categorical_cross_entropy';
  const targets = isLabel ? [...train.targets] : rowsOf(train.targets);
  const optimizer = optimizerOf({ name: opt, lr, ...(momentum === undefined ? {} : { momentum }) });
  const scaling = { inputs: 'standardize', ...(dataset.task === 'regression' ? { targets: 'standardize' } : {}) };
  const network = { input_size: train.inputs.length / train.rows, layers, loss };
  return { network, data: { inputs: rowsOf(train.inputs), targets }, epochs, batch_size: batch, optimizer, scaling };
}

describe('the lint of a job', () => {
  it.each(bars)('has nothing to say about the reference configuration %s', async (_name, dataset, bar) => {
    expect(await warningsOf(barBody(dataset, bar))).toEqual([]);
  });

  it('has nothing to say about an ordinary job', async () => {
    expect(await warningsOf(job)).toEqual([]);
  });
});

describe('a job that is only to be checked', () => {
  it('is measured, and not stored', async () => {
    const { body: preview } = await running.request.post('/v1/jobs?validate_only=true').send(job).expect(200);
    expect(preview).toMatchObject({
      rows: 4,
      steps: 40,
      parameter_count: 17,
      request: { shuffle: true },
      warnings: [],
    });
    const { body: created } = await running.request.post('/v1/jobs').send(job).expect(201);
    expect(preview.run_sha256).toBe(created.run_sha256);
    const { body: list } = await running.request.get('/v1/jobs').expect(200);
    expect(list.data.map(({ id }: { id: string }) => id)).toEqual([created.id]);
  });

  it('is refused with every problem, as if it were to be trained', async () => {
    const wrong = { ...job, epochs: 0 };
    const { body: problem } = await running.request.post('/v1/jobs?validate_only=true').send(wrong).expect(422);
    expect(problem.errors).toMatchObject([{ pointer: '/epochs' }]);
  });
});
