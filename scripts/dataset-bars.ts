/**
 * The data sets of the numerical reference, read as uploads are, and trained with the stated configurations: what the
 * proof script runs in full and a test in short form.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { featureCount, spreadInputs, spreadTargets, targetForm, targetWidth } from '../src/datasets/dataset.ts';
import { finishDataset } from '../src/datasets/finish.ts';
import { Problems } from '../src/datasets/problems.ts';
import { readTables } from '../src/datasets/read.ts';
import type { Data } from '../src/engine/backend.ts';
import type { NetworkDefinition } from '../src/engine/definition.ts';
import type { OptimizerSpec } from '../src/engine/optimizers.ts';
import { fromWire } from '../src/engine/parameters.ts';
import { plan } from '../src/engine/plan.ts';
import { createReferenceBackend } from '../src/engine/reference/backend.ts';
import type { Checkpoint } from '../src/training/checkpoint.ts';
import { applyScaling } from '../src/training/preprocessing.ts';
import type { RunNote, RunRequest } from '../src/training/request.ts';
import { Run } from '../src/training/run.ts';

export interface Bar {
  readonly config: {
    readonly hidden: readonly number[];
    readonly act: 'relu' | 'tanh';
    readonly opt: 'adam' | 'sgd';
    readonly lr: number;
    readonly momentum?: number;
    readonly batch: number;
    readonly epochs: number;
  };
  readonly metric: 'accuracy' | 'r2';
  readonly accept: { readonly mean_of_10_seeds_at_least: number; readonly every_seed_at_least: number };
}

export interface Replay {
  readonly dims: readonly number[];
  readonly activations: readonly ('tanh' | 'softmax' | 'sigmoid' | 'linear')[];
  readonly optimizer: { readonly name: 'adam' | 'sgd'; readonly lr: number; readonly momentum?: number };
  readonly batch_size: number;
  readonly epochs: number;
  readonly weights: readonly (readonly (readonly number[])[])[];
  readonly epoch_loss_mean_over_batches: readonly number[];
  readonly test_logits_first_5: readonly (readonly number[])[];
  readonly test_metric: { readonly accuracy?: number; readonly r2?: number };
}

export interface GoldenDataset {
  readonly name: string;
  readonly file: string;
  readonly task: 'classification' | 'regression';
  readonly rows: number;
  readonly classes?: readonly string[];
  readonly class_counts?: readonly number[];
  readonly split: { readonly train: readonly number[]; readonly test: readonly number[] };
  readonly bars: readonly Bar[];
  readonly replay: Replay;
}

const golden = new URL('../test/golden/', import.meta.url);

export const goldenDatasets: readonly GoldenDataset[] = JSON.parse(
  readFileSync(new URL('6-datasets.json', golden), 'utf8'),
).datasets;

const limits = { max_values: 10 ** 6, max_columns: 1000, max_categories: 100 };

/** Output units, their activation and the loss that suit a data set: one sigmoid for two classes, softmax for more. */
export function outputOf(
  dataset: GoldenDataset,
): Pick<NetworkDefinition, 'loss'> & { readonly units: number; readonly activation: 'linear' | 'sigmoid' | 'softmax' } {
  const classes = dataset.classes?.length ?? 0;
  if (dataset.task === 'regression') return { units: 1, activation: 'linear', loss: 'mean_squared_error' };
  return classes === 2
    ? { units: 1, activation: 'sigmoid', loss: 'binary_cross_entropy' }
    : { units: classes, activation: 'softmax', loss: 'sparse_categorical_cross_entropy' };
}

/** Reads the file of a data set and gives the training and test rows of its fixed split. */
export function readGolden(dataset: GoldenDataset): { readonly train: Data; readonly test: Data } {
  const problems = new Problems();
  const parts: Uint8Array<ArrayBuffer>[] = [];
  const path = fileURLToPath(new URL(dataset.file, golden));
  const tables = readTables(path, { format: 'csv', missing: 'error', limits }, problems);
  const options = { missing: 'error', task: dataset.task, max_classes: 100 } as const;
  const profile = finishDataset(tables, options, problems, (part) => parts.push(part));
  const { loss, units } = outputOf(dataset);
  const form = targetForm(profile, loss, units);
  const cells =
    profile.storage.type === 'float32' ? new Float32Array(parts[0].buffer) : new Float64Array(parts[0].buffer);
  const inputs = new Float64Array(profile.rows * featureCount(profile.columns));
  const targets = new Float64Array(profile.rows * targetWidth(profile, form));
  spreadInputs(profile.columns, cells, inputs, 0);
  spreadTargets(profile, form, cells, targets, 0);
  const rowsOf = (rows: readonly number[]): Data => {
    const pick = (values: Float64Array, width: number) =>
      Float64Array.from(rows.flatMap((row) => [...values.subarray(row * width, (row + 1) * width)]));
    return {
      rows: rows.length,
      inputs: pick(inputs, profile.input_size),
      targets: pick(targets, targetWidth(profile, form)),
    };
  };
  return { train: rowsOf(dataset.split.train), test: rowsOf(dataset.split.test) };
}

