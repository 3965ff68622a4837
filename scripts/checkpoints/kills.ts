/** Kills a process that saves checkpoints, again and again, and looks at what it leaves behind. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { NetworkDefinition } from '../../src/engine/definition.ts';
import { uniform } from '../../src/engine/prng.ts';
import { decodeArrays } from '../../src/services/array-blob.ts';
import { type KeptRequest, runRequest } from '../../src/services/job-request.ts';
import { openStore } from '../../src/store/open.ts';
import type { JobRecord, Store } from '../../src/store/store.ts';
import { decodeCheckpoint, encodeCheckpoint } from '../../src/training/checkpoint.ts';
import { Run } from '../../src/training/run.ts';

export interface KillReport {
  readonly kills: number;
  /** Steps that were done and saved before the last kill. */
  readonly steps: number;
  /** Checkpoints that were read back. */
  readonly read: number;
  /** Half-written files that the kills have left where nobody looks for checkpoints. */
  readonly halves: number;
  readonly faults: readonly string[];
}

/** The trailers of the checkpoints of an undisturbed run: their SHA-256, which stands for all bytes before. */
class Undisturbed {
  readonly #run: Run;
  readonly #trailers: string[] = [];

  constructor(run: Run) {
    this.#run = run;
  }

  trailerOf(step: number): string {
    while (this.#trailers.length < step) {
      this.#run.advance(1);
      this.#trailers.push(Buffer.from(encodeCheckpoint(this.#run.checkpoint()).subarray(-32)).toString('hex'));
    }
    return this.#trailers[step - 1]!;
  }
}

async function undisturbed(store: Store, job: JobRecord): Promise<Undisturbed> {
  const arrays = decodeArrays((await store.blobs.get(job.data_key!))!);
  return new Undisturbed(
    new Run(runRequest(job.network as NetworkDefinition, job.request as KeptRequest, arrays), null),
  );
}

/** Starts the writer, kills it so long after its first checkpoint, and says which step it had acknowledged last. */
async function killAfter(directory: string, ms: number): Promise<number> {
  const writer = fork(join(import.meta.dirname, 'writer.ts'), [directory], { execArgv: [] });
  const [first] = (await once(writer, 'message')) as [number];
  let acknowledged = first;
  writer.on('message', (step) => {
    acknowledged = Number(step);
  });
  await sleep(ms);
  const gone = once(writer, 'exit');
  writer.kill('SIGKILL');
  await gone;
  return acknowledged;
}

/** What is wrong with the checkpoints of a job after a kill. */
async function faultsOf(store: Store, job: JobRecord, acknowledged: number, truth: Undisturbed): Promise<string[]> {
  const faults: string[] = [];
  const kept = await store.checkpoints.list(job.id);
  const newest = kept[0]?.step ?? 0;
  if (newest < acknowledged)
    faults.push(`step ${acknowledged} was acknowledged, but the newest checkpoint is ${newest}`);
  const points = (await store.points.extent(job.id, 'step'))?.last ?? 0;
  if (points !== newest) faults.push(`the history ends at step ${points}, the newest checkpoint is of step ${newest}`);
  for (const { step, blob_key } of kept) {
    const bytes = await store.blobs.get(blob_key);
    try {
      decodeCheckpoint(bytes ?? new Uint8Array(0));
      const trailer = Buffer.from(bytes!.subarray(-32)).toString('hex');
      if (trailer !== truth.trailerOf(step)) faults.push(`checkpoint ${step} is not that of an undisturbed run`);
    } catch (error) {
      faults.push(`checkpoint ${step}: ${String(error)}`);
    }
  }
  return faults;
}

export async function killWhileSaving(kills: number, seed: number): Promise<KillReport> {
  const directory = mkdtempSync(join(tmpdir(), 'trainyard-kills-'));
  const faults: string[] = [];
  let truth: Undisturbed | undefined;
  let [steps, read, halves] = [0, 0, 0];
  try {
    for (let kill = 0; kill < kills; kill++) {
      const acknowledged = await killAfter(directory, 100 * uniform(seed, 'generate', 0, kill));
      halves += (await readdir(join(directory, 'blobs', 'temporary'))).length;
      const store = await openStore({ data_dir: directory });
      const [job] = (await store.jobs.list({ limit: 1 })).data;
      truth ??= await undisturbed(store, job!);
      faults.push(...(await faultsOf(store, job!, acknowledged, truth)).map((fault) => `kill ${kill + 1}: ${fault}`));
      const kept = await store.checkpoints.list(job!.id);
      steps = kept[0]?.step ?? 0;
      read += kept.length;
      await store.close();
    }
    return { kills, steps, read, halves, faults };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
