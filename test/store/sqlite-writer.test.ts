/** The thread that writes SQLite dies at one opportunity after the other: the real thread, ended for good. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Worker } from 'node:worker_threads';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Driver } from '../../src/store/driver.ts';
import { openSqlite } from '../../src/store/drivers/sqlite.ts';
import type { FromWriter, ToWriter } from '../../src/store/drivers/sqlite-writer.ts';
import { openStore } from '../../src/store/open.ts';
import { startApp } from '../support/app.ts';
import { follow, long, submit, undisturbed, untilProgress } from '../support/jobs.ts';
import { claim, job } from './records.ts';

/** Says when the thread is to die: before it gets a task, or when it has carried it out but not answered. */
type Fate = (task: ToWriter['task']) => 'spared' | 'before' | 'after';
const spared: Fate = () => 'spared';
let fate: Fate = spared;
let newest: Worker | undefined;

/** A thread under the eyes of the test. Its end is `terminate`, and an answer that comes later is lost with it. */
function watch(worker: Worker): void {
  if (worker.threadName !== 'sqlite') return;
  newest = worker;
  const [post, emit] = [worker.postMessage.bind(worker), worker.emit.bind(worker)];
  let doomed: number | undefined;
  worker.postMessage = (message: ToWriter) => {
    const end = fate(message.task);
    if (end === 'after') doomed = message.id;
    if (end === 'before') void worker.terminate();
    else post(message);
  };
  worker.emit = (event: string | symbol, ...values: unknown[]) => {
    const isLost = event === 'message' && (values[0] as FromWriter).id === doomed;
    if (isLost) void worker.terminate();
    return isLost || emit(event as 'message', ...values);
  };
}

process.on('worker', watch);
afterAll(() => {
  process.off('worker', watch);
});

const gone = (outcome: RegExp) => ({
  name: 'StoreError',
  code: 'storage_busy',
  message: expect.stringMatching(new RegExp(`thread that writes is gone .*${outcome.source}`)),
});
const undone = gone(/its transaction was undone/);
const unknown = gone(/whether its transaction was committed is not known/);
const isCommit = (task: ToWriter['task']) => task.do === 'query' && task.sql === 'commit';

let directory: string;
let driver: Driver | undefined;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'trainyard-writer-'));
});

afterEach(async () => {
  fate = spared;
  await driver?.close();
  driver = undefined;
  await rm(directory, { recursive: true });
});

async function openNumbers(): Promise<Driver> {
  driver = openSqlite(directory);
  await driver.transaction((sql) => sql.query('create table numbers (n integer primary key) strict'));
  return driver;
}

const add = (to: Driver, n: number) => to.transaction((sql) => sql.query('insert into numbers values ($1)', [n]));
const numbersOf = async (from: Driver) => (await from.query('select n from numbers order by n')).map(({ n }) => n);

describe('when the thread that writes has died', () => {
  it('while it had nothing to do, the next transaction is carried out by a new one', async () => {
    const open = await openNumbers();
    const first = newest;
    await first?.terminate();
    await add(open, 1);
    expect(await numbersOf(open)).toEqual([1]);
    expect(newest).not.toBe(first);
  });

  it('within a transaction, that is undone whole and never goes on in the new one', async () => {
    const open = await openNumbers();
    const broken = open.transaction(async (sql) => {
      await sql.query('insert into numbers values (1)');
      await newest?.terminate();
      await sql.query('insert into numbers values (2)');
    });
    const next = add(open, 3);
    await expect(broken).rejects.toMatchObject(undone);
    await next;
    expect(await numbersOf(open)).toEqual([3]);
  });

  it('within a transaction that does not notice, its commit fails', async () => {
    const open = await openNumbers();
    const broken = open.transaction(async (sql) => {
      await sql.query('insert into numbers values (1)');
      await newest?.terminate();
    });
    await expect(broken).rejects.toMatchObject(undone);
    expect(await numbersOf(open)).toEqual([]);
  });

  it('before or after a commit, the failure says that the outcome is not known', async () => {
    const open = await openNumbers();
    for (const [n, end] of [
      [1, 'before'],
      [2, 'after'],
    ] as const) {
      fate = (task) => (isCommit(task) ? end : 'spared');
      await expect(add(open, n)).rejects.toMatchObject(unknown);
      fate = spared;
    }
    await add(open, 3);
    expect(await numbersOf(open)).toEqual([2, 3]);
  });

  it('again and again, every transaction fails, and the first one after that succeeds', async () => {
    const open = await openNumbers();
    fate = () => 'before';
    for (const n of [1, 2, 3]) await expect(add(open, n)).rejects.toMatchObject(undone);
    fate = spared;
    await add(open, 4);
    expect(await numbersOf(open)).toEqual([4]);
  });

  it('the durable settings hold in the new one, and the data directory is still taken', async () => {
    const open = await openNumbers();
    await newest?.terminate();
    const settings = await open.transaction(async (sql) => [
      ...(await sql.query('pragma synchronous')),
      ...(await sql.query('pragma foreign_keys')),
    ]);
    expect(settings.flatMap((row) => Object.values(row))).toEqual([2, 1]);
    expect(() => openSqlite(directory)).toThrow(expect.objectContaining({ code: 'data_directory_in_use' }));
  });
});

describe.each(['before', 'after'] as const)('a thread that dies %s it has carried out', (end) => {
  it('the n-th task of a creation leaves one job or none, and the retry finds it or makes it', async () => {
    const store = await openStore({ data_dir: directory });
    let tasks = 0;
    for (let nth = 1, created = false; !created; nth++) {
      const key = claim({ key: `key-${nth}` });
      const create = () => store.jobs.create({ job: job({ external_id: `job-${nth}` }), idempotency: key });
      tasks = 0;
      fate = () => (++tasks === nth ? end : 'spared');
      const first = await create().catch((error: unknown) => error);
      fate = spared;
      created = tasks < nth;
      const isKept = (await store.jobs.byExternalId(`job-${nth}`)) !== undefined;
      expect(isKept).toBe(created || (end === 'after' && isCommitLost(first)));
      expect((await create()).outcome).toBe(isKept ? 'replayed' : 'created');
      expect((await store.jobs.list({ limit: 100 })).data).toHaveLength(nth);
    }
    expect(tasks).toBeGreaterThan(5);
    await store.close();
  });
});

/** Whether it was the commit that was not answered. */
const isCommitLost = (error: unknown) => error instanceof Error && error.message.includes('not known');

it('a service goes on without a restart: the job under way ends with the bits of an undisturbed one', async () => {
  const app = await startApp({ DATA_DIR: directory }, { storage_retry_ms: 10 });
  const view = await submit(app, { ...long, epochs: 4_000, checkpoint: { every_epochs: 500 } });
  await untilProgress(app, view.id);
  await newest?.terminate();
  for await (const { event } of follow(app, view.id)) if (event === 'end') break;
  const { body: done } = await app.request.get(view.urls.self).expect(200);
  expect(done).toMatchObject({ state: 'succeeded', parameters_sha256: undisturbed(done, []) });
  await app.stop();
});
