import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { defaultLimits } from '../../src/config.ts';
import { jobInput } from '../../src/schemas/job.ts';
import { definitionOf } from '../../src/schemas/network.ts';
import { type KeptRequest, runRequest } from '../../src/services/job-request.ts';
import { createJobs, type Jobs } from '../../src/services/jobs.ts';
import { silentLog } from '../../src/services/log.ts';
import { openStore } from '../../src/store/open.ts';
import { checkpointKey, type JobChange, type Store, StoreError } from '../../src/store/store.ts';
import { decodeCheckpoint } from '../../src/training/checkpoint.ts';
import {
  createPool,
  type RunHandle,
  type RunHandlers,
  type RunOutcome,
  type TrainingPool,
} from '../../src/training/pool.ts';
import type { RunRequest } from '../../src/training/request.ts';
import { Run } from '../../src/training/run.ts';
import { job } from '../support/jobs.ts';

/** What a scripted worker does with one run. */
type Script = (request: RunRequest, handlers: RunHandlers, checkpoint: Uint8Array | null) => Promise<RunOutcome>;

let directory: string;
let store: Store;
let real: TrainingPool;
let jobs: Jobs;
let scripts: Script[];
/** Passes a new rate to the run of a script that has one. */
let changeRate: (rate: number) => void = () => {};
/** The step that its worker has named. */
let notedStep = 0;

/** Carries out the scripts one after the other, then trains for real. */
const scriptedPool = (): TrainingPool => ({
  workers: 1,
  idle: 1,
  run(request, handlers, checkpoint = null): RunHandle {
    const script = scripts.shift();
    if (script === undefined) return real.run(request, handlers, checkpoint);
    const finished = script(request, handlers, checkpoint).catch(
      (error): RunOutcome => ({ kind: 'undelivered', error }),
    );
    return {
      finished,
      step: 0,
      pause() {},
      stop() {},
      cancel() {},
      changeLearningRate: (rate) => changeRate(rate),
      reuse() {},
    };
  },
  predict: (request) => real.predict(request),
  evaluate: (request) => real.evaluate(request),
  close: async () => {},
});

/** Trains for real up to the first checkpoint at an epoch, then ends as the script says. */
const upToCheckpoint =
  (outcome: (step: number) => RunOutcome): Script =>
  (request, handlers, checkpoint) => {
    const { promise, resolve } = Promise.withResolvers<RunOutcome>();
    let handle: RunHandle | undefined;
    let done = false;
    handle = real.run(
      request,
      {
        onProgress: (progress) => (done ? undefined : handlers.onProgress(progress)),
        async onCheckpoint(report) {
          if (done) return;
          await handlers.onCheckpoint(report);
          done = true;
          handle?.cancel();
          void handle?.finished.then(() => resolve(outcome(report.step)));
        },
      },
      checkpoint,
    );
    return promise;
  };

const crash = (step: number): RunOutcome => ({
  kind: 'crashed',
  step,
  error: { code: 'worker_crashed', message: 'the thread is gone' },
});

const input = (changes: object = {}) => jobInput.parse({ ...job, checkpoint: { every_epochs: 5 }, ...changes });

async function train(changes: object = {}) {
  const { id } = await jobs.create(input(changes));
  return jobs.wait(id, 30);
}

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'trainyard-jobs-'));
  real = createPool({ workers: 1 });
});

afterAll(async () => {
  await real.close();
  rmSync(directory, { recursive: true, force: true });
});

const datasets = { load: async () => undefined };

async function open(...script: Script[]): Promise<void> {
  scripts = script;
  store = await openStore({ data_dir: join(directory, crypto.randomUUID()) });
  jobs = createJobs({ store, pool: scriptedPool(), datasets, limits: defaultLimits, log: silentLog });
  await jobs.start();
}

afterEach(async () => {
  await jobs.close();
  await store.close();
});

describe('a creation', () => {
  it('is acknowledged when it is committed, and not before', async () => {
    await open();
    const [asked, commit] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const create: Store['jobs']['create'] = async (creation) => {
      asked.resolve();
      await commit.promise;
      return store.jobs.create(creation);
    };
    const slow = { ...store, jobs: { ...store.jobs, create } };
    const creating = createJobs({ store: slow, pool: scriptedPool(), datasets, limits: defaultLimits, log: silentLog });
    let acknowledged = false;
    const answer = creating.create(input()).then((created) => {
      acknowledged = true;
      return created;
    });
    await asked.promise;
    // Everything that could be done without the store is done by then.
    await promisify(setImmediate)();
    expect(acknowledged).toBe(false);
    commit.resolve();
    const { id } = await answer;
    expect(await store.jobs.get(id)).toBeDefined();
    await creating.close();
  });
});

