import { expect, it } from 'vitest';
import type { Driver, Queryable } from '../../../src/store/driver.ts';
import { assemble } from '../../../src/store/open.ts';
import { type Store, StoreError } from '../../../src/store/store.ts';
import type { Fixture } from '../conformance.ts';
import { checkpoint, claim, everythingAbout, job, losses, network, noon, progressTo, runningJob } from '../records.ts';

/** A driver on which the n-th statement fails, counted from 1; `calls` says how many there were. */
function failingAt(driver: Driver, n: number): { driver: Driver; calls: () => number } {
  let calls = 0;
  const failing = (sql: Queryable): Queryable => ({
    query: async (text, parameters) => {
      if (++calls === n) throw new StoreError('storage_failed', `statement ${n} failed`);
      return sql.query(text, parameters);
    },
  });
  const wrapped: Driver = {
    dialect: driver.dialect,
    query: failing(driver).query,
    transaction: (work) => driver.transaction((sql) => work(failing(sql))),
    close: () => driver.close(),
  };
  return { driver: wrapped, calls: () => calls };
}

export function transactionsConform(fixture: Fixture): void {
  async function withDriver<T>(use: (driver: Driver) => Promise<T>): Promise<T> {
    await fixture.close();
    const driver = fixture.place.openDriver();
    try {
      return await use(driver);
    } finally {
      await driver.close();
      await fixture.reopen();
    }
  }

  it('undoes everything when the work throws, passes the error on, and can go on', async () => {
    const rows = await withDriver(async (driver) => {
      const insert = 'insert into labels (owner_id, key, value) values ($1, $2, $3)';
      const failure = new Error('the work failed');
      const failed = driver.transaction(async (sql) => {
        await sql.query(insert, ['a', 'k', 'v']);
        throw failure;
      });
      await expect(failed).rejects.toBe(failure);
      await driver.transaction((sql) => sql.query(insert, ['b', 'k', 'v']));
      return driver.query('select owner_id from labels');
    });
    expect(rows).toEqual([expect.objectContaining({ owner_id: 'b' })]);
  });

  it('undoes everything when a statement fails, with a StoreError', async () => {
    const rows = await withDriver(async (driver) => {
      const insert = 'insert into labels (owner_id, key, value) values ($1, $2, $3)';
      const failed = driver.transaction(async (sql) => {
        await sql.query(insert, ['a', 'k', 'v']);
        await sql.query(insert, ['a', 'k', 'v']);
      });
      await expect(failed).rejects.toMatchObject({ name: 'StoreError', code: 'storage_failed' });
      return driver.query('select owner_id from labels');
    });
    expect(rows).toEqual([]);
  });

  it('shows a transaction to others only when it is committed, and runs those that came meanwhile', async () => {
    const seen = await withDriver(async (driver) => {
      const insert = 'insert into labels (owner_id, key, value) values ($1, $2, $3)';
      const count = async () => (await driver.query("select count(*) as n from labels where owner_id = 'a'"))[0]?.n;
      let during: unknown;
      const first = driver.transaction(async (sql) => {
        await sql.query(insert, ['a', 'k', 'v']);
        during = await count();
      });
      const second = driver.transaction((sql) => sql.query(insert, ['b', 'k', 'v']));
      await Promise.all([first, second]);
      return [during, await count()];
    });
    expect(seen).toEqual([0, 1]);
  });

  it('gives 64-bit times, doubles, text and bytes back as they were', async () => {
    const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
    const [row] = await withDriver((driver) =>
      driver.transaction(async (sql) => {
        const { integer, double, text, binary, tableOptions } = driver.dialect;
        await sql.query(`create table kinds (i ${integer}, d ${double}, t ${text}, b ${binary}) ${tableOptions}`);
        await sql.query('insert into kinds values ($1, $2, $3, $4)', [2 ** 53 - 1, 5e-324, 'ö🚂', bytes]);
        const rows = await sql.query('select * from kinds');
        await sql.query('drop table kinds');
        return rows;
      }),
    );
    expect({ ...row }).toEqual({ i: 2 ** 53 - 1, d: 5e-324, t: 'ö🚂', b: bytes });
  });

  it('creates a job whole or not at all, whichever statement fails, and a retry succeeds', async () => {
    const creation = {
      job: job({ metadata: { team: 'a' } }),
      idempotency: claim(),
      max_waiting: 9,
      events: [{ type: 'queued', data: {} }],
    };
    const before = await everythingAbout(fixture.store, creation.job.id);
    await failEach(
      async (store) => expect((await store.jobs.create(creation)).outcome).toBe('created'),
      async (store) => {
        expect(await everythingAbout(store, creation.job.id)).toEqual(before);
        expect(await store.idempotency.find(claim(), noon)).toBeUndefined();
        expect((await store.jobs.list({ limit: 9, metadata: { team: 'a' } })).data).toEqual([]);
      },
    );
  });

  it('changes a job whole or not at all, whichever statement fails, and a retry succeeds', async () => {
    const running = await runningJob(fixture.store, { metadata: { team: 'a' } });
    await fixture.store.jobs.change({
      id: running.id,
      at: noon,
      points: [losses(1, 1, 2, 3)],
      checkpoints: [checkpoint(running, 1), checkpoint(running, 3)],
    });
    const before = await everythingAbout(fixture.store, running.id);
    const change = {
      ...progressTo(2, running),
      rewind: { step: 2, points: { step: 2 } },
      points: [losses(3, 4)],
      drop_checkpoints: [1],
      set: { step: 2, metadata: { team: 'b' }, priority: 3 },
      to: { state: 'queued', reason: null, queue: 'enter' },
    } as const;
    await failEach(
      async (store) => expect(await store.jobs.change(change)).toMatchObject({ state: 'queued' }),
      async (store) => expect(await everythingAbout(store, running.id)).toEqual(before),
    );
  });

  it('claims and deletes a job whole or not at all, whichever statement fails', async () => {
    const { id } = await fixture.store.jobs.create({ job: job() }).then((created) => {
      if (created.outcome !== 'created') throw new Error(created.outcome);
      return created.record;
    });
    const waiting = await everythingAbout(fixture.store, id);
    const request = { owner: 'a', now: noon, lease_expires_at: noon + 1, events: [{ type: 'started', data: 1 }] };
    await failEach(
      async (store) => expect(await store.queue.claim(request)).toMatchObject({ id }),
      async (store) => expect(await everythingAbout(store, id)).toEqual(waiting),
    );
    const claimed = await everythingAbout(fixture.store, id);
    await failEach(
      async (store) => expect(await store.jobs.delete(id, ['running'])).toBe(true),
      async (store) => expect(await everythingAbout(store, id)).toEqual(claimed),
    );
  });

  it('opens a database that has its tables without touching them, and refuses one of a newer service', async () => {
    const record = network();
    await fixture.store.networks.create(record);
    expect(await (await fixture.reopen()).networks.get(record.id)).toEqual(record);
    const newer = (sql: string) => withDriver((driver) => driver.transaction((queryable) => queryable.query(sql)));
    const refused = newer('insert into schema_migrations (version, applied_at) values (9999, 0)');
    await expect(refused).rejects.toMatchObject({ code: 'schema_too_new' });
    const driver = fixture.place.openDriver();
    await driver.transaction((sql) => sql.query('delete from schema_migrations where version = 9999'));
    await driver.close();
    await fixture.reopen();
  });

  it('answers a ping', async () => {
    await expect(fixture.store.ping()).resolves.toBeUndefined();
  });

  /** Fails the first, second, third … statement of `act`, checking `unchanged` each time, until it succeeds. */
  async function failEach(act: (store: Store) => Promise<void>, unchanged: (store: Store) => Promise<void>) {
    const { blobs } = fixture.store;
    await withDriver(async (driver) => {
      const sound = assemble(driver, blobs);
      for (let n = 1; ; n++) {
        const failing = failingAt(driver, n);
        const error = await act(assemble(failing.driver, blobs)).then(
          () => undefined,
          (reason: unknown) => reason,
        );
        if (failing.calls() < n) {
          expect(error).toBeUndefined();
          expect(n).toBeGreaterThan(2);
          return;
        }
        expect(error).toMatchObject({ message: `statement ${n} failed` });
        await unchanged(sound);
      }
    });
  }
}
