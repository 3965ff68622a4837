import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { plan } from '../../../src/engine/plan.ts';
import { expectClose } from '../compare.ts';
import { engines } from './engines.ts';
import { dataOf, definitionOf, initialOf, type Matrix, optimizerOf, readGolden } from './reference-data.ts';

interface DataSet {
  readonly name: string;
  readonly file: string;
  readonly split: { readonly train: readonly number[]; readonly test: readonly number[] };
  readonly train_feature_mean: readonly number[];
  readonly train_feature_sd: readonly number[];
  readonly train_target_mean?: number;
  readonly train_target_sd?: number;
  readonly replay: {
    readonly dims: readonly number[];
    readonly activations: readonly string[];
    readonly loss: string;
    readonly optimizer: { readonly name: string; readonly lr: number };
    readonly batch_size: number;
    readonly epochs: number;
    readonly weights: readonly Matrix[];
    readonly epoch_loss_mean_over_batches: readonly number[];
    readonly test_logits_first_5: Matrix;
    readonly test_metric: Readonly<Record<string, number>>;
  };
}

const { datasets } = readGolden<{ datasets: readonly DataSet[] }>('6-datasets.json');

/** Rows of the file, standardized with the statistics of the training rows; the target last. */
function rowsOf(set: DataSet): Matrix {
  const text = readFileSync(new URL(`../../golden/${set.file}`, import.meta.url), 'utf8');
  const lines = text.trim().split('\n').slice(1);
  const { train_feature_mean: mean, train_feature_sd: sd, train_target_mean = 0, train_target_sd = 1 } = set;
  return lines.map((line) => {
    const cells = line.split(',').map(Number);
    const target = (cells[mean.length] - train_target_mean) / train_target_sd;
    return [...mean.map((m, k) => (cells[k] - m) / (sd[k] || 1)), target];
  });
}

function networkOf({ replay }: DataSet) {
  const layers = replay.activations.map((activation, l) => ({
    in: replay.dims[l],
    out: replay.dims[l + 1],
    activation,
  }));
  const reduction = replay.loss === 'mse' ? 'mean_all' : 'sum_outputs_mean_batch';
  return { layers, loss: { name: replay.loss, reduction } };
}

function choose(rows: Matrix, chosen: readonly number[], labels: boolean) {
  const picked = chosen.map((row) => rows[row]);
  const targets = picked.map((row) => row[row.length - 1]);
  return dataOf({ x: picked.map((row) => row.slice(0, -1)), y: labels ? targets : targets.map((y) => [y]) });
}

/** Accuracy of classes, or R² of standardized targets (which equals R² in original units). */
function metricOf(
  outputs: ArrayLike<number>,
  targets: ArrayLike<number>,
  classes: number,
  regression: boolean,
): number {
  const rows = targets.length;
  if (regression) {
    let [mean, error, spread] = [0, 0, 0];
    for (let i = 0; i < rows; i++) mean += targets[i] / rows;
    for (let i = 0; i < rows; i++) {
      error += (outputs[i] - targets[i]) ** 2;
      spread += (targets[i] - mean) ** 2;
    }
    return 1 - error / spread;
  }
  let right = 0;
  for (let row = 0; row < rows; row++) {
    const scores = Array.from({ length: classes }, (_, k) => outputs[row * classes + k]);
    const guess = classes === 1 ? Number(scores[0] > 0.5) : scores.indexOf(Math.max(...scores));
    if (guess === targets[row]) right++;
  }
  return right / rows;
}

// 10 epochs of at most 42 steps: rounding differences stay far below, a wrong update shows in the second epoch.
const tolerance = { relative: 1e-8, scaled: 1e-8 };

const replays = datasets.flatMap((set) => engines.map((engine) => ({ name: set.name, set, ...engine })));

test.each(replays)('$name: the replay gives the same losses, logits and metric: $engine', ({ set, create }) => {
  const { replay, split } = set;
  const rows = rowsOf(set);
  const labels = replay.loss === 'sparse_cce';
  const [train, held] = [choose(rows, split.train, labels), choose(rows, split.test, labels)];
  const planned = plan(definitionOf(networkOf(set)));
  const biases = replay.weights.map((matrix) => matrix.map(() => 0));
  const setup = {
    optimizer: optimizerOf(replay.optimizer),
    arithmetic: 'strict' as const,
    batch_size: replay.batch_size,
    seed: 0,
  };
  const initial = initialOf(planned, { weights: replay.weights, biases });
  const backend = create(planned, setup, train, initial);
  const order = Uint32Array.from({ length: train.rows }, (_, row) => row);
  const steps = Math.ceil(train.rows / replay.batch_size);
  for (let epoch = 0; epoch < replay.epochs; epoch++) {
    const learning_rates = new Float64Array(steps).fill(replay.optimizer.lr);
    const block = { order, epoch_rows: order.length, first_step: epoch * steps + 1, learning_rates };
    const { losses, divergence } = backend.train(block);
    expect(divergence).toBeNull();
    const mean = [...losses].reduce((sum, loss) => sum + loss, 0) / steps;
    expectClose([mean], replay.epoch_loss_mean_over_batches[epoch], tolerance, `loss of epoch ${epoch + 1}`);
  }
  const outputs = backend.predict(held.inputs, held.rows);
  const linear = plan(
    definitionOf({
      ...networkOf(set),
      layers: linearOutput(networkOf(set).layers),
      loss: { name: 'mse', reduction: 'mean_all' },
    }),
  );
  const logits = create(linear, setup, { ...train, targets: held.targets, rows: 0 }, backend.state()).predict(
    held.inputs,
    5,
  );
  expectClose(logits, replay.test_logits_first_5, tolerance, 'logits');
  const metric = metricOf(outputs, held.targets, planned.output_size, replay.loss === 'mse');
  const want = replay.test_metric.accuracy ?? replay.test_metric.r2;
  expectClose([metric], want, { relative: 1e-8 }, 'metric');
});

function linearOutput<L extends { activation: string }>(layers: readonly L[]): L[] {
  return layers.map((layer, index) => (index === layers.length - 1 ? { ...layer, activation: 'linear' } : layer));
}