describe('a worker that dies', () => {
  it('costs nothing but time: the job goes on from its checkpoint to the same bytes and the same history', async () => {
    await open();
    const undisturbed = await train();
    const { content: want } = await jobs.history(undisturbed.id, { resolution: 'step', max_points: 1000 });
    scripts = [upToCheckpoint(() => crash(12)), upToCheckpoint(() => crash(25)), async () => crash(30)];
    const done = await train();
    expect(done).toMatchObject({ state: 'succeeded', attempt: 4, parameters_sha256: undisturbed.parameters_sha256 });
    expect((await jobs.history(done.id, { resolution: 'step', max_points: 1000 })).content).toEqual(want);
    const reasons = done.transitions.map(({ state, reason }) => [state, reason]);
    expect(reasons.filter(([state]) => state === 'queued')).toEqual([
      ['queued', null],
      ['queued', 'worker_crashed'],
      ['queued', 'worker_crashed'],
      ['queued', 'worker_crashed'],
    ]);
  });

  it('three times at the same step ends the job as failed', async () => {
    const die: Script = async () => crash(7);
    await open(die, die, die);
    const done = await train();
    expect(done).toMatchObject({
      state: 'failed',
      stop_reason: 'worker_crashed',
      attempt: 3,
      error: { code: 'worker_crashed', step: 7 },
    });
  });

  it('at another step each time is tried again and again', async () => {
    await open(
      ...[1, 2, 1, 2, 3].map(
        (step): Script =>
          async () =>
            crash(step),
      ),
    );
    expect(await train()).toMatchObject({ state: 'succeeded', attempt: 6 });
  });

  it('for lack of memory is not tried for ever', async () => {
    const starve =
      (step: number): Script =>
      async () => ({ kind: 'crashed', step, error: { code: 'out_of_memory', message: 'no memory' } });
    await open(starve(1), starve(2), starve(3));
    expect(await train()).toMatchObject({ state: 'failed', stop_reason: 'out_of_memory' });
  });
});

describe('the last checkpoint of an attempt', () => {
  it('is stored by the change that ends it: nobody sees one without the other', async () => {
    await open();
    const changes: JobChange[] = [];
    const change: Store['jobs']['change'] = async (given) => {
      changes.push(given);
      return store.jobs.change(given);
    };
    const watched = { ...store, jobs: { ...store.jobs, change } };
    const own = createJobs({ store: watched, pool: scriptedPool(), datasets, limits: defaultLimits, log: silentLog });
    const { id } = await own.create(input());
    const done = await own.wait(id, 30);
    await own.close();
    const saving = changes.filter(({ checkpoints = [] }) => checkpoints.length > 0);
    expect(saving.at(-1)).toBe(changes.at(-1));
    expect(saving.at(-1)).toMatchObject({ to: { state: 'succeeded' }, checkpoints: [{ kind: 'end' }] });
    expect(saving.slice(0, -1).every(({ to }) => to === undefined)).toBe(true);
    const kept = await store.checkpoints.list(id);
    expect(kept[0]).toMatchObject({ kind: 'end', step: done.progress.step });
    const { data } = await store.events.list(id, { after: 0, limit: 1000 });
    expect(data.slice(-2).map(({ type }) => type)).toEqual(['checkpoint', 'state']);
  });

  it('is stored with the crash when the worker dies behind it, and not trained again', async () => {
    let step = 0;
    const goOn: Script = (request, handlers, checkpoint) => {
      step = decodeCheckpoint(checkpoint as Uint8Array).cursor.step;
      return real.run(request, handlers, checkpoint).finished;
    };
    await open(upToCheckpoint(crash), goOn);
    const done = await train({ checkpoint: {} });
    expect(done).toMatchObject({ state: 'succeeded', attempt: 2 });
    expect(step).toBe(done.progress.steps);
  });
});

describe('the threads of a job', () => {
  /** Trains for real and tells of other threads that helped for a while. */
  const helped =
    (...threads: number[]): Script =>
    (request, handlers, checkpoint) => {
      const notes = threads.map((count, i) => ({ type: 'threads_used' as const, step: i + 1, threads: count }));
      const onProgress: RunHandlers['onProgress'] = (progress) =>
        handlers.onProgress({ ...progress, notes: [...progress.notes, ...notes] });
      return real.run(request, { ...handlers, onProgress }, checkpoint).finished;
    };

  it('are the most that worked together, with an event for each number that was reached', async () => {
    await open(helped(2, 3));
    const { id, threads } = await train({ epochs: 5 });
    expect(threads).toBe(3);
    const { data } = await jobs.events(id, { limit: 100, after: 0 });
    const used = data.filter(({ type }) => type === 'threads_used');
    expect(used.slice(0, 2).map((event) => event.data)).toEqual([
      { step: 1, threads: 2 },
      { step: 2, threads: 3 },
    ]);
  });

  it('are one for a small network', async () => {
    await open();
    expect((await train({ epochs: 5 })).threads).toBe(1);
  });
});

