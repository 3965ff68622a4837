import { describe, expect, test } from 'vitest';
import type { NetworkDefinition } from '../../../src/engine/definition.ts';
import { plan } from '../../../src/engine/plan.ts';
import { encodeCheckpoint } from '../../../src/training/checkpoint.ts';
import { type Diagnosis, diagnose } from '../../../src/training/post-mortem/diagnose.ts';
import type { RunRequest } from '../../../src/training/request.ts';
import { Run } from '../../../src/training/run.ts';
import { dataOf, initialOf, type Matrix, readGolden } from '../../engine/golden/reference-data.ts';

interface Scenario {
  readonly seed: number;
  readonly X: Matrix;
  readonly Y: Matrix;
  readonly nets: Readonly<
    Record<string, { readonly dims: readonly number[]; readonly weights: readonly Matrix[]; readonly biases: Matrix }>
  >;
}

const { scenarios } = readGolden<{ readonly scenarios: readonly Scenario[] }>('4-seed-scenario.json');
const samplesFirst = (matrix: Matrix): Matrix => matrix[0]!.map((_, column) => matrix.map((row) => row[column]!));

/** Three of the seeds; all of them take five seconds. */
const cases = scenarios
  .slice(0, 3)
  .flatMap(({ seed, X, Y, nets }) =>
    Object.entries(nets).map(([name, net]) => ({ title: `seed ${seed}, ${name}`, X, Y, net })),
  );

const wrong = [
  { output: 'softmax', bug: 'derivative_on_pre_activation' },
  { output: 'sigmoid', bug: 'derivative_on_pre_activation' },
  { output: 'softmax', bug: 'softmax_diagonal_only' },
] as const;

function examine(
  { X, Y, net }: (typeof cases)[number],
  output: 'softmax' | 'sigmoid',
  simulate_bug: string,
): Diagnosis {
  const units = net.dims.slice(1);
  const network: NetworkDefinition = {
    input_size: net.dims[0]!,
    layers: units.map((size, l) => ({ units: size, activation: l === units.length - 1 ? output : 'relu' })),
    loss: { name: 'binary_cross_entropy', reduction: 'batch_mean' },
    precision: 'float64',
  };
  const request: RunRequest = {
    network,
    data: dataOf({ x: samplesFirst(X), y: samplesFirst(Y) }),
    epochs: 20,
    batch_size: 10,
    shuffle: false,
    seed: 0,
    optimizer: { name: 'sgd', learning_rate: 0.5 },
    learning_rate_schedule: [],
    initial_parameters: initialOf(plan(network), net),
    metrics: [],
    arithmetic: 'strict',
    simulate_bug,
  };
  const run = new Run(request, null);
  while (run.end === null) run.advance(1000);
  const text = diagnose({
    job_id: 'job_x',
    request,
    failure: run.end.stop_reason === 'diverged' ? run.end.error : null,
    end: encodeCheckpoint(run.checkpoint()),
    replay: null,
    good: null,
    warnings: [],
    suspicious: [],
    trial_steps: 20,
    trial_work: 1e9,
  });
  return JSON.parse(text) as Diagnosis;
}

describe.each(cases)('the question with $title', (entry) => {
  test.each(wrong)('and $bug at a $output output is told what is wrong with its code', ({ output, bug }) => {
    const { cause, fixes } = examine(entry, output, bug);
    expect(cause).toMatchObject({ code: 'wrong_gradient', evidence: { bug } });
    expect(fixes[0]).toMatchObject({ id: 'correct_gradients', tried: { finite: true } });
  });
});
