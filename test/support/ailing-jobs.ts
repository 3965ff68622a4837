/** Jobs with one thing wrong with each, and what a diagnosis has to find: an adversarial collection. */
import { normal, uniform } from '../../src/engine/prng.ts';

const rows = 60;
const draw = (row: number, column: number) => normal(1, 'generate', column, row);
const inputs = Array.from({ length: rows }, (_, row) => [draw(row, 0), draw(row, 1)]);
const plane = inputs.map(([a, b]) => [2 * a! - b! + 0.5]);
const quadrants = inputs.map(([a, b]) => [a! * b! > 0 ? 1 : 0]);
const times = (matrix: readonly number[][], factor: number) => matrix.map((row) => row.map((x) => factor * x));

/** Three whole features from 0 to 20 and two random labels, as in the question. */
const question = {
  inputs: Array.from({ length: 100 }, (_, row) =>
    [0, 1, 2].map((k) => Math.floor(21 * uniform(5, 'generate', k, row))),
  ),
  targets: Array.from({ length: 100 }, (_, row) => [3, 4].map((k) => Math.floor(2 * uniform(5, 'generate', k, row)))),
};
const questionNetwork = {
  input_size: 3,
  layers: [
    { units: 3, activation: 'relu' },
    { units: 4, activation: 'relu' },
    { units: 2, activation: 'softmax' },
  ],
  loss: { name: 'binary_cross_entropy', reduction: 'batch_mean' },
};

const network = (layers: readonly object[], loss = 'mean_squared_error') => ({ input_size: 2, layers, loss });
const relu = network([{ units: 8, activation: 'relu' }, { units: 1 }]);
const tanh = network([{ units: 8, activation: 'tanh' }, { units: 1 }]);
const line = network([{ units: 1 }]);
const ending = (activation: string) =>
  network([
    { units: 8, activation: 'tanh' },
    { units: 1, activation },
  ]);
const sgd = (learning_rate: number, more: object = {}) => ({ name: 'sgd', learning_rate, ...more });
const regression = { data: { inputs, targets: plane }, epochs: 100, batch_size: 20 };
const sigmoids = (count: number) => [
  ...Array.from({ length: count }, () => ({ units: 6, activation: 'sigmoid' })),
  { units: 1, activation: 'sigmoid' },
];
const withBug = (simulate_bug: string) => ({
  network: questionNetwork,
  data: question,
  epochs: 50,
  batch_size: 10,
  seed: 1,
  optimizer: sgd(0.5),
  simulate_bug,
});
const lastRow = (value: number) => [...inputs.slice(0, -1), [value, 0.5]];

export interface Ailing {
  readonly what: string;
  readonly verdict: 'failed' | 'suspicious' | 'healthy';
  readonly cause: string | null;
  readonly body: object;
}

