import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { sharedFloats } from '../../src/engine/wasm/data-memory.ts';
import { decodeCheckpoint, modelOf } from '../../src/training/checkpoint.ts';
import { createPool, type PoolOptions, type RunHandlers, type TrainingPool } from '../../src/training/pool.ts';
import type { RunRequest } from '../../src/training/request.ts';
import { Run } from '../../src/training/run.ts';
import { deathChannel } from './fixtures/death-channel.ts';
import { shared, smallRequest } from './fixtures/requests.ts';
import { wholeFile } from './fixtures/whole-file.ts';

const pools: TrainingPool[] = [];

function open(options: Partial<PoolOptions> = {}): TrainingPool {
  const pool = createPool({ workers: 2, cores: 8, ...options });
  pools.push(pool);
  return pool;
}

afterEach(async () => {
  await Promise.all(pools.splice(0).map((pool) => pool.close()));
});

const ROWS = 96;

/** Steps of 11 million operations, without an end. */
function largeRequest(changes: Partial<RunRequest> = {}): RunRequest {
  const values = (columns: number) =>
    Float32Array.from(shared(Array.from({ length: ROWS * columns }, (_, i) => Math.sin(i * 12.9898))));
  return smallRequest({
    network: {
      input_size: 50,
      layers: [
        { units: 200, activation: 'relu', dropout: 0.1 },
        { units: 200, activation: 'tanh' },
        { units: 3, activation: 'linear' },
      ],
      loss: 'mean_squared_error',
      precision: 'float32',
    },
    data: { rows: ROWS, inputs: values(50), targets: values(3) },
    batch_size: 40,
    epochs: 1e9,
    arithmetic: 'fused',
    ...changes,
  });
}

/** What a run has reported so far. */
function recorder() {
  const seen = { threads: 1, checkpoint: null as Uint8Array | null };
  const waiting = new Map<number, () => void>();
  const handlers: RunHandlers = {
    onProgress: ({ notes }) => {
      for (const note of notes) if (note.type === 'threads_used') seen.threads = note.threads;
      for (const [threads, resolve] of waiting) if (seen.threads >= threads) resolve();
    },
    onCheckpoint: async ({ file }) => {
      seen.checkpoint = await wholeFile(file);
    },
  };
  /** Resolves once so many threads have worked on a step. */
  const reached = (threads: number) =>
    new Promise<void>((resolve) => {
      waiting.set(threads, resolve);
    });
  return { seen, handlers, reached };
}

/** The parameters after as many steps as the checkpoint's, trained without any other thread. */
function shaAlone(request: RunRequest, bytes: Uint8Array): { alone: string; saved: string } {
  const checkpoint = decodeCheckpoint(bytes);
  const run = new Run(request, null);
  while (run.cursor.step < checkpoint.cursor.step) run.advance(checkpoint.cursor.step - run.cursor.step);
  return { alone: run.result().parameters_sha256, saved: modelOf(checkpoint).parameters_sha256 };
}

function expectBitsOfOneThread(request: RunRequest, bytes: Uint8Array | null): void {
  expect(bytes).not.toBeNull();
  const { alone, saved } = shaAlone(request, bytes!);
  expect(saved).toBe(alone);
}

