import { describe, expect, test } from 'vitest';
import type { Data } from '../../../src/engine/backend.ts';
import type { LayerDefinition, LayerParameters, NetworkDefinition } from '../../../src/engine/definition.ts';
import { toWire } from '../../../src/engine/parameters.ts';
import { initialParameters, plan } from '../../../src/engine/plan.ts';
import { uniform } from '../../../src/engine/prng.ts';
import { backwardPass } from '../../../src/engine/reference/backward.ts';
import { type BugName, bugNames, bugs, type ChosenBug, simulatedRules } from '../../../src/engine/reference/bugs.ts';
import { expectClose } from '../compare.ts';

type Matrix = number[][];

const SIZE = 3;
const ROWS = 4;
const RATE = 0.3;
const L1 = 0.02;
const L2 = 0.05;

const draw = (stream: number, length: number) =>
  Float64Array.from({ length }, (_, i) => 2 * uniform(4, 'generate', stream, i) - 1);
const classes = [0, 2, 1, 2];
const data: Data = {
  rows: ROWS,
  inputs: draw(1, ROWS * SIZE),
  targets: Float64Array.from(classes.flatMap((label) => Array.from({ length: SIZE }, (_, k) => Number(k === label)))),
};

/** Three square layers, so that every mistake about shapes fits. */
function network(
  hidden: 'relu' | 'tanh' | 'sigmoid',
  output: 'softmax' | 'sigmoid',
  penalty = false,
): NetworkDefinition {
  const own: Partial<LayerDefinition> = penalty ? { l1: L1, l2: L2 } : {};
  return {
    input_size: SIZE,
    layers: [hidden, hidden, output].map((activation) => ({ units: SIZE, activation, ...own })),
    loss: {
      name: output === 'softmax' ? 'categorical_cross_entropy' : 'binary_cross_entropy',
      reduction: 'batch_mean',
    },
    precision: 'float64',
  };
}

// ---- hand-written backpropagation, rows of samples, with a place for each mistake ----

const zip = (a: Matrix, b: Matrix, f: (x: number, y: number) => number): Matrix =>
  a.map((row, i) => row.map((x, j) => f(x, b[i][j])));
const transpose = (a: Matrix): Matrix => a[0].map((_, j) => a.map((row) => row[j]));
const times = (a: Matrix, b: Matrix): Matrix =>
  a.map((row) => transpose(b).map((c) => row.reduce((s, x, k) => s + x * c[k], 0)));
const softmaxRow = (z: number[]) => {
  const powers = z.map(Math.exp);
  const sum = powers.reduce((s, p) => s + p, 0);
  return powers.map((p) => p / sum);
};
const sigmoid = (z: number) => 1 / (1 + Math.exp(-z));

const functions = {
  relu: { f: (z: number) => Math.max(z, 0), slope: (z: number) => Number(z > 0) },
  tanh: { f: Math.tanh, slope: (z: number) => 1 - Math.tanh(z) ** 2 },
  sigmoid: { f: sigmoid, slope: (z: number) => sigmoid(z) * (1 - sigmoid(z)) },
};

interface Seen {
  readonly z: readonly Matrix[];
  readonly a: Matrix;
  readonly y: Matrix;
  /** dLoss/da of the output layer, per sample. */
  readonly dA: Matrix;
}

interface Wrong {
  readonly softmax?: (z: Matrix) => Matrix;
  readonly outputDelta?: (seen: Seen) => Matrix;
  readonly hiddenSlope?: (z: readonly Matrix[], layer: number) => Matrix;
  readonly biases?: (delta: Matrix) => number[];
  readonly weightsForDelta?: (W: Matrix, dW: Matrix) => Matrix;
  readonly penaltyTimes?: number;
  readonly finish?: (layers: LayerParameters[]) => LayerParameters[];
}

