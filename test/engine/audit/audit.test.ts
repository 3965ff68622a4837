import { describe, expect, test } from 'vitest';
import { audit } from '../../../src/engine/audit/audit.ts';
import {
  type Exercise,
  literalPass,
  pairsOf,
  passUnder,
  singleBugs,
  singlePrecision,
} from '../../../src/engine/audit/hypotheses.ts';
import type { SentLayers } from '../../../src/engine/audit/observations.ts';
import { tellingBatch } from '../../../src/engine/audit/telling-apart.ts';
import type { NetworkDefinition } from '../../../src/engine/definition.ts';
import { toWire } from '../../../src/engine/parameters.ts';
import { initialParameters, plan } from '../../../src/engine/plan.ts';
import { dataOf, flatParameters, initialOf, type Matrix, readGolden } from '../golden/reference-data.ts';
import { buggyGradients, precisions, randomExercise, sentGradients } from './random-exercises.ts';

function judge(exercise: Exercise, sent: SentLayers) {
  const { result, problems } = audit(exercise, sent);
  if (result === undefined) return expect.fail(JSON.stringify(problems));
  return result;
}

const namesOf = (hypothesis: readonly { readonly bug: string }[] | undefined) =>
  (hypothesis ?? []).map(({ bug }) => bug);

const seeds = Array.from({ length: 18 }, (_, i) => 5 * i + 1);

/** Six times the rounding to four digits; well above 64 units in the last place of float32 and of float64. */
const slightMistakes = { float64: 1e-9, float32: 1e-3, four_digits: 3e-3 } as const;

describe.each(Object.entries(precisions))('gradients sent as %s', (precision, round) => {
  test.each(seeds)(
    'of random network %i: every single bug is named, or listed with those it cannot be told from',
    (seed) => {
      const exercise = randomExercise(seed);
      const computing = precision === 'float32' ? singlePrecision(exercise) : exercise;
      for (const hypothesis of singleBugs(exercise)) {
        const gradients = buggyGradients(computing, hypothesis);
        if (!gradients.every(Number.isFinite)) continue;
        const { candidates, not_revealed } = judge(exercise, sentGradients(exercise, gradients, round));
        const named = [...candidates.map((candidate) => candidate.hypothesis), ...not_revealed].map(namesOf);
        expect(named).toContainEqual(namesOf(hypothesis));
      }
    },
  );

  test.each(seeds)('of random network %i are never accused when they are right', (seed) => {
    const exercise = randomExercise(seed);
    const single = singlePrecision(exercise);
    const inDouble = [passUnder(exercise, []), literalPass(exercise)];
    const inSingle = precision === 'float64' ? [] : [passUnder(single, []), literalPass(single)];
    for (const pass of [...inDouble, ...inSingle]) {
      if (pass?.gradients.every(Number.isFinite) !== true) continue;
      expect(judge(exercise, sentGradients(exercise, pass.gradients, round)).verdict).toBe('correct');
    }
  });

  test.each(seeds)('of random network %i with an unknown mistake match nothing', (seed) => {
    const exercise = randomExercise(seed);
    const gradients = Float64Array.from(passUnder(exercise, []).gradients);
    const largest = gradients.reduce((most, g, i) => (Math.abs(g) > Math.abs(gradients[most]) ? i : most), 0);
    const slight = 1 + slightMistakes[precision as keyof typeof precisions];
    const mistakes = [
      gradients.map((g) => slight * g),
      gradients.map((g) => 1.3 * g),
      gradients.map((g, i) => (i === largest ? 1.7 * g : g)),
    ];
    for (const mistaken of mistakes) {
      const { verdict, first_difference } = judge(exercise, sentGradients(exercise, mistaken, round));
      expect(verdict).toBe('no_match');
      expect(first_difference).not.toBeNull();
    }
  });
});

interface SeedScenario {
  readonly X: Matrix;
  readonly Y: Matrix;
  readonly nets: Readonly<
    Record<
      string,
      {
        readonly dims: readonly number[];
        readonly weights: readonly Matrix[];
        readonly biases: Matrix;
        readonly buggy: Readonly<Record<string, { gradient_of_first_batch: { weights: Matrix[]; biases: Matrix } }>>;
      }
    >
  >;
}

/** The variants of the question and the bugs that they are. */
const questions: Readonly<Record<string, readonly string[]>> = {
  'softmax-classes__z(1-z)': ['derivative_on_pre_activation'],
  'softmax-samples__z(1-z)': ['softmax_over_batch_axis', 'derivative_on_pre_activation'],
  'sigmoid__z(1-z)': ['derivative_on_pre_activation'],
  'softmax-classes__a(1-a)': ['softmax_diagonal_only'],
  'softmax-samples__a(1-a)': ['softmax_over_batch_axis', 'softmax_diagonal_only'],
};

const { scenarios } = readGolden<{ scenarios: readonly SeedScenario[] }>('4-seed-scenario.json');
const cases = scenarios.flatMap(({ X, Y, nets }, scenario) =>
  Object.entries(nets).flatMap(([name, net]) =>
    Object.entries(net.buggy).map(([variant, run]) => ({
      title: `${scenario} ${name} ${variant}`,
      X,
      Y,
      net,
      variant,
      run,
    })),
  ),
);