export function optimizerOf({ name, lr, momentum }: Replay['optimizer']): OptimizerSpec {
  return name === 'sgd' ? { name, learning_rate: lr, momentum: momentum ?? 0 } : { name, learning_rate: lr };
}

function requestOf(dataset: GoldenDataset, network: NetworkDefinition, { train, test }: ReturnType<typeof readGolden>) {
  return {
    network,
    data: train,
    validation: { data: test },
    metrics: [dataset.task === 'regression' ? 'r2' : 'accuracy'],
    scaling: { inputs: 'standardize', targets: dataset.task === 'regression' ? 'standardize' : undefined },
    learning_rate_schedule: [],
    arithmetic: 'fused',
    statistics: true,
  } as const;
}

type Warning = Extract<RunNote, { type: 'warning' }>;

export interface Trained {
  /** Of all steps. */
  readonly losses: readonly number[];
  /** The last of a series. */
  readonly value: number;
  /** What the run was warned of. */
  readonly warnings: readonly Warning[];
  readonly checkpoint: Checkpoint;
}

function trainToEnd(run: Run, series: string): Trained {
  const losses: number[] = [];
  const warnings: Warning[] = [];
  let value = Number.NaN;
  while (run.end === null) {
    const { steps, epochs, notes } = run.advance(10_000);
    losses.push(...steps.losses);
    warnings.push(...notes.filter((note) => note.type === 'warning'));
    value = epochs.series[series]?.at(-1) ?? value;
  }
  return { losses, value, warnings, checkpoint: run.checkpoint() };
}

/** The request, the metric on the test rows after training with one seed, and what the run was warned of. */
export function runBar(
  dataset: GoldenDataset,
  bar: Bar,
  data: ReturnType<typeof readGolden>,
  seed: number,
): Trained & { readonly request: RunRequest } {
  const { hidden, act, opt, lr, momentum, batch, epochs } = bar.config;
  const { loss, units, activation } = outputOf(dataset);
  const network: NetworkDefinition = {
    input_size: data.train.inputs.length / data.train.rows,
    layers: [...hidden.map((size) => ({ units: size, activation: act })), { units, activation }],
    loss,
  };
  const optimizer = optimizerOf({ name: opt, lr, ...(momentum === undefined ? {} : { momentum }) });
  const request: RunRequest = {
    ...requestOf(dataset, network, data),
    epochs,
    batch_size: batch,
    shuffle: true,
    seed,
    optimizer,
  };
  return { request, ...trainToEnd(new Run(request, null), bar.metric) };
}

export interface ReplayOutcome {
  readonly epoch_losses: readonly number[];
  /** Pre-activations of the output layer for the first five test rows, one after the other. */
  readonly logits: readonly number[];
  readonly metric: number;
}

/** The exact run of the reference: given weights, rows in the order of the split. */
export function runReplay(dataset: GoldenDataset, data: ReturnType<typeof readGolden>): ReplayOutcome {
  const { replay } = dataset;
  const layers = replay.dims.slice(1).map((units, i) => ({ units, activation: replay.activations[i] }));
  const network: NetworkDefinition = {
    input_size: replay.dims[0],
    layers,
    loss: outputOf(dataset).loss,
    precision: 'float64',
  };
  const initial = { layers: replay.weights.map((weights) => ({ weights, biases: weights.map(() => 0) })) };
  const request: RunRequest = {
    ...requestOf(dataset, network, data),
    epochs: replay.epochs,
    batch_size: replay.batch_size,
    shuffle: false,
    seed: 0,
    optimizer: optimizerOf(replay.optimizer),
    initial_parameters: fromWire(plan(network), initial),
  };
  const run = new Run(request, null);
  const { losses, value } = trainToEnd(run, dataset.task === 'regression' ? 'r2' : 'accuracy');
  const perEpoch = losses.length / replay.epochs;
  const mean = (values: readonly number[]) => values.reduce((sum, x) => sum + x, 0) / values.length;
  return {
    epoch_losses: Array.from({ length: replay.epochs }, (_, e) => mean(losses.slice(e * perEpoch, (e + 1) * perEpoch))),
    logits: logitsOf(run, network, request, data.test),
    metric: value,
  };
}

/** The outputs of the same network with a linear output layer. */
function logitsOf(run: Run, network: NetworkDefinition, request: RunRequest, test: Data): number[] {
  const result = run.result();
  const layers = network.layers.map((layer, i) => (i === network.layers.length - 1 ? { units: layer.units } : layer));
  const linear = plan({ ...network, layers, loss: 'mean_squared_error' });
  const inputs = test.inputs.slice(0, 5 * network.input_size);
  const scaling = result.preprocessing.inputs;
  if (scaling !== null) applyScaling(scaling, inputs, inputs);
  const nothing: Data = { rows: 5, inputs, targets: new Float64Array(5 * linear.output_size) };
  return [...createReferenceBackend(linear, request, nothing, result).predict(inputs, 5)];
}
