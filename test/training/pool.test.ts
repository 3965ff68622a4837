import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { checkpointPieceBytes, decodeCheckpoint, modelOf } from '../../src/training/checkpoint.ts';
import { createPool, type PoolOptions, type RunHandlers, type TrainingPool } from '../../src/training/pool.ts';
import type { CheckpointReport, Progress } from '../../src/training/protocol.ts';
import type { RunRequest } from '../../src/training/request.ts';
import { Run } from '../../src/training/run.ts';
import { smallRequest } from './fixtures/requests.ts';
import type { Script, ScriptedRequest } from './fixtures/scripted-worker.ts';
import { wholeFile } from './fixtures/whole-file.ts';

const pools: TrainingPool[] = [];

function open(options: Partial<PoolOptions> = {}): TrainingPool {
  const pool = createPool({ workers: 1, ...options });
  pools.push(pool);
  return pool;
}

const scripted = (options: Partial<PoolOptions> = {}) =>
  open({ entry: new URL('./fixtures/scripted-worker.ts', import.meta.url), ...options });

afterEach(async () => {
  await Promise.all(pools.splice(0).map((pool) => pool.close()));
});

/** Collects what a run reports. */
function recorder() {
  const progress: Progress[] = [];
  const checkpoints: (CheckpointReport & { readonly bytes: Uint8Array })[] = [];
  const handlers: RunHandlers = {
    onProgress: (report) => void progress.push(report),
    onCheckpoint: async ({ file, ...report }) => void checkpoints.push({ ...report, bytes: await wholeFile(file) }),
  };
  return { progress, checkpoints, handlers, losses: () => progress.flatMap(({ steps }) => [...steps.losses]) };
}

const ignored: RunHandlers = { onProgress: () => {}, onCheckpoint: () => {} };

function shaInProcess(request: RunRequest): string {
  const run = new Run(request, null);
  while (run.end === null) run.advance(1000);
  return run.result().parameters_sha256;
}

/** A run that goes on until it is told otherwise. */
const endless = (changes: Partial<RunRequest> = {}) => smallRequest({ epochs: 1e9, ...changes });

