/** Damages the newest checkpoint of many jobs, and looks whether each goes on from the one before it. */
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { defaultLimits } from '../../src/config.ts';
import { uniform } from '../../src/engine/prng.ts';
import { jobInput } from '../../src/schemas/job.ts';
import { createJobs, type Jobs } from '../../src/services/jobs.ts';
import { silentLog } from '../../src/services/log.ts';
import { openStore } from '../../src/store/open.ts';
import type { Store } from '../../src/store/store.ts';
import { CheckpointError, decodeCheckpoint } from '../../src/training/checkpoint.ts';
import { createPool, type TrainingPool } from '../../src/training/pool.ts';
import { createEagerPool } from './eager-pool.ts';

export interface DamageReport {
  readonly truncated: number;
  readonly flipped: number;
  readonly faults: readonly string[];
}

/** The step of the newest checkpoint when it is damaged; the one before is a step older. */
const damagedStep = 6;

/** Ten steps; the seed makes every job another one. */
const bodyOf = (seed: number) => ({
  network: { input_size: 2, layers: [{ units: 3, activation: 'tanh' }, { units: 1 }], loss: 'mean_squared_error' },
  data: {
    inputs: [
      [0, 0],
      [0, 1],
      [1, 0],
      [1, 1],
    ],
    targets: [[0], [1], [1], [0]],
  },
  epochs: 5,
  batch_size: 2,
  optimizer: 'adam',
  seed,
});

function jobsOn(store: Store, pool: TrainingPool, max_queue: number): Jobs {
  const limits = { ...defaultLimits, max_queue };
  return createJobs({ store, pool, datasets: { load: async () => undefined }, limits, log: silentLog });
}

/** Jobs that wait, each with the checkpoints of two steps. */
async function interruptedJobs(directory: string, count: number): Promise<string[]> {
  const store = await openStore({ data_dir: directory });
  const rested = Promise.withResolvers<void>();
  let resting = 0;
  const onSaved = (step: number) => {
    if (step === damagedStep) resting += 1;
    if (resting === count) rested.resolve();
  };
  const jobs = jobsOn(store, createEagerPool({ workers: count, rest_at_step: damagedStep, onSaved }), count);
  await jobs.start();
  const ids: string[] = [];
  for (let seed = 0; seed < count; seed++) ids.push((await jobs.create(jobInput.parse(bodyOf(seed)))).id);
  await rested.promise;
  await jobs.close();
  await store.close();
  return ids;
}

/** Every other file is cut off somewhere, the others have one bit turned over. */
async function damageNewest(directory: string, ids: readonly string[], seed: number): Promise<void> {
  const store = await openStore({ data_dir: directory });
  for (const [index, id] of ids.entries()) {
    const { blob_key, size } = (await store.checkpoints.list(id))[0]!;
    const file = join(directory, 'blobs', 'content', blob_key);
    const drawn = uniform(seed, 'generate', 0, index);
    if (index % 2 === 0) truncateSync(file, Math.floor(drawn * size));
    else flipBit(file, Math.floor(drawn * size * 8));
  }
  await store.close();
}

function flipBit(file: string, bit: number): void {
  const bytes = readFileSync(file);
  bytes[bit >> 3]! ^= 1 << (bit & 7);
  writeFileSync(file, bytes);
}

/** Notes from which step each run was started: what could be read of the checkpoint it was given. */
function watched(pool: TrainingPool, starts: Map<number, (number | string)[]>): TrainingPool {
  return {
    workers: pool.workers,
    idle: pool.idle,
    run(request, handlers, checkpoint) {
      const known = starts.get(request.seed) ?? [];
      starts.set(request.seed, [...known, stepOf(checkpoint ?? null)]);
      return pool.run(request, handlers, checkpoint);
    },
    predict: (request) => pool.predict(request),
    evaluate: (request) => pool.evaluate(request),
    close: () => pool.close(),
  };
}

function stepOf(checkpoint: Uint8Array | null): number | string {
  if (checkpoint === null) return 'the beginning';
  try {
    return decodeCheckpoint(checkpoint).cursor.step;
  } catch (error) {
    return error instanceof CheckpointError ? error.code : String(error);
  }
}

/** Everything of a job that must be as if nothing had happened. */
async function resultOf(jobs: Jobs, id: string): Promise<string> {
  const { state, stop_reason, parameters_sha256 } = await jobs.wait(id, 60);
  const history = await jobs.history(id, { resolution: 'step', max_points: 100 });
  return JSON.stringify({ state, stop_reason, parameters_sha256, history: history.content });
}

export async function damageCheckpoints(count: number, seed: number): Promise<DamageReport> {
  const directory = mkdtempSync(join(tmpdir(), 'trainyard-damage-'));
  const starts = new Map<number, (number | string)[]>();
  const faults: string[] = [];
  try {
    const ids = await interruptedJobs(directory, count);
    await damageNewest(directory, ids, seed);
    const store = await openStore({ data_dir: directory });
    const jobs = jobsOn(store, watched(createPool({ workers: 1 }), starts), 2 * count);
    await jobs.start();
    for (const [index, id] of ids.entries()) {
      const undisturbed = await jobs.create(jobInput.parse(bodyOf(index)));
      const [found, want] = [await resultOf(jobs, id), await resultOf(jobs, undisturbed.id)];
      if (found !== want) faults.push(`job ${index} ended with ${found}, undisturbed with ${want}`);
    }
    for (let index = 0; index < count; index++) {
      // The damaged one, the one before it, and the undisturbed job.
      const [first, second] = starts.get(index)!;
      if (first !== 'checkpoint_damaged') faults.push(`job ${index} was started from ${first}`);
      if (second !== damagedStep - 1) faults.push(`job ${index} went on from ${second}`);
    }
    await jobs.close();
    await store.close();
    return { truncated: Math.ceil(count / 2), flipped: Math.floor(count / 2), faults };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