describe('a learning rate that was changed under way', () => {
  /** Trains for real until the worker has named the step of the change, and dies before anything else is kept. */
  const untilNoted: Script = async (request, handlers, checkpoint) => {
    const noted = Promise.withResolvers<number>();
    const handle = real.run(
      request,
      {
        async onProgress(progress) {
          await handlers.onProgress(progress);
          const note = progress.notes.find((one) => one.type === 'learning_rate_changed');
          if (note !== undefined) noted.resolve(note.step);
        },
        onCheckpoint() {},
      },
      checkpoint,
    );
    changeRate = (rate) => handle.changeLearningRate(rate);
    notedStep = await noted.promise;
    handle.cancel();
    await handle.finished;
    return crash(0);
  };

  it('changes at the same step again when the worker dies before a checkpoint, to the bytes of a run that knows it', async () => {
    await open(untilNoted);
    const { id } = await jobs.create(input({ epochs: 200_000, checkpoint: {} }));
    for await (const item of await jobs.follow(id, 0, AbortSignal.timeout(10_000))) if (item.type === 'progress') break;
    await jobs.patch(id, { learning_rate: 0.125 });
    const done = await jobs.wait(id, 60);
    const first_step = notedStep;
    expect(done).toMatchObject({
      state: 'succeeded',
      attempt: 2,
      learning_rate_changes: [{ learning_rate: 0.125, first_step }],
    });
    const run = new Run(
      runRequest(
        definitionOf(input().network!),
        done.request as unknown as KeptRequest,
        { inputs: Float64Array.from(job.data.inputs.flat()), targets: Float64Array.from(job.data.targets.flat()) },
        [{ first_step, learning_rate: 0.125 }],
      ),
      null,
    );
    while (run.end === null) run.advance(10_000);
    expect(done.parameters_sha256).toBe(run.result().parameters_sha256);
    const changed = (await jobs.events(id, { after: 0, limit: 100 })).data.filter(
      ({ type }) => type === 'learning_rate_changed',
    );
    expect(changed.map(({ data }) => data)).toEqual([{ step: first_step, learning_rate: 0.125 }]);
  });
});

describe('a damaged checkpoint', () => {
  it('is passed over: the job goes on from the one before it, to the same bytes and the same history', async () => {
    await open();
    const undisturbed = await train();
    const { content: want } = await jobs.history(undisturbed.id, { resolution: 'step', max_points: 1000 });
    // Two checkpoints, the newer one damaged on the disk, then a worker that dies.
    const damage: Script = async (request, handlers, checkpoint) => {
      const outcome = await upToCheckpoint(crash)(request, handlers, checkpoint);
      const [id] = (await store.jobs.list({ states: ['running'], limit: 1 })).data.map((one) => one.id);
      const [newest] = await store.checkpoints.list(id!);
      await store.blobs.put(newest!.blob_key, new Uint8Array(100));
      return outcome;
    };
    scripts = [upToCheckpoint(crash), damage];
    const done = await train();
    expect(done).toMatchObject({ state: 'succeeded', parameters_sha256: undisturbed.parameters_sha256 });
    expect(done.transitions.map(({ reason }) => reason)).toContain('checkpoint_damaged');
    expect((await jobs.history(done.id, { resolution: 'step', max_points: 1000 })).content).toEqual(want);
    const { content: layers } = await jobs.layers(undisturbed.id, {});
    expect(layers.step.length).toBeGreaterThan(10);
    expect((await jobs.layers(done.id, {})).content).toEqual({ ...layers, job_id: done.id });
    expect(done.warnings).toEqual(undisturbed.warnings);
  });

  it('that is the only one makes the job begin again', async () => {
    await open();
    const undisturbed = await train();
    const lose: Script = async (request, handlers, checkpoint) => {
      const outcome = await upToCheckpoint(crash)(request, handlers, checkpoint);
      const [id] = (await store.jobs.list({ states: ['running'], limit: 1 })).data.map((one) => one.id);
      const [newest] = await store.checkpoints.list(id!);
      await store.blobs.delete(newest!.blob_key);
      return outcome;
    };
    scripts = [lose];
    const done = await train();
    expect(done).toMatchObject({ state: 'succeeded', parameters_sha256: undisturbed.parameters_sha256 });
  });
});