/** Turns of the event loop until the condition holds. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await nextTurn();
}

function script(name: Script): { request: RunRequest; begun: Promise<unknown>; gate: Int32Array } {
  const gate = new Int32Array(new SharedArrayBuffer(4));
  const begun = Promise.resolve(Atomics.waitAsync(gate, 0, 0).value);
  const request: RunRequest & ScriptedRequest = { ...smallRequest(), script: name, gate };
  return { request, begun, gate };
}

test.each(['float32', 'float64'] as const)(
  'a run in %s that is given its memory back reports the same',
  async (precision) => {
    const { network } = smallRequest();
    const request = smallRequest({ network: { ...network, precision }, epochs: 20_000 });
    const pool = open({ settings: { progress_interval_ms: 1 } });
    const losses: number[] = [];
    let returned = 0;
    const handle = pool.run(request, {
      onProgress({ steps, epochs }) {
        losses.push(...steps.losses);
        const columns = [steps.losses, steps.learning_rates, epochs.steps, ...Object.values(epochs.series)];
        for (const column of columns) column.fill(Number.NaN);
        returned += columns.length;
        handle.reuse(columns.map(({ buffer }) => buffer as ArrayBuffer));
      },
      onCheckpoint: async ({ file }) => void (await wholeFile(file)),
    });
    expect((await handle.finished).kind).toBe('succeeded');
    expect(returned).toBeGreaterThan(20);
    const run = new Run(request, null);
    const wanted: number[] = [];
    while (run.end === null) wanted.push(...run.advance(1000).steps.losses);
    expect(losses).toEqual(wanted);
  },
);

describe('a run in the pool', () => {
  test.each([1, 2, 3])('%d workers give the bytes of a run without threads', async (workers) => {
    const pool = open({ workers });
    const requests = Array.from({ length: workers }, (_, i) => smallRequest({ seed: i, epochs: 30 }));
    const outcomes = await Promise.all(requests.map((request) => pool.run(request, ignored).finished));
    const shas = outcomes.map((outcome) => outcome.kind === 'succeeded' && outcome.result.parameters_sha256);
    expect(shas).toEqual(requests.map(shaInProcess));
    expect(pool.idle).toBe(workers);
  });

  test('reports every step once and in order, then a checkpoint of the end that holds the result', async () => {
    const { handlers, progress, checkpoints, losses } = recorder();
    const outcome = await open().run(smallRequest({ epochs: 50 }), handlers).finished;
    expect(losses()).toHaveLength(150);
    let next = 1;
    for (const { steps } of progress) {
      expect(steps.first_step).toBe(next);
      next += steps.losses.length;
    }
    const last = checkpoints.at(-1)!;
    expect(last).toMatchObject({ reason: 'end', step: 150, epoch: 50 });
    expect(outcome).toMatchObject({ kind: 'succeeded', stop_reason: 'completed' });
    const model = modelOf(decodeCheckpoint(last.bytes));
    expect(outcome.kind === 'succeeded' && outcome.result.parameters_sha256).toBe(model.parameters_sha256);
  });

  test('saves every so many epochs when it is asked to, each checkpoint after its points', async () => {
    const order: string[] = [];
    const handlers: RunHandlers = {
      onProgress: ({ cursor }) => void order.push(`points to ${cursor.step}`),
      onCheckpoint: ({ reason, step }) => void order.push(`${reason} ${step}`),
    };
    await open().run(smallRequest({ epochs: 5, checkpoint: { every_epochs: 2 } }), handlers).finished;
    expect(order.filter((line) => !line.startsWith('points'))).toEqual(['epoch 6', 'epoch 12', 'end 15']);
    for (const step of [6, 12, 15]) {
      const saved = order.findIndex((line) => line.endsWith(` ${step}`) && !line.startsWith('points'));
      expect(order[saved - 1]).toBe(`points to ${step}`);
    }
  });

  test('is refused when no thread is idle', async () => {
    const pool = open();
    const handle = pool.run(endless(), ignored);
    expect(() => pool.run(smallRequest(), ignored)).toThrow('no worker thread is idle');
    handle.cancel();
    await handle.finished;
    expect(pool.idle).toBe(1);
  });

  test('a request that cannot be carried out ends as an error with its code, and the thread lives on', async () => {
    const pool = open();
    const damaged = new Uint8Array(100);
    expect(await pool.run(smallRequest(), ignored, damaged).finished).toMatchObject({
      kind: 'error',
      error: { code: 'checkpoint_damaged' },
    });
    expect((await pool.run(smallRequest(), ignored).finished).kind).toBe('succeeded');
  });
});

test('a cold pool starts a thread with its first run, and all of them when it is warmed up', async () => {
  let started = 0;
  const count = () => {
    started += 1;
  };
  process.on('worker', count);
  const pool = createPool({ workers: 2, cold: true });
  pools.push(pool);
  expect(pool.idle).toBe(2);
  expect((await pool.run(smallRequest(), ignored).finished).kind).toBe('succeeded');
  expect(started).toBe(1);
  await Promise.all([pool.warmUp(), pool.warmUp()]);
  expect(started).toBe(2);
  process.off('worker', count);
});

describe('control', () => {
  test('pause saves at a step, and the run resumed in another worker ends in the same bytes with the same history', async () => {
    const request = smallRequest({ epochs: 400, optimizer: 'nadam' });
    const straight = recorder();
    const first = await open().run(request, straight.handlers).finished;
    const { handlers, checkpoints, losses } = recorder();
    const pool = open();
    const paused = pool.run(
      { ...request, checkpoint: { every_epochs: 1 } },
      {
        onProgress: handlers.onProgress,
        onCheckpoint: async (report) => {
          await handlers.onCheckpoint(report);
          paused.pause();
        },
      },
    );
    expect(await paused.finished).toMatchObject({ kind: 'paused' });
    expect(checkpoints.at(-1)!.reason).toBe('pause');
    expect(checkpoints.at(-1)!.step).toBeLessThan(1200);
    const second = await pool.run(request, handlers, checkpoints.at(-1)!.bytes).finished;
    expect(losses()).toEqual(straight.losses());
    expect(second.kind === 'succeeded' && second.result.parameters_sha256).toBe(
      first.kind === 'succeeded' ? first.result.parameters_sha256 : '',
    );
  });

  test('stop ends as a success with the model of that moment', async () => {
    const { handlers, checkpoints, losses } = recorder();
    const handle = open().run(endless(), handlers);
    await until(() => handle.step > 0);
    handle.stop();
    const outcome = await handle.finished;
    expect(outcome).toMatchObject({ kind: 'succeeded', stop_reason: 'stopped' });
    const { step, reason } = checkpoints.at(-1)!;
    expect(reason).toBe('end');
    expect(losses()).toHaveLength(step);
    expect(handle.step).toBe(step);
  });

  test('cancel ends without a checkpoint, and a later pause changes nothing', async () => {
    const { handlers, checkpoints } = recorder();
    const handle = open().run(endless(), handlers);
    handle.cancel();
    handle.pause();
    expect(await handle.finished).toEqual({ kind: 'cancelled' });
    expect(checkpoints).toEqual([]);
    handle.stop();
    handle.changeLearningRate(1);
    expect(await handle.finished).toEqual({ kind: 'cancelled' });
  });

  test('a time limit keeps the model', async () => {
    const request = endless({ limits: { max_runtime_seconds: 0.01 } });
    const outcome = await open().run(request, ignored).finished;
    expect(outcome).toMatchObject({ kind: 'succeeded', stop_reason: 'max_runtime' });
  });

  test('a changed learning rate holds from the step that its note names, and the noted run is repeated exactly', async () => {
    const { handlers, progress } = recorder();
    const handle = open().run(endless(), handlers);
    await until(() => handle.step > 0);
    handle.changeLearningRate(0.5);
    const noted = () => progress.flatMap(({ notes }) => notes).find((note) => note.type === 'learning_rate_changed');
    await until(() => noted() !== undefined);
    handle.stop();
    const outcome = await handle.finished;
    const note = noted()!;
    expect(note.learning_rate).toBe(0.5);
    const last = outcome.kind === 'succeeded' ? outcome.result : null;
    const changes = [{ first_step: note.step, learning_rate: 0.5 }];
    const again = new Run(endless({ learning_rate_changes: changes }), null);
    while (again.cursor.step < last!.step) again.advance(last!.step - again.cursor.step);
    expect(again.result().parameters_sha256).toBe(last!.parameters_sha256);
  });

  test('a worker never gets far ahead of handlers that are slow', async () => {
    const stepsPerEpoch = 3;
    // Two reports an epoch and four unacknowledged ones: two epochs, and the one that waits to report.
    const farthest = (saved: number) => saved + 3 * stepsPerEpoch;
    const ahead: boolean[] = [];
    const handle = open().run(smallRequest({ epochs: 40, checkpoint: { every_epochs: 1 } }), {
      onProgress: () => {},
      onCheckpoint: async ({ step }) => {
        const bound = Math.min(farthest(step), 40 * stepsPerEpoch);
        for (let turn = 0; turn < 50; turn++) await nextTurn();
        ahead.push(handle.step > bound);
      },
    });
    await handle.finished;
    expect(ahead).toHaveLength(40);
    expect(ahead).not.toContain(true);
  });
});

describe('a checkpoint of several pieces', () => {
  /** 140,000 parameters: 560 kB, and as much again for the moments. */
  const large = (changes: Partial<RunRequest> = {}) =>
    smallRequest({
      network: {
        input_size: 3,
        layers: [{ units: 1000 }, { units: 135 }, { units: 1 }],
        precision: 'float32',
        loss: 'mean_squared_error',
      },
      optimizer: { name: 'sgd', momentum: 0.9, learning_rate: 1e-3 },
      epochs: 2,
      ...changes,
    });

  test('arrives as the file of a run without threads', async () => {
    const { handlers, checkpoints } = recorder();
    await open().run(large(), handlers).finished;
    const run = new Run(large(), null);
    while (run.end === null) run.advance(1000);
    const found = decodeCheckpoint(checkpoints.at(-1)!.bytes);
    expect(found.state).toStrictEqual(run.checkpoint().state);
    expect(checkpoints.at(-1)!.bytes.length).toBeGreaterThan(4 * checkpointPieceBytes);
  });

  test('does not hold the run up when nobody reads it', async () => {
    const handlers: RunHandlers = {
      onProgress: () => {},
      onCheckpoint: async ({ file }) => {
        for await (const _piece of file) break;
      },
    };
    const epochs = large({ checkpoint: { every_epochs: 1 } });
    expect(await open().run(epochs, handlers).finished).toMatchObject({ kind: 'succeeded' });
    expect(await open().run(epochs, ignored).finished).toMatchObject({ kind: 'succeeded' });
  });

  test('is not whole when the worker dies amid it, and the death is what is told', async () => {
    const { handlers, checkpoints } = recorder();
    const outcome = await scripted().run(script('half_checkpoint').request, handlers).finished;
    expect(outcome).toMatchObject({ kind: 'crashed', error: { code: 'worker_crashed' } });
    expect(checkpoints).toEqual([]);
  });

  test('is not waited for when the worker falls silent amid it', async () => {
    const { handlers, checkpoints } = recorder();
    const handle = scripted({ escalation_ms: 1 }).run(script('silent_in_checkpoint').request, handlers);
    handle.pause();
    expect(await handle.finished).toMatchObject({ kind: 'crashed', unanswered: true });
    expect(checkpoints).toEqual([]);
  });
});