export const ailing: readonly Ailing[] = [
  {
    what: 'a learning rate that is absurdly high',
    verdict: 'failed',
    cause: 'learning_rate_too_high',
    body: { ...regression, network: relu, optimizer: sgd(50) },
  },
  {
    what: 'a learning rate just above the bound',
    verdict: 'failed',
    cause: 'learning_rate_too_high',
    body: { ...regression, network: line, epochs: 900, batch_size: rows, optimizer: sgd(1.6) },
  },
  {
    what: 'a learning rate too high for its momentum',
    verdict: 'failed',
    cause: 'learning_rate_too_high',
    body: { ...regression, network: line, epochs: 900, batch_size: rows, optimizer: sgd(3, { momentum: 0.9 }) },
  },
  {
    what: 'a learning rate of 1e308',
    verdict: 'failed',
    cause: 'learning_rate_too_high',
    body: { ...regression, network: { ...relu, precision: 'float64' }, optimizer: sgd(1e308) },
  },
  {
    what: 'inputs of the size of a million',
    verdict: 'failed',
    cause: 'unscaled_inputs',
    body: { ...regression, network: relu, data: { inputs: times(inputs, 1e6), targets: plane }, optimizer: sgd(0.01) },
  },
  {
    what: 'inputs of the size of thousands, at a rate too high for scaled ones',
    verdict: 'failed',
    cause: 'unscaled_inputs',
    body: {
      network: network([{ units: 3 }, { units: 1 }]),
      data: {
        inputs: [
          [1000, 2000],
          [3000, 1500],
          [2500, 100],
        ],
        targets: [[1], [2], [3]],
      },
      epochs: 100,
      optimizer: sgd(0.5),
    },
  },
  {
    what: 'targets of the size of a million',
    verdict: 'failed',
    cause: 'bad_targets',
    body: { ...regression, network: relu, data: { inputs, targets: times(plane, 1e6) }, optimizer: sgd(0.01) },
  },
  {
    what: 'targets whose squares do not fit float32',
    verdict: 'failed',
    cause: 'bad_targets',
    body: { ...regression, network: tanh, data: { inputs, targets: times(plane, 3e19) }, optimizer: 'adam' },
  },
  {
    what: 'targets that a sigmoid cannot reach',
    verdict: 'suspicious',
    cause: 'bad_targets',
    body: {
      ...regression,
      network: ending('sigmoid'),
      data: { inputs, targets: plane.map(([y]) => [5 + y!]) },
      optimizer: sgd(0.1),
    },
  },
  {
    what: 'negative targets at a relu',
    verdict: 'suspicious',
    cause: 'bad_targets',
    body: { ...regression, network: ending('relu'), optimizer: sgd(0.05) },
  },
  {
    what: 'numbers that overflow float32 only',
    verdict: 'failed',
    cause: 'overflow',
    body: {
      ...regression,
      network: tanh,
      sample_weights: inputs.map((_, row) => (row % 2 === 0 ? 3e37 : 1e37)),
      optimizer: { name: 'adam', learning_rate: 0.01 },
    },
  },
  {
    what: 'initial parameters of 1e20',
    verdict: 'failed',
    cause: 'bad_initial_parameters',
    body: {
      network: { ...network([{ units: 1 }, { units: 1 }]), input_size: 1 },
      data: { inputs: [[1], [2]], targets: [[1], [2]] },
      epochs: 10,
      initial_parameters: {
        layers: [
          { weights: [[1e20]], biases: [0] },
          { weights: [[1e19]], biases: [0] },
        ],
      },
    },
  },
  {
    what: 'one input of 1e30',
    verdict: 'failed',
    cause: 'bad_input_values',
    body: { ...regression, network: relu, data: { inputs: lastRow(1e30), targets: plane }, optimizer: sgd(0.05) },
  },
  {
    what: 'a sentinel of -999999',
    verdict: 'failed',
    cause: 'bad_input_values',
    body: { ...regression, network: relu, data: { inputs: lastRow(-999_999), targets: plane }, optimizer: sgd(0.05) },
  },
  ...['derivative_on_pre_activation', 'wrong_sign', 'output_derivative_missing'].map((bug) => ({
    what: `the bug ${bug}`,
    verdict: 'failed' as const,
    cause: 'wrong_gradient',
    body: withBug(bug),
  })),
  {
    what: 'a bug that stays finite',
    verdict: 'suspicious',
    cause: 'wrong_gradient',
    body: withBug('sum_instead_of_mean'),
  },
  {
    what: 'a layer that dies',
    verdict: 'suspicious',
    cause: 'dead_units',
    body: {
      ...regression,
      network: network([{ units: 6, activation: 'relu' }, { units: 1 }]),
      data: { inputs: inputs.map((row) => row.map((x) => 10 * Math.abs(x))), targets: plane.map(([y]) => [100 + y!]) },
      seed: 2,
      optimizer: sgd(0.02),
    },
  },
  {
    what: 'a saturated layer',
    verdict: 'suspicious',
    cause: 'saturation',
    body: {
      network: network(sigmoids(2), 'binary_cross_entropy'),
      data: { inputs: times(inputs, 1e4), targets: quadrants },
      epochs: 50,
      batch_size: 20,
      optimizer: sgd(0.1),
    },
  },
  {
    what: 'twelve layers of sigmoids',
    verdict: 'suspicious',
    cause: 'vanishing_gradients',
    body: {
      network: network(sigmoids(12), 'binary_cross_entropy'),
      data: { inputs, targets: quadrants },
      epochs: 50,
      batch_size: 20,
      optimizer: sgd(0.1),
    },
  },
  {
    what: 'a learning rate of 1e-7',
    verdict: 'suspicious',
    cause: 'learning_rate_too_low',
    body: { ...regression, network: tanh, optimizer: sgd(1e-7) },
  },
  {
    what: 'inputs that say nothing about the targets',
    verdict: 'suspicious',
    cause: 'undetermined',
    body: {
      network: ending('sigmoid'),
      data: { inputs: inputs.map(() => [0, 0]), targets: inputs.map((_, row) => [row % 2]) },
      epochs: 50,
      batch_size: rows,
      optimizer: sgd(0.1),
    },
  },
  {
    what: 'nothing wrong with it',
    verdict: 'healthy',
    cause: null,
    body: { ...regression, network: tanh, optimizer: { name: 'adam', learning_rate: 0.01 } },
  },
  {
    what: 'nothing wrong with it, started from exact parameters where little is left to gain',
    verdict: 'healthy',
    cause: null,
    body: {
      ...regression,
      network: line,
      initial_parameters: { layers: [{ weights: [[2, -1]], biases: [0.5] }] },
      optimizer: sgd(0.1),
    },
  },
];
