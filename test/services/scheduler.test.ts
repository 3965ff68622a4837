import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { JobFeed } from '../../src/services/feed.ts';
import type { Log } from '../../src/services/log.ts';
import { Scheduler, type SchedulerContext } from '../../src/services/scheduler.ts';
import { endlessRoom } from '../../src/store/room.ts';
import type { JobRecord, Store } from '../../src/store/store.ts';
import { StoreError } from '../../src/store/store.ts';

const begin = 1_000_000;
const broken = () => Promise.reject(new StoreError('storage_failed', 'EIO'));
const job = { id: 'job_a', attempt: 1, request: { checkpoint: {}, arithmetic: 'strict' } } as unknown as JobRecord;

let scheduler: Scheduler;
/** Seconds since the start. */
const seconds = () => (Date.now() - begin) / 1000;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date'], now: begin });
});

afterEach(async () => {
  await scheduler.close();
  vi.useRealTimers();
});

/** A scheduler on a storage that does what is given, and for the rest is empty. */
async function start(queue: Partial<Store['queue']>, log: Partial<Log> = {}): Promise<void> {
  const store = {
    queue: { leases: async () => [], overdue: async () => [], claim: async () => undefined, ...queue },
    jobs: { list: async () => ({ data: [], has_more: false }), get: async () => undefined },
    checkpoints: { list: broken },
  } as unknown as Store;
  const pool = { workers: 1, close: async () => {} } as SchedulerContext['pool'];
  const silent = { info: () => {}, warn: () => {}, error: () => {}, ...log };
  scheduler = new Scheduler({
    store,
    pool,
    feed: new JobFeed(),
    log: silent,
    room: endlessRoom,
    now: Date.now,
    start: broken,
  });
  await scheduler.start();
}

/** What a lasting fault is tried at within five minutes: the pauses double up to a minute. */
const tries = [0, 1, 3, 7, 15, 31, 63, 127, 191, 255];

describe('a storage that keeps failing', () => {
  it('is looked at with growing pauses, each with a line in the log, until it works again', async () => {
    const looks: number[] = [];
    const lines: object[] = [];
    let isBroken = true;
    const leases = () => {
      looks.push(seconds());
      return isBroken ? broken() : Promise.resolve([]);
    };
    await start({ leases }, { error: (fields) => lines.push(fields) });
    await vi.advanceTimersByTimeAsync(300_000);
    expect(looks).toEqual(tries);
    expect(lines).toHaveLength(tries.length);
    expect(lines.at(-1)).toMatchObject({ retry_in_ms: 64_000 });

    isBroken = false;
    await vi.advanceTimersByTimeAsync(22_000);
    expect(looks.slice(tries.length)).toEqual([319, 320, 321, 322]);
    isBroken = true;
    await vi.advanceTimersByTimeAsync(5_000);
    expect(looks.slice(-3)).toEqual([323, 324, 326]);
  });

  it('is looked at once more when a client has got something done', async () => {
    const looks: number[] = [];
    const leases = () => {
      looks.push(seconds());
      return broken();
    };
    await start({ leases });
    await vi.advanceTimersByTimeAsync(100_000);
    scheduler.wake();
    await vi.advanceTimersByTimeAsync(0);
    expect(looks.at(-1)).toBe(100);
  });

  it('gets an attempt at a job with growing pauses, after those jobs that it has not failed', async () => {
    const claims: { readonly at: number; readonly last: readonly string[] }[] = [];
    const claim: Store['queue']['claim'] = async ({ last = [] }) => {
      claims.push({ at: seconds(), last });
      return job;
    };
    await start({ claim });
    await vi.advanceTimersByTimeAsync(300_000);
    expect(claims.map(({ at }) => at)).toEqual(tries);
    expect(claims.map(({ last }) => last.join())).toEqual(['', ...tries.slice(1).map(() => job.id)]);
  });

  it('does not keep the service from ending', async () => {
    await start({ claim: async () => job });
    await vi.advanceTimersByTimeAsync(200_000);
    await expect(scheduler.close()).resolves.toBeUndefined();
  });
});

it('a job whose time to wait is over is looked for every second', async () => {
  const looks: number[] = [];
  await start({
    overdue: async () => {
      looks.push(seconds());
      return [];
    },
  });
  await vi.advanceTimersByTimeAsync(3_500);
  expect(looks).toEqual([1, 2, 3]);
});
