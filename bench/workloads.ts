/** The workloads of every benchmark, from a handful of weights to two million. */
export interface Workload {
  readonly name: string;
  /** Inputs, hidden layers, outputs. */
  readonly sizes: readonly number[];
  readonly batch: number;
  readonly hidden: 'relu' | 'tanh';
  readonly output: 'softmax' | 'sigmoid';
  readonly loss: 'categorical_cross_entropy' | 'binary_cross_entropy' | 'mean_squared_error';
  readonly optimizer: 'sgd' | 'adam';
  /** What a step is: training on a batch, or the outputs for one. */
  readonly task: 'train' | 'predict';
}

const classifier = { hidden: 'relu', output: 'softmax', loss: 'categorical_cross_entropy', task: 'train' } as const;

export const workloads: readonly Workload[] = [
  { name: 'W0', sizes: [3, 3, 4, 2], batch: 10, ...classifier, optimizer: 'sgd' },
  {
    name: 'W1',
    sizes: [2, 8, 1],
    batch: 4,
    hidden: 'tanh',
    output: 'sigmoid',
    loss: 'mean_squared_error',
    optimizer: 'sgd',
    task: 'train',
  },
  {
    name: 'W2',
    sizes: [30, 64, 32, 1],
    batch: 32,
    hidden: 'relu',
    output: 'sigmoid',
    loss: 'binary_cross_entropy',
    optimizer: 'adam',
    task: 'train',
  },
  { name: 'W3', sizes: [64, 128, 64, 10], batch: 64, ...classifier, optimizer: 'adam' },
  { name: 'W4', sizes: [784, 128, 10], batch: 64, ...classifier, optimizer: 'sgd' },
  { name: 'W5', sizes: [784, 512, 512, 10], batch: 128, ...classifier, optimizer: 'sgd' },
  { name: 'W6', sizes: [1024, 1024, 1024, 10], batch: 256, ...classifier, optimizer: 'sgd' },
  { name: 'P1', sizes: [64, 128, 64, 10], batch: 1, ...classifier, optimizer: 'adam', task: 'predict' },
  { name: 'P1000', sizes: [64, 128, 64, 10], batch: 1000, ...classifier, optimizer: 'adam', task: 'predict' },
];

export const LEARNING_RATE = 0.001;
/** Batches in the data set; the row numbers run through all of it. */
export const BATCHES = 10;

/** Floating-point operations of a step: 2mkn per matrix product; in training three per layer, less the first layer's input gradient. */
export function operationsPerStep({ sizes, batch, task }: Workload): number {
  const perWeight = (layer: number) => (task === 'predict' ? 2 : layer === 0 ? 4 : 6);
  return sizes.slice(1).reduce((sum, units, i) => sum + perWeight(i) * batch * sizes[i] * units, 0);
}

/** The same data for every peer: inputs in [−1, 1], targets 0 or 1, one of a row being 1. */
export function dataOf({ sizes, batch }: Workload) {
  const rows = batch * BATCHES;
  const [width, units] = [sizes[0], sizes[sizes.length - 1]];
  const inputs = Float32Array.from({ length: rows * width }, (_, i) => Math.sin(i * 12.9898));
  const targets = new Float32Array(rows * units);
  for (let row = 0; row < rows; row++) {
    if (units > 1) targets[row * units + ((row * 7) % units)] = 1;
    else targets[row] = row % 2;
  }
  return { rows, width, units, inputs, targets };
}
