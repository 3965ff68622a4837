/** The jobs of the chaos proof: all optimizers, and around them whatever else a checkpoint has to carry. */
import { optimizers } from '../../src/engine/optimizers.ts';
import type { Client } from './client.ts';

/** What a job's numbers come from besides its body. */
export interface Sources {
  /** Ids of the stored data sets, in the order of `generated`. */
  readonly datasets: readonly string[];
  /** The id of an earlier job, which has ended. */
  jobId(index: number): string;
}

export interface ChaosJob {
  /** The number of the job that has to have ended before this one can be sent; `null`: none. */
  readonly after: number | null;
  body(sources: Sources): object;
}

/** The stored data sets: bodies of `POST /v1/datasets/generate`. */
export const generated = [
  { kind: 'moons', rows: 400, noise: 0.2, seed: 1 },
  { kind: 'linear', rows: 390, features: 2, noise: 0.1, seed: 2 },
] as const;

/** @returns their ids */
export async function storeDatasets(client: Client, prefix: string): Promise<string[]> {
  const ids: string[] = [];
  for (const [index, body] of generated.entries()) {
    const key = { 'idempotency-key': `${prefix}-${index}` };
    ids.push((await client.post('/v1/datasets/generate', body, key)).id);
  }
  return ids;
}

const optimizerNames = Object.keys(optimizers);

/** Independent coin tosses of a job: the bits of its number times an odd constant (Knuth's multiplicative hash). */
const coin = (index: number, toss: number): boolean => ((Math.imul(index + 1, 0x9e3779b1) >>> (31 - toss)) & 1) === 1;

/** Values that look random and are the same everywhere. */
const wave = (row: number, column: number): number => ((row * 37 + column * 101 + row * row * 7) % 199) / 100 - 1;

function inlineData(rows: number): { inputs: number[][]; targets: number[][] } {
  const inputs = Array.from({ length: rows }, (_, row) => [wave(row, 0), wave(row, 1)]);
  return { inputs, targets: inputs.map(([a, b]) => [a! * b! > 0 ? 1 : 0]) };
}

/** Of every eight jobs one starts from the model of the job four before it. */
const startsFrom = (index: number): number | null => (index % 8 === 6 ? index - 4 : null);

function dataOf(index: number, { datasets }: Sources): object {
  if (index % 3 === 0) return { data: inlineData(coin(index, 0) ? 192 : 203) };
  return { dataset_id: datasets[index % 3 === 1 ? 0 : 1] };
}

/** Which jobs hold rows back, stop early and bring the best model back. */
function watching(index: number): object {
  if (!coin(index, 1)) return {};
  const early_stopping = { monitor: 'validation_loss', patience: 12, min_delta: 1e-4 };
  return { validation: { fraction: 0.2 }, early_stopping };
}

function bodyOf(index: number, sources: Sources, scale: number): object {
  const dropout = coin(index, 2) ? 0.1 : 0;
  const from = startsFrom(index);
  // The network of a warm start is that of the job that it starts from.
  const shape = from ?? index;
  return {
    network: {
      input_size: 2,
      layers: [
        { units: 48, activation: 'relu', dropout },
        { units: 32, activation: 'tanh', batch_norm: coin(shape, 3) },
        { units: 1, activation: index % 3 === 2 ? 'linear' : 'sigmoid' },
      ],
      loss: index % 3 === 2 ? 'mean_squared_error' : 'binary_cross_entropy',
      precision: coin(shape, 4) ? 'float32' : 'float64',
    },
    ...dataOf(index, sources),
    ...watching(index),
    epochs: Math.ceil(scale * (100 + 50 * (index % 7))),
    batch_size: coin(index, 5) ? 32 : 16,
    shuffle: coin(index, 6),
    seed: index,
    optimizer: { name: optimizerNames[index % optimizerNames.length], learning_rate: 0.003 },
    ...(coin(index, 7) ? { learning_rate_schedule: { name: 'cosine', unit: 'epoch', t_max: 100 } } : {}),
    // Without it a job is saved every few seconds, which is longer than any server of this proof lives.
    ...(coin(index, 8) ? { checkpoint: { every_epochs: 10 } } : {}),
    ...(from === null ? {} : { initial_parameters: { job_id: sources.jobId(from) } }),
  };
}

/**
 * The first `count` of the jobs; the proof has 40.
 * @param scale of the number of epochs; at 1 a job trains for a few tenths of a second
 */
export function workload(count: number, scale: number): ChaosJob[] {
  return Array.from({ length: count }, (_, index) => ({
    after: startsFrom(index),
    body: (sources) => bodyOf(index, sources, scale),
  }));
}
