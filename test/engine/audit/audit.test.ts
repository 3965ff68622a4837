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
import { readObservations, type SentLayers } from '../../../src/engine/audit/observations.ts';
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

/** None of these networks is dead: a mistake in a gradient of zeros is none. */
const seeds = Array.from({ length: 16 }, (_, i) => 5 * i + 2);

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
        const named = [...candidates, ...not_revealed].map(({ hypothesis }) => hypothesis).map(namesOf);
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
  expect(not_revealed.map(({ hypothesis }) => namesOf(hypothesis))).toContainEqual(['sum_instead_of_mean']);
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

/** One sigmoid unit on one input with binary cross-entropy. */
function sigmoidUnit(weight: number, inputs: readonly number[]): Exercise {
  const definition: NetworkDefinition = {
    input_size: 1,
    layers: [{ units: 1, activation: 'sigmoid' }],
    loss: 'binary_cross_entropy',
    precision: 'float64',
  };
  const values = { parameters: Float64Array.of(weight, 0), statistics: new Float64Array(0) };
  const data = { rows: inputs.length, inputs: Float64Array.from(inputs), targets: new Float64Array(inputs.length) };
  return { plan: plan(definition), values, data, kind: 'gradients', learning_rate: null };
}

test.each([
  ['an exponential that overflows', sigmoidUnit(1, [3, -800]), 'exponential_overflows', 'z = -800 in layer 1, row 1'],
  [
    'a division by an output of exactly 1',
    sigmoidUnit(1, [3, 50]),
    'division_by_saturated_output',
    'a is 1 in float64',
  ],
  ['nothing in right formulas', sigmoidUnit(1, [3, 2]), 'not_in_right_formulas', 'extreme'],
] as const)('NaN is placed and traced to %s', (_name, exercise, cause, detail) => {
  const { verdict, non_finite, first_difference } = judge(exercise, [{ weights: [['NaN']], biases: [0.5] }]);
  expect(verdict).toBe('no_match');
  expect(non_finite).toMatchObject({
    count: 1,
    first: { layer: 1, tensor: 'weights', index: [0, 0], value: Number.NaN },
  });
  expect(non_finite?.causes[0]).toMatchObject({ cause, detail: expect.stringContaining(detail) });
  expect(first_difference).toMatchObject({ layer: 1, tensor: 'weights', yours: Number.NaN });
});

test('a null, as JavaScript writes NaN, and infinities are read; a text is a problem', () => {
  const exercise = sigmoidUnit(1, [3, 2]);
  expect(judge(exercise, [{ weights: [[null]], biases: ['-Infinity'] }]).non_finite).toMatchObject({ count: 2 });
  expect(audit(exercise, [{ weights: [['nan']], biases: [1] }]).problems).toMatchObject([
    { path: '/layers/0/weights' },
  ]);
});

test('numbers that are NaN although the float32 of whoever sent them overflows are traced to float32', () => {
  const { non_finite } = judge(sigmoidUnit(1, [3, -100]), [{ weights: [['NaN']], biases: ['NaN'] }]);
  expect(non_finite?.causes[0]).toMatchObject({
    cause: 'exponential_overflows',
    detail: expect.stringContaining('in float32 exp overflows above 88.72'),
  });
});

describe('a network whose hidden layer is dead on the data', () => {
  const definition: NetworkDefinition = {
    input_size: 1,
    layers: [{ units: 2, activation: 'relu' }, { units: 1 }],
    loss: 'mean_squared_error',
    precision: 'float64',
  };
  const dead: Exercise = {
    plan: plan(definition),
    // Both units wake up above x = 30.
    values: { parameters: Float64Array.of(1, 2, -30, -60, 0.5, -0.7, 0.1), statistics: new Float64Array(0) },
    data: { rows: 3, inputs: Float64Array.of(1, 2, 3), targets: Float64Array.of(1, 0, 1) },
    kind: 'gradients',
    learning_rate: null,
  };
  const right = sentGradients(dead, passUnder(dead, []).gradients, precisions.float64);

  test('says which bugs that hides, and why', () => {
    const { verdict, not_revealed } = judge(dead, right);
    expect(verdict).toBe('correct');
    const hidden = not_revealed.find(({ hypothesis }) => namesOf(hypothesis).includes('hidden_derivative_missing'));
    // Without f' an error reaches the dead units all the same, so that this one is seen.
    expect(hidden).toBeUndefined();
    const other = not_revealed.find(({ hypothesis }) => namesOf(hypothesis).includes('transposed_weights'));
    expect(other?.reason ?? 'Layer 1 is 0').toContain('Layer 1 is 0');
  });

  test('gets a batch on which hidden bugs show', () => {
    const alike = [[], [{ bug: 'bias_not_summed', variant: 'usual' }]] as const;
    const { readings } = readObservations({ plan: dead.plan, rows: 3, kind: 'gradients', layers: [right[0]] });
    expect(tellingBatch(dead, alike, readings[0].tensors)).toMatchObject({ apart: alike });
  });
});

test('beside one bug it is said which others could hide', () => {
  const one: Exercise = {
    ...small,
    data: { rows: 1, inputs: small.data.inputs.slice(0, 3), targets: small.data.targets.slice(0, 2) },
  };
  const { candidates, not_revealed } = judge(one, wire(buggyGradients(one, [{ bug: 'wrong_sign', variant: 'usual' }])));
  expect(namesOf(candidates[0].hypothesis)).toEqual(['wrong_sign']);
  const hidden = not_revealed.find(({ hypothesis }) => namesOf(hypothesis).includes('sum_instead_of_mean'));
  expect(hidden?.reason).toContain('one row');
});

test('what was not sent cannot show, and is named', () => {
  const full = sentGradients(small, passUnder(small, []).gradients, precisions.float64);
  const weightsOnly = full.map(({ weights }) => ({ weights }));
  const { verdict, not_revealed } = judge(small, weightsOnly);
  const hidden = not_revealed.find(({ hypothesis }) => namesOf(hypothesis).includes('bias_not_averaged'));
  expect([verdict, hidden?.reason]).toEqual(['correct', 'It changes only what was not sent: the biases of layer 1.']);
});

test('the gradient of a layer that was left out of the chain matches nothing', () => {
  const gradients = passUnder(small, []).gradients.slice();
  const { offset, length } = small.plan.layers[0].weights;
  gradients.fill(0, offset, offset + length);
  expect(judge(small, wire(gradients))).toMatchObject({ verdict: 'no_match', first_difference: { layer: 1 } });
});
