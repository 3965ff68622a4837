import { expect, test } from 'vitest';
import { encodeCheckpoint } from '../../../src/training/checkpoint.ts';
import { type Diagnosis, diagnose } from '../../../src/training/post-mortem/diagnose.ts';
import type { RunRequest } from '../../../src/training/request.ts';
import { Run } from '../../../src/training/run.ts';
import {
  clipOf,
  dataOf,
  definitionOf,
  type GoldenClip,
  type GoldenNetwork,
  initialOf,
  optimizerOf,
  readGolden,
} from '../../engine/golden/reference-data.ts';

interface TrainingCase extends GoldenNetwork {
  readonly clip?: GoldenClip;
  readonly optimizer: { readonly name: string; readonly lr: number };
  readonly expected: { readonly status: 'finite' | 'diverges'; readonly steps_requested: number };
}

type SingleStep = Omit<TrainingCase, 'optimizer' | 'expected'>;

const golden = readGolden<{ readonly training: readonly TrainingCase[]; readonly single_step: readonly SingleStep[] }>(
  '5-overflow-torture.json',
);

/** Trains a case to its end, as a job does, and diagnoses it. */
function examine(
  entry: SingleStep,
  optimizer: TrainingCase['optimizer'],
  steps: number,
  precision: 'float32' | 'float64',
) {
  const network = { ...definitionOf(entry), precision };
  const request: RunRequest = {
    network,
    data: dataOf(entry),
    epochs: steps,
    batch_size: entry.x.length,
    shuffle: false,
    seed: 0,
    optimizer: optimizerOf(optimizer),
    learning_rate_schedule: [],
    clip_gradients: clipOf(entry.clip),
    initial_parameters: initialOf(new Run({ ...bare, network, data: dataOf(entry) }, null).plan, entry),
    metrics: [],
    arithmetic: 'strict',
  };
  const run = new Run(request, null);
  const losses: number[] = [];
  while (run.end === null) losses.push(...run.advance(1000).steps.losses);
  const recorded = { first_step: 1, losses: Float64Array.from(losses) };
  const text = diagnose({
    job_id: 'job_x',
    request,
    failure: run.end.stop_reason === 'diverged' ? run.end.error : null,
    end: encodeCheckpoint(run.checkpoint()),
    replay: { checkpoint: null, recorded },
    good: null,
    warnings: [],
    suspicious: [],
    trial_steps: 300,
    trial_work: 1e9,
  });
  return JSON.parse(text) as Diagnosis;
}

const bare: Omit<RunRequest, 'network' | 'data'> = {
  epochs: 1,
  batch_size: 1,
  shuffle: false,
  seed: 0,
  optimizer: 'sgd',
  learning_rate_schedule: [],
  metrics: [],
  arithmetic: 'strict',
};

/** What is wrong with each; nothing is with the others. */
const expected: Readonly<Record<string, readonly [Diagnosis['verdict'], string]>> = {
  'd-open-linreg-lr': ['failed', 'learning_rate_too_high'],
  'd-open-linreg-momentum': ['failed', 'learning_rate_too_high'],
  'd-open-raw-features': ['failed', 'unscaled_inputs'],
  'd-open-deep-linear': ['failed', 'learning_rate_too_high'],
  'd-open-deep-leaky-relu': ['failed', 'learning_rate_too_high'],
  'd-open-lr-1e308': ['failed', 'learning_rate_too_high'],
  // Finite up to here, but on its way: the loss is 1e42 by then.
  'd-open-float32-only': ['suspicious', 'learning_rate_too_high'],
  // Gradients of 1e170, whose squares overflow even float64.
  'd-open-adam-huge-grad': ['failed', 'bad_targets'],
  'd-open-dead-relu': ['suspicious', 'dead_units'],
  // Every tanh is at 1 or −1, and the loss is not small.
  'x-open-pre-1e+200-tanh': ['suspicious', 'saturation'],
  'x-open-zero-batch-relu-mse': ['suspicious', 'dead_units'],
  'x-open-zero-everything-seed': ['suspicious', 'dead_units'],
  'x-open-mse-overflow': ['failed', 'unscaled_inputs'],
  'x-open-ce-overflow': ['failed', 'unscaled_inputs'],
  'x-open-grad-overflow-layer1': ['failed', 'unscaled_inputs'],
  'x-open-pre-overflow-layer1': ['failed', 'bad_initial_parameters'],
  'x-open-pre-overflow-hidden-by-sigmoid': ['failed', 'bad_initial_parameters'],
  'x-open-pre-overflow-layer3': ['failed', 'bad_initial_parameters'],
};

test.each([...golden.training, ...golden.single_step])('$id is diagnosed as what it is', (entry) => {
  const { optimizer, expected: run } = entry as Partial<TrainingCase>;
  const steps = run?.steps_requested ?? 1;
  const found = examine(entry, optimizer ?? { name: 'sgd', lr: 1e-3 }, steps, 'float64');
  const [verdict, cause] = expected[entry.id] ?? ['healthy', undefined];
  expect({ verdict: found.verdict, cause: found.cause?.code }).toEqual({ verdict, cause });
});

test('a rate that float64 survives a little longer is too high all the same', () => {
  const entry = golden.training.find(({ id }) => id === 'd-open-float32-only')!;
  const found = examine(entry, entry.optimizer, entry.expected.steps_requested, 'float32');
  expect(found).toMatchObject({
    verdict: 'failed',
    cause: { code: 'learning_rate_too_high' },
    float64: { finite: true },
  });
});