function handWritten(
  definition: NetworkDefinition,
  layers: readonly LayerParameters[],
  wrong: Wrong,
): LayerParameters[] {
  const names = definition.layers.map(({ activation }) => activation as 'relu' | 'tanh' | 'sigmoid' | 'softmax');
  const W = layers.map(({ weights }) => weights.map((row) => [...row]));
  const x: Matrix = Array.from({ length: ROWS }, (_, r) => [...data.inputs.slice(r * SIZE, (r + 1) * SIZE)]);
  const y: Matrix = Array.from({ length: ROWS }, (_, r) => [...data.targets.slice(r * SIZE, (r + 1) * SIZE)]);
  const a: Matrix[] = [x];
  const z: Matrix[] = [];
  for (const [l, name] of names.entries()) {
    z.push(times(a[l], transpose(W[l])).map((row) => row.map((s, j) => s + (layers[l].biases ?? [])[j])));
    if (name === 'softmax') a.push(wrong.softmax ? wrong.softmax(z[l]) : z[l].map(softmaxRow));
    else a.push(z[l].map((row) => row.map(functions[name].f)));
  }
  const out = a[names.length];
  const joined = zip(out, y, (p, t) => p - t);
  const dA = zip(out, y, (p, t) => (names[2] === 'softmax' ? -t / p : -t / p + (1 - t) / (1 - p)));
  let delta = wrong.outputDelta?.({ z, a: out, y, dA }) ?? joined;
  const gradients: LayerParameters[] = [];
  for (let l = names.length - 1; l >= 0; l--) {
    const sums = times(transpose(delta), a[l]).map((row) => row.map((s) => s / ROWS));
    const { l1 = 0, l2 = 0 } = definition.layers[l];
    const repeat = wrong.penaltyTimes ?? 1;
    const dW = zip(sums, W[l], (g, w) => g + repeat * (l1 * Math.sign(w) + 2 * l2 * w));
    const db = wrong.biases?.(delta) ?? transpose(delta).map((column) => column.reduce((s, d) => s + d, 0) / ROWS);
    gradients.unshift({ weights: dW, biases: db });
    if (l === 0) break;
    const name = names[l - 1] as 'relu' | 'tanh' | 'sigmoid';
    const slope = wrong.hiddenSlope?.(z, l - 1) ?? z[l - 1].map((row) => row.map(functions[name].slope));
    delta = zip(times(delta, wrong.weightsForDelta?.(W[l], dW) ?? W[l]), slope, (d, s) => d * s);
  }
  return wrong.finish?.(gradients) ?? gradients;
}

const scaled = (weights: number, biases: number) => (layers: LayerParameters[]) =>
  layers.map((layer) => ({
    weights: layer.weights.map((row) => row.map((g) => g * weights)),
    biases: layer.biases?.map((g) => g * biases),
  }));
const columns = (z: Matrix) => transpose(transpose(z).map(softmaxRow));
const relu = (z: Matrix) => z.map((row) => row.map((value) => Number(value > 0)));

interface Transcription {
  readonly bug: BugName;
  readonly variant?: string;
  readonly definition: NetworkDefinition;
  readonly wrong: Wrong;
}

const seed = network('relu', 'softmax');
const smooth = network('tanh', 'sigmoid');
const logistic = network('sigmoid', 'sigmoid');
const penalized = network('relu', 'softmax', true);

const onZ = ({ dA, z }: Seen) => zip(dA, z[2], (d, value) => d * value * (1 - value));