describe('a prediction', () => {
  const predict = async (id: string) => JSON.parse(await jobs.predict(id, [[0, 1]]));

  it('is that of the newest checkpoint, for which the job is read once', async () => {
    const goOn = Promise.withResolvers<void>();
    const upToTheSecond: Script = async (request, handlers, checkpoint) => {
      let checkpoints = 0;
      const onCheckpoint: RunHandlers['onCheckpoint'] = async (report) => {
        if (checkpoints++ === 1) await goOn.promise;
        return handlers.onCheckpoint(report);
      };
      return real.run(request, { ...handlers, onCheckpoint }, checkpoint).finished;
    };
    await open(upToTheSecond);
    const { id } = await jobs.create(input());
    await vi.waitFor(async () => expect(await store.checkpoints.list(id)).toHaveLength(1));
    const read = vi.spyOn(store.jobs, 'get');
    const first = await predict(id);
    expect(first).toMatchObject({ job_id: id, step: 10 });
    expect(await predict(id)).toEqual(first);
    expect(read).toHaveBeenCalledTimes(1);
    goOn.resolve();
    const { parameters_sha256 } = await jobs.wait(id, 30);
    const last = await predict(id);
    expect(last).toMatchObject({ job_id: id, step: 40, parameters_sha256 });
    expect(last.outputs).not.toEqual(first.outputs);
  });

  it('of a job that has ended reads nothing, until the job is deleted', async () => {
    await open();
    const { id } = await train();
    const first = await predict(id);
    const [read, newest] = [vi.spyOn(store.jobs, 'get'), vi.spyOn(store.checkpoints, 'newest')];
    expect(await predict(id)).toEqual(first);
    expect([...read.mock.calls, ...newest.mock.calls]).toEqual([]);
    await jobs.remove(id);
    await expect(predict(id)).rejects.toMatchObject({ code: 'not_found' });
  });

  it('finds no job that was deleted while its model was read', async () => {
    await open();
    const { id } = await train();
    const list = store.checkpoints.list.bind(store.checkpoints);
    vi.spyOn(store.checkpoints, 'list').mockImplementationOnce(async (of) => {
      const kept = await list(of);
      await jobs.remove(id);
      return kept;
    });
    await predict(id);
    await expect(predict(id)).rejects.toMatchObject({ code: 'not_found' });
  });
});

describe('an attempt that has been replaced', () => {
  it('writes nothing any more', async () => {
    const refused = Promise.withResolvers<unknown>();
    const zombie: Script = async (_request, handlers) => {
      const [running] = (await store.jobs.list({ states: ['running'], limit: 1 })).data;
      await store.jobs.change({ id: running!.id, at: 1, to: { state: 'queued', reason: 'test', queue: 'enter' } });
      await store.queue.claim({ owner: 'another process', now: 2, lease_expires_at: 3 });
      const file = Readable.from([new Uint8Array(64)]);
      const report = { reason: 'periodic', step: 5, epoch: 2, file, best: null } as const;
      await handlers.onCheckpoint(report)?.catch(refused.resolve);
      return { kind: 'cancelled' };
    };
    await open(zombie);
    const { id } = await jobs.create(input());
    expect(String(await refused.promise)).toContain('has been replaced');
    expect(await store.checkpoints.list(id)).toEqual([]);
    expect(await store.points.extent(id, 'step')).toBeUndefined();
    expect(await store.jobs.get(id)).toMatchObject({ state: 'running', attempt: 2 });
    expect(await store.blobs.get(checkpointKey(id, 2, 5))).toBeUndefined();
  });
});

describe('a storage that fails', () => {
  it('gives the job back to the queue, and it succeeds when there is room again', async () => {
    const full: Script = async () => ({ kind: 'undelivered', error: new StoreError('storage_full', 'no room') });
    await open(full);
    const done = await train();
    expect(done).toMatchObject({ state: 'succeeded', attempt: 2 });
    expect(done.transitions.map(({ reason }) => reason)).toContain('storage_full');
  });
});

describe('a job that waits too long', () => {
  it('is given up after max_queue_seconds', async () => {
    const blocked = Promise.withResolvers<RunOutcome>();
    await open(() => blocked.promise);
    await jobs.create(input());
    const { id } = await jobs.create(input({ limits: { max_queue_seconds: 0.001 } }));
    expect(await jobs.wait(id, 10)).toMatchObject({
      state: 'failed',
      stop_reason: 'queue_timeout',
      error: { code: 'queue_timeout' },
    });
    blocked.resolve({ kind: 'cancelled' });
  });
});