test.each(cases)('the question’s own wrong gradients are recognised: $title', ({ X, Y, net, variant, run }) => {
  const units = net.dims.slice(1);
  const output = variant.startsWith('softmax') ? 'softmax' : 'sigmoid';
  const planned = plan({
    input_size: net.dims[0],
    layers: units.map((size, i) => ({ units: size, activation: i === units.length - 1 ? output : 'relu' })),
    loss: { name: 'binary_cross_entropy', reduction: 'batch_mean' },
    precision: 'float64',
  });
  const columns = (matrix: Matrix) => Array.from({ length: 10 }, (_, row) => matrix.map((values) => values[row]));
  const data = dataOf({ x: columns(X), y: columns(Y) });
  const exercise = {
    plan: planned,
    values: initialOf(planned, net),
    data,
    kind: 'gradients',
    learning_rate: 0.5,
  } as const;
  const { weights, biases } = run.gradient_of_first_batch;
  const sent = toWire(planned, Float64Array.from(flatParameters(weights, biases))).layers;
  const { verdict, candidates } = judge(exercise, sent);
  expect(verdict).toBe('bug_found');
  expect(namesOf(candidates[0].hypothesis)).toEqual(questions[variant]);
});

const definition: NetworkDefinition = {
  input_size: 3,
  layers: [
    { units: 4, activation: 'relu' },
    { units: 4, activation: 'tanh' },
    { units: 2, activation: 'softmax' },
  ],
  loss: { name: 'categorical_cross_entropy' },
  precision: 'float64',
};
const planned = plan(definition);
const small: Exercise = {
  plan: planned,
  values: initialParameters(planned, definition, 3),
  data: {
    rows: 3,
    inputs: Float64Array.of(1, -0.5, 2, 0.3, 0.7, -1, -2, 1.5, 0.25),
    targets: Float64Array.of(1, 0, 0, 1, 1, 0),
  },
  kind: 'gradients',
  learning_rate: 0.1,
};
const transposed = (matrix: Matrix): Matrix => matrix[0].map((_, column) => matrix.map((row) => row[column]));
const wire = (gradients: ArrayLike<number>) => toWire(planned, Float64Array.from(gradients)).layers;

test('weights as [inputs][units] and biases as columns are read, and said', () => {
  const sent = wire(passUnder(small, []).gradients).map(({ weights, biases }) => ({
    weights: transposed(weights),
    biases: biases?.map((b) => [b]),
  }));
  const { verdict, notes } = judge(small, sent);
  expect(verdict).toBe('correct');
  expect(notes).toHaveLength(2);
});

test('a transposed square matrix alone is read either way', () => {
  const [, middle] = wire(passUnder(small, []).gradients);
  expect(judge(small, [null, { weights: transposed(middle.weights) }]).verdict).toBe('correct');
});

test('a bug shows in the parameters after one step', () => {
  const { gradients } = passUnder(small, [{ bug: 'hidden_derivative_missing', variant: 'usual' }]);
  const after = small.values.parameters.map((p, i) => p - 0.1 * gradients[i]);
  const { candidates, first_difference } = judge({ ...small, kind: 'parameters_after' }, wire(after));
  expect(namesOf(candidates[0].hypothesis)).toEqual(['hidden_derivative_missing']);
  expect(first_difference).toMatchObject({ layer: 2, tensor: 'weights' });
});

test('activations differ first where the forward pass goes wrong', () => {
  const exercise: Exercise = { ...small, kind: 'activations' };
  const pass = passUnder(exercise, [{ bug: 'softmax_over_batch_axis', variant: 'its_own_derivative' }]);
  const sent = pass.layers.map(({ activations }, i) => {
    const units = planned.layers[i].units;
    return Array.from({ length: 3 }, (_, row) => Array.from(activations.subarray(row * units, (row + 1) * units)));
  });
  const { candidates, first_difference } = judge(exercise, sent);
  expect(namesOf(candidates[0].hypothesis)).toEqual(['softmax_over_batch_axis']);
  expect(first_difference).toMatchObject({ layer: 3, tensor: 'activations' });
});

test('with one row the sum is the mean, and a larger batch tells two scalings apart', () => {
  const one: Exercise = {
    ...small,
    data: { rows: 1, inputs: small.data.inputs.slice(0, 3), targets: small.data.targets.slice(0, 2) },
  };
  const gradients = passUnder(one, []).gradients;
  const { verdict, not_revealed } = judge(one, wire(gradients));
  expect(verdict).toBe('correct');
  expect(not_revealed.map(namesOf)).toContainEqual(['sum_instead_of_mean']);
  const scalings = (['sum_instead_of_mean', 'mean_applied_twice'] as const).map((bug) => [{ bug, variant: 'usual' }]);
  const batch = tellingBatch(one, scalings, [
    {
      layer: 3,
      tensor: 'biases',
      shape: [2],
      offset: planned.layers[2].biases?.offset ?? 0,
      values: new Float64Array(2),
    },
  ]);
  // m² − 1 of m² apart, with five rows.
  expect(batch?.gap).toBeGreaterThan(0.9);
});

test('most pairs of bugs are named', () => {
  const pairs = pairsOf(singleBugs(small));
  let named = 0;
  for (const pair of pairs) {
    const { candidates, verdict } = judge(small, wire(buggyGradients(small, pair)));
    const names = candidates.map(({ hypothesis }) => namesOf(hypothesis).join());
    if (names.includes(namesOf(pair).join()) || verdict === 'correct' || candidates[0]?.hypothesis.length === 1)
      named++;
  }
  expect(named / pairs.length).toBeGreaterThan(0.99);
});

test('what fits no shape is a problem with its place', () => {
  const { problems } = audit(small, [{ weights: [[1, 2]], biases: [1, 2, 3, 4] }]);
  expect(problems).toEqual([{ path: '/layers/0/weights', expected: '[4, 3] or [3, 4]', found: '[1, 2]' }]);
});