const transcriptions: readonly Transcription[] = [
  { bug: 'derivative_on_pre_activation', definition: seed, wrong: { outputDelta: onZ } },
  {
    bug: 'derivative_on_pre_activation',
    definition: smooth,
    wrong: { outputDelta: onZ, hiddenSlope: (z, l) => z[l].map((row) => row.map((value) => 1 - value * value)) },
  },
  {
    bug: 'derivative_on_pre_activation',
    definition: logistic,
    wrong: { outputDelta: onZ, hiddenSlope: (z, l) => z[l].map((row) => row.map((value) => value * (1 - value))) },
  },
  {
    bug: 'derivative_on_pre_activation',
    variant: 'output_layer',
    definition: smooth,
    wrong: { outputDelta: onZ },
  },
  { bug: 'output_derivative_missing', definition: seed, wrong: { outputDelta: ({ dA }) => dA } },
  { bug: 'output_derivative_missing', definition: smooth, wrong: { outputDelta: ({ dA }) => dA } },
  {
    bug: 'hidden_derivative_missing',
    definition: seed,
    wrong: { hiddenSlope: (z, l) => z[l].map((row) => row.map(() => 1)) },
  },
  ...[seed, smooth].map((definition) => ({
    bug: 'derivative_applied_twice' as const,
    definition,
    wrong: { outputDelta: ({ a, y }: Seen) => zip(a, y, (p, t) => (p - t) * p * (1 - p)) },
  })),
  {
    bug: 'softmax_diagonal_only',
    definition: seed,
    wrong: { outputDelta: ({ dA, a }) => zip(dA, a, (d, p) => d * p * (1 - p)) },
  },
  {
    bug: 'softmax_over_batch_axis',
    definition: seed,
    wrong: {
      softmax: columns,
      outputDelta: ({ dA, a }) => {
        const [slopes, outputs] = [transpose(dA), transpose(a)];
        const dots = slopes.map((column, k) => column.reduce((s, d, r) => s + d * outputs[k][r], 0));
        return zip(dA, a, (d, p) => d * p).map((row, r) => row.map((g, k) => g - a[r][k] * dots[k]));
      },
    },
  },
  // With one-hot targets the joined delta a − y, taken of the wrong outputs.
  { bug: 'softmax_over_batch_axis', variant: 'derivative_over_units', definition: seed, wrong: { softmax: columns } },
  { bug: 'wrong_sign', definition: seed, wrong: { finish: scaled(-1, -1) } },
  { bug: 'sum_instead_of_mean', definition: seed, wrong: { finish: scaled(ROWS, ROWS) } },
  { bug: 'mean_applied_twice', definition: seed, wrong: { finish: scaled(1 / ROWS, 1 / ROWS) } },
  { bug: 'bias_not_averaged', definition: seed, wrong: { finish: scaled(1, ROWS) } },
  { bug: 'bias_not_summed', definition: seed, wrong: { biases: (delta) => delta[ROWS - 1].map((d) => d / ROWS) } },
  {
    bug: 'weights_updated_before_backward',
    definition: seed,
    wrong: { weightsForDelta: (W, dW) => zip(W, dW, (w, g) => w - RATE * g) },
  },
  { bug: 'transposed_weights', definition: seed, wrong: { weightsForDelta: (W) => transpose(W) } },
  {
    bug: 'relu_mask_from_wrong_layer',
    definition: seed,
    wrong: { hiddenSlope: (z, l) => relu(z[Math.max(l - 1, 0)]) },
  },
  {
    bug: 'relu_mask_from_wrong_layer',
    variant: 'layer_above',
    definition: seed,
    wrong: { hiddenSlope: (z, l) => relu(z[l + 1]) },
  },
  { bug: 'layer_off_by_one', definition: seed, wrong: { finish: ([first, second]) => [first, first, second] } },
  { bug: 'regularization_missing', definition: penalized, wrong: { penaltyTimes: 0 } },
  { bug: 'regularization_doubled', definition: penalized, wrong: { penaltyTimes: 2 } },
];

function simulated(definition: NetworkDefinition, chosen: readonly ChosenBug[]) {
  const planned = plan(definition);
  const initial = initialParameters(planned, definition, 12);
  for (const { biases } of planned.layers)
    if (biases) initial.parameters.set(draw(7 + biases.offset, SIZE), biases.offset);
  const { pass } = backwardPass(planned, initial, data, undefined, simulatedRules(chosen, planned, RATE));
  return { gradients: pass.gradients, layers: toWire(planned, initial.parameters).layers };
}

const flat = (layers: readonly LayerParameters[]) =>
  layers.flatMap(({ weights, biases }) => [...weights.flat(), ...(biases ?? [])]);

