import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openSqlite } from '../../src/store/drivers/sqlite.ts';
import { openStore } from '../../src/store/open.ts';
import { conformance } from './conformance.ts';
import { sqlitePlace } from './places.ts';
import { collect, network } from './records.ts';

conformance('the store on SQLite', sqlitePlace);

describe('the data directory', () => {
  let data_dir: string;
  const writers: ChildProcess[] = [];

  beforeEach(async () => {
    data_dir = await mkdtemp(join(tmpdir(), 'trainyard-store-'));
  });

  afterEach(async () => {
    for (const writer of writers.splice(0)) await kill(writer);
    await rm(data_dir, { recursive: true });
  });

  /** A process of its own that has the store open and, told to, writes until it is killed. */
  async function startWriter(): Promise<ChildProcess> {
    const writer = fork(join(import.meta.dirname, 'writer.ts'), [data_dir], { execArgv: [] });
    writers.push(writer);
    await once(writer, 'message');
    return writer;
  }

  async function kill(writer: ChildProcess) {
    if (writer.signalCode !== null || writer.exitCode !== null) return;
    const exited = once(writer, 'exit');
    writer.kill('SIGKILL');
    await exited;
  }

  it('is made when it is missing', async () => {
    const store = await openStore({ data_dir: join(data_dir, 'new', 'deep') });
    await expect(store.ping()).resolves.toBeUndefined();
    await store.close();
  });

  it('is refused to a second server with a text that says what to do', async () => {
    const store = await openStore({ data_dir });
    const second = openStore({ data_dir });
    await expect(second).rejects.toMatchObject({
      code: 'data_directory_in_use',
      message: `The data directory ${data_dir} is in use by another server. Stop that server, or give this one a directory of its own (DATA_DIR).`,
    });
    await store.close();
    await (await openStore({ data_dir })).close();
  });

  it('is refused while another process has it, and free as soon as that is killed', async () => {
    const writer = await startWriter();
    await expect(openStore({ data_dir })).rejects.toMatchObject({ code: 'data_directory_in_use' });
    await kill(writer);
    await (await openStore({ data_dir })).close();
  });

  it('is left by a killed writer with every acknowledged step, and points exactly up to the checkpoint', async () => {
    const writer = await startWriter();
    let acknowledged = 0;
    writer.on('message', (step) => {
      acknowledged = Number(step);
    });
    writer.send('write');
    while (acknowledged < 25) await once(writer, 'message');
    await kill(writer);
    const store = await openStore({ data_dir });
    const [job] = (await store.jobs.list({ limit: 1 })).data;
    const [newest] = await store.checkpoints.list(job!.id);
    expect(job!.step).toBeGreaterThanOrEqual(acknowledged);
    expect(newest?.step).toBe(job!.step);
    expect(await store.points.extent(job!.id, 'step')).toEqual({ count: job!.step, first: 1, last: job!.step });
    expect(job!.last_event_id).toBe(job!.step);
    expect(await store.blobs.get(newest!.blob_key)).toEqual(new Uint8Array(4).fill(job!.step % 256));
    await store.close();
  });

  it('does not show half-written blobs of a crash, and removes them at the next start', async () => {
    const store = await openStore({ data_dir });
    const temporary = join(data_dir, 'blobs', 'temporary');
    await writeFile(join(temporary, 'half'), 'half');
    expect(await collect(store.blobs.list(''))).toEqual([]);
    await store.close();
    await (await openStore({ data_dir })).close();
    expect(await readdir(temporary)).toEqual([]);
  });

  it('reports a full disk as storage_full, undoes the transaction, and goes on when there is room', async () => {
    const driver = openSqlite(data_dir);
    await driver.transaction((sql) => sql.query('create table t (b blob) strict'));
    await driver.transaction((sql) => sql.query('pragma max_page_count = 4'));
    const fill = driver.transaction(async (sql) => {
      await sql.query('insert into t values ($1)', [new Uint8Array(10)]);
      await sql.query('insert into t values ($1)', [new Uint8Array(100_000)]);
    });
    await expect(fill).rejects.toMatchObject({ name: 'StoreError', code: 'storage_full' });
    expect(await driver.query('select * from t')).toEqual([]);
    await driver.transaction((sql) => sql.query('pragma max_page_count = 1000'));
    await driver.transaction((sql) => sql.query('insert into t values ($1)', [new Uint8Array(100_000)]));
    expect(await driver.query('select length(b) as n from t')).toEqual([expect.objectContaining({ n: 100_000 })]);
    await driver.close();
  });

  it('is durable at each commit: write-ahead log, synchronous = full, foreign keys', async () => {
    const driver = openSqlite(data_dir);
    const settings = await driver.transaction(async (sql) => [
      ...(await sql.query('pragma journal_mode')),
      ...(await sql.query('pragma synchronous')),
      ...(await sql.query('pragma foreign_keys')),
    ]);
    expect(settings.map((row) => ({ ...row }))).toEqual([
      { journal_mode: 'wal' },
      { synchronous: 2 },
      { foreign_keys: 1 },
    ]);
    await driver.close();
  });

  it('is read outside transactions only', async () => {
    const driver = openSqlite(data_dir);
    await expect(driver.query('create table t (b blob) strict')).rejects.toMatchObject({ name: 'StoreError' });
    await driver.close();
  });

  it('is written without holding up the event loop, however long a statement takes', async () => {
    const driver = openSqlite(data_dir);
    let turns = 0;
    let done = false;
    const count = () => {
      turns += 1;
      if (!done) setImmediate(count);
    };
    setImmediate(count);
    const [row] = await driver.transaction((sql) =>
      sql.query(
        'with recursive c (n) as (select 1 union all select n + 1 from c where n < 300000) select max(n) as n from c',
      ),
    );
    done = true;
    expect(row?.n).toBe(300_000);
    // A single statement on this thread would have left no turn between its start and its end.
    expect(turns).toBeGreaterThan(5);
    await driver.close();
  });

  it('that is a file is a storage error', async () => {
    const file = join(data_dir, 'file');
    await writeFile(file, '');
    await expect(openStore({ data_dir: file })).rejects.toMatchObject({ name: 'StoreError', code: 'storage_failed' });
  });

  it('writes more kinds of statements than it keeps prepared', async () => {
    const driver = openSqlite(data_dir);
    for (let i = 0; i < 600; i++) await driver.query(`select ${i % 300} as n`);
    expect(await driver.query('select 299 as n')).toEqual([expect.objectContaining({ n: 299 })]);
    await driver.close();
  });

  it('waits with closing for a transaction that is under way', async () => {
    const store = await openStore({ data_dir });
    const record = network();
    const created = store.networks.create(record);
    await store.close();
    expect((await created).outcome).toBe('created');
  });
});