describe('a handler that rejects', () => {
  test('ends the run as undelivered, after which nothing more is handed over', async () => {
    let calls = 0;
    const handle = open().run(endless({ checkpoint: { every_epochs: 1 } }), {
      onProgress: () => {},
      onCheckpoint: async () => {
        calls += 1;
        // The third epoch has been trained, so the second one's checkpoint is on its way.
        await until(() => handle.step >= 9);
        throw new Error('disk full');
      },
    });
    expect(await handle.finished).toMatchObject({ kind: 'undelivered', error: { message: 'disk full' } });
    expect(calls).toBe(1);
  });
});

describe('a worker that dies', () => {
  test.each([
    ['exit', 'worker_crashed', 'it exited with code 3'],
    ['throw', 'worker_crashed', 'a fault of the worker'],
    ['fill_heap', 'out_of_memory', 'memory'],
  ] as const)('by %s is reported and replaced', async (name, code, message) => {
    const pool = scripted({ max_heap_mb: 32 });
    const outcome = await pool.run(script(name).request, ignored).finished;
    expect(outcome).toMatchObject({ kind: 'crashed', error: { code }, step: 0 });
    expect(outcome.kind === 'crashed' && outcome.error.message).toContain(message);
    const next = pool.run(script('obey').request, ignored);
    next.pause();
    expect((await next.finished).kind).toBe('paused');
  });

  test('before it came to life ends its run, and is not started again until the next one', async () => {
    const pool = open({ entry: new URL('./fixtures/no-such-worker.ts', import.meta.url) });
    expect(await pool.run(smallRequest(), ignored).finished).toMatchObject({ kind: 'crashed' });
    expect(await pool.run(smallRequest(), ignored).finished).toMatchObject({ kind: 'crashed' });
  });

  test('while it was asked to cancel counts as cancelled', async () => {
    const pool = scripted({ escalation_ms: 1 });
    const { request, begun } = script('ignore');
    const handle = pool.run(request, ignored);
    await begun;
    handle.cancel();
    expect(await handle.finished).toEqual({ kind: 'cancelled' });
  });

  test('is given the time to prepare its data before it pauses', async () => {
    const pool = scripted({ escalation_ms: 1000 });
    const { request, begun, gate } = script('prepare');
    const handle = pool.run(request, ignored);
    await begun;
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      handle.pause();
      vi.advanceTimersByTime(60_000);
    } finally {
      vi.useRealTimers();
    }
    Atomics.store(gate, 0, 2);
    Atomics.notify(gate, 0);
    expect((await handle.finished).kind).toBe('paused');
  });

  test('because it did not answer a pause is told as such', async () => {
    const pool = scripted({ escalation_ms: 1 });
    const { request, begun } = script('ignore');
    const handle = pool.run(request, ignored);
    await begun;
    handle.pause();
    const error = { code: 'worker_crashed' };
    expect(await handle.finished).toMatchObject({ kind: 'crashed', error, unanswered: true });
  });
});