// Sums of a few dozen roundings of 1.1e-16, relative to the largest gradient.
const tolerance = { scaled: 1e-13 };

test.each([seed, smooth, logistic, penalized])(
  'the hand-written code without a mistake gives the right gradients',
  (definition) => {
    const { gradients, layers } = simulated(definition, []);
    expectClose(gradients, flat(handWritten(definition, layers, {})), tolerance, 'gradients');
  },
);

describe.each(transcriptions)('$bug $variant', ({ bug, variant, definition, wrong }) => {
  const chosen: ChosenBug = variant === undefined ? bug : { bug, variant };

  test('computes what the wrong code computes', () => {
    const { gradients, layers } = simulated(definition, [chosen]);
    expectClose(gradients, flat(handWritten(definition, layers, wrong)), tolerance, 'gradients');
  });

  test('differs from the right gradients', () => {
    const right = simulated(definition, []).gradients;
    const { gradients } = simulated(definition, [chosen]);
    const distance = Math.hypot(...gradients.map((g, i) => g - right[i]));
    expect(distance).toBeGreaterThan(1e-3 * Math.hypot(...right));
  });
});

test('every bug of the table and every variant is transcribed', () => {
  const proven = new Set(
    transcriptions.map(({ bug, variant }) => `${bug}/${variant ?? Object.keys(bugs[bug].variants)[0]}`),
  );
  const all = bugNames.flatMap((bug) => Object.keys(bugs[bug].variants).map((variant) => `${bug}/${variant}`));
  expect(all.filter((name) => !proven.has(name))).toEqual([]);
});

describe('two bugs at once', () => {
  test('act one after the other: the sign and the scale', () => {
    const { gradients, layers } = simulated(seed, ['wrong_sign', 'sum_instead_of_mean']);
    expectClose(gradients, flat(handWritten(seed, layers, { finish: scaled(-ROWS, -ROWS) })), tolerance, 'gradients');
  });

  test('in either order of their names', () => {
    const pair = ['softmax_diagonal_only', 'softmax_over_batch_axis'];
    expect(simulated(seed, pair).gradients).toEqual(simulated(seed, pair.toReversed()).gradients);
    const { gradients, layers } = simulated(seed, pair);
    const diagonal = ({ dA, a }: Seen) => zip(dA, a, (d, p) => d * p * (1 - p));
    const want = handWritten(seed, layers, { softmax: columns, outputDelta: diagonal });
    expectClose(gradients, flat(want), tolerance, 'gradients');
  });
});

describe('a bug that cannot be made says why', () => {
  const linear = plan({ input_size: 2, layers: [{ units: 1, use_bias: false }], loss: 'mean_squared_error' });
  const possible = ['wrong_sign', 'sum_instead_of_mean', 'mean_applied_twice'];

  test.each(bugNames)('%s in one linear unit', (name) => {
    const reason = bugs[name].applies(linear);
    if (possible.includes(name)) expect(reason).toBeNull();
    else expect(reason).toMatch(/^[a-z].{15,}$/);
  });

  test('and applies where it was simulated', () => {
    for (const { bug, definition } of transcriptions) expect(bugs[bug].applies(plan(definition)), bug).toBeNull();
  });
});

test('the mask of the layer above is meant where no layer below has the width', () => {
  const layers = [4, 3, 3].map((units) => ({ units, activation: 'relu' as const }));
  const planned = plan({ input_size: 3, layers, loss: 'mean_squared_error' });
  expect(bugs.relu_mask_from_wrong_layer.usual(planned)).toBe('layer_above');
  expect(bugs.relu_mask_from_wrong_layer.usual(plan(seed))).toBe('layer_below');
});

test('unknown names and variants are refused', () => {
  expect(() => simulatedRules(['toString'], plan(seed))).toThrow('unknown bug "toString"');
  expect(() => simulatedRules([{ bug: 'wrong_sign', variant: 'x' }], plan(seed))).toThrow('no variant "x"');
});