describe('a run with large steps', () => {
  let pool: TrainingPool;
  beforeAll(() => {
    pool = createPool({ workers: 4, cores: 8 });
  });
  afterAll(() => pool.close());

  test('is carried out by all workers while they are idle, with the bits of one', async () => {
    const { seen, handlers, reached } = recorder();
    const request = largeRequest();
    const handle = pool.run(request, handlers);
    await reached(4);
    handle.pause();
    expect((await handle.finished).kind).toBe('paused');
    expectBitsOfOneThread(request, seen.checkpoint);
  });

  test('reads large shared rows where they lie, by several threads, with the bits of one that has a copy', async () => {
    const { seen, handlers, reached } = recorder();
    const inputs = sharedFloats('float32', 6_000 * 50);
    inputs.set(Array.from({ length: inputs.length }, (_, i) => Math.sin(i * 12.9898)));
    const targets = inputs.slice(0, 6_000 * 3);
    const request = largeRequest({ data: { rows: 6_000, inputs, targets }, scaling: { targets: 'standardize' } });
    const handle = pool.run(request, handlers);
    await reached(2);
    handle.pause();
    expect((await handle.finished).kind).toBe('paused');
    const copied = { rows: 6_000, inputs: Float32Array.from(inputs), targets };
    expectBitsOfOneThread({ ...request, data: copied }, seen.checkpoint);
  });

  test('gives workers back to the next runs, and borrows them again', async () => {
    const { seen, handlers, reached } = recorder();
    const request = largeRequest();
    const handle = pool.run(request, handlers);
    await reached(4);
    for (let i = 0; i < 5; i++) {
      expect(pool.idle).toBe(3);
      const others = [1, 2, 3].map(() => pool.run(smallRequest(), recorder().handlers).finished);
      expect((await Promise.all(others)).every(({ kind }) => kind === 'succeeded')).toBe(true);
    }
    handle.pause();
    await handle.finished;
    expectBitsOfOneThread(request, seen.checkpoint);
  });

  test('shares the idle workers evenly with another one', async () => {
    const runs = [recorder(), recorder()].map(({ seen, handlers, reached }, i) => {
      const request = largeRequest({ seed: i });
      return { seen, request, handle: pool.run(request, handlers), reached: reached(2) };
    });
    await Promise.all(runs.map((run) => run.reached));
    for (const { handle, request, seen } of runs) {
      handle.pause();
      await handle.finished;
      expectBitsOfOneThread(request, seen.checkpoint);
    }
  });

  test.each([
    ['one thread per run', { threads_per_run: 1 }, {}],
    ['no core idle', { cores: 1 }, {}],
    ['steps too small to be divided', {}, smallRequest({ epochs: 300 })],
  ])('with %s one thread does everything', async (_name, options, changes) => {
    const { seen, handlers } = recorder();
    const request = largeRequest({ epochs: 10, ...changes });
    expect((await open(options).run(request, handlers).finished).kind).toBe('succeeded');
    expect(seen.threads).toBe(1);
    expectBitsOfOneThread(request, seen.checkpoint);
  });
});

/** Resolves when so many helpers have died. */
async function deaths(count: number): Promise<void> {
  const channel = new BroadcastChannel(deathChannel);
  const { promise, resolve } = Promise.withResolvers<void>();
  let died = 0;
  channel.onmessage = () => {
    died += 1;
    if (died === count) resolve();
  };
  await promise;
  channel.close();
}

describe('a team', () => {
  test('outlives members that die within a step: the run goes on to the bits of one thread', async () => {
    const entry = new URL('./fixtures/dying-helper.ts', import.meta.url);
    const pool = open({ workers: 3, entry });
    const { seen, handlers } = recorder();
    const request = largeRequest();
    const bothDied = deaths(2);
    const handle = pool.run(request, handlers);
    await bothDied;
    handle.pause();
    expect((await handle.finished).kind).toBe('paused');
    expectBitsOfOneThread(request, seen.checkpoint);
    expect(pool.idle).toBe(3);
  });

  test('lets go when its leader is cancelled or killed at any moment', async () => {
    const pool = open({ escalation_ms: 1 });
    for (let i = 0; i < 6; i++) {
      const { handlers, reached } = recorder();
      const handle = pool.run(largeRequest(), handlers);
      await reached(2);
      for (let turn = 0; turn < i * 20; turn++) await nextTurn();
      handle.cancel();
      expect(await handle.finished).toEqual({ kind: 'cancelled' });
    }
    const both = [1, 2].map(() => pool.run(smallRequest(), recorder().handlers).finished);
    expect((await Promise.all(both)).map(({ kind }) => kind)).toEqual(['succeeded', 'succeeded']);
  });

  test('is sent home when the pool closes, the run saved at its next step', async () => {
    const pool = open({ workers: 3 });
    const { seen, handlers, reached } = recorder();
    const request = largeRequest();
    const handle = pool.run(request, handlers);
    await reached(3);
    await pool.close();
    expect((await handle.finished).kind).toBe('released');
    expectBitsOfOneThread(request, seen.checkpoint);
  });
});