describe('closing', () => {
  test('saves every run at its next step, and it goes on from there to the bytes of an undisturbed run', async () => {
    const requests = [endless(), endless({ seed: 8 })];
    const records = requests.map(recorder);
    const pool = open({ workers: 2 });
    const handles = requests.map((request, i) => pool.run(request, records[i].handlers));
    await until(() => handles.every(({ step }) => step > 0));
    await pool.close();
    for (const [i, request] of requests.entries()) {
      expect(await handles[i].finished).toMatchObject({ kind: 'released', cursor: { step: handles[i].step } });
      const { reason, bytes, step } = records[i].checkpoints.at(-1)!;
      expect(reason).toBe('release');
      const [resumed, undisturbed] = [new Run(request, decodeCheckpoint(bytes)), new Run(request, null)];
      for (const run of [resumed, undisturbed])
        while (run.cursor.step < step + 7) run.advance(step + 7 - run.cursor.step);
      expect(resumed.result().parameters_sha256).toBe(undisturbed.result().parameters_sha256);
    }
    expect(pool.idle).toBe(0);
    expect(() => pool.run(smallRequest(), ignored)).toThrow('no worker thread is idle');
  });

  test('is over even when a worker does not answer', async () => {
    const pool = scripted({ escalation_ms: 1 });
    const { request, begun } = script('ignore');
    const handle = pool.run(request, ignored);
    await begun;
    await pool.close();
    expect((await handle.finished).kind).toBe('crashed');
  });

  test('without a run ends the threads, and twice is as good as once', async () => {
    const pool = open({ workers: 2 });
    await Promise.all([pool.close(), pool.close()]);
    expect(pool.idle).toBe(0);
  });
});
