/** Every call of the storage fails once, in every use case; and what the storage holds afterwards accounts for itself. */
import assert from 'node:assert/strict';
import { readdirSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import type { Driver } from '../../src/store/driver.ts';
import { openPostgres } from '../../src/store/drivers/postgres.ts';
import { openSqlite } from '../../src/store/drivers/sqlite.ts';
import { type FaultKind, type Faults, faultKinds } from './faults.ts';
import type { Subject, UseCase } from './use-cases.ts';

const kinds = Object.keys(faultKinds) as FaultKind[];

/**
 * Lets the n-th call of the storage fail, until the use case is over before the n-th call.
 * @param stride 1: for every n, with every kind of fault; else for every stride-th n, and the kinds take turns
 * @returns the calls that have failed
 */
export async function failAtCalls(
  subject: Subject,
  faults: Faults,
  useCase: UseCase,
  stride: number,
): Promise<readonly string[]> {
  const hits: string[] = [];
  for (let at = 1; ; at += stride) {
    for (const kind of stride === 1 ? kinds : [kinds[at % kinds.length]]) {
      const hit = await failOnce(subject, faults, useCase, at, kind);
      if (hit === null) return hits;
      hits.push(hit);
    }
  }
}

async function failOnce(
  subject: Subject,
  faults: Faults,
  useCase: UseCase,
  at: number,
  kind: FaultKind,
): Promise<string | null> {
  let hit: string | null = null;
  try {
    const given = await useCase.prepare(subject, at * kinds.length + kinds.indexOf(kind));
    faults.arm(at, kind);
    await useCase.act(subject, given);
    hit = faults.disarm();
    await useCase.check(subject, given);
    await queueIsEmpty(faults);
    return hit;
  } catch (error) {
    hit ??= faults.disarm();
    throw new Error(`${useCase.name}, ${hit ?? `no fault at call ${at}`}: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

/** Nothing that has ended waits or holds a lease; what is being given back may take a moment. */
async function queueIsEmpty({ driver }: Faults): Promise<void> {
  for (let tries = 0; tries < 1_000; tries++) {
    const [row] = await driver!.query('select count(*) as count from queue');
    if (row.count === 0) return;
    await setImmediate();
  }
  assert.fail('a job that has ended has a place in the queue');
}

const filesBelow = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));

/** What the service has kept, when it has ended. */
export interface Kept {
  openDriver(): Driver;
  /** The keys of all blobs. */
  blobs(driver: Driver): Promise<readonly string[]>;
  /** Makes every blob, and what was begun of others, look old enough to be swept. */
  backdate(driver: Driver): Promise<void>;
}

const makeOld = (paths: readonly string[]) => {
  for (const path of paths) utimesSync(path, 1, 1);
};

export const keptInFiles = (dataDir: string): Kept => ({
  openDriver: () => openSqlite(dataDir),
  async blobs() {
    assert.deepEqual(readdirSync(join(dataDir, 'blobs', 'temporary')), []);
    const content = join(dataDir, 'blobs', 'content');
    return filesBelow(content).map((path) => path.slice(content.length + 1));
  },
  backdate: async () => makeOld(filesBelow(join(dataDir, 'blobs'))),
});

export const keptInPostgres = (url: string, dataDir: string): Kept => ({
  openDriver: () => openPostgres(url),
  async blobs(driver) {
    const [{ count }] = await driver.query(
      'select count(*) as count from blob_chunks where not exists (select 1 from blobs where blobs.key = blob_chunks.key)',
    );
    assert.equal(count, 0);
    return (await driver.query('select key from blobs')).map(({ key }) => String(key));
  },
  async backdate(driver) {
    makeOld(filesBelow(join(dataDir, 'uploads')));
    await driver.query('update blobs set written_at = 1');
  },
});

/** Makes every blob look old enough to be swept. */
export async function backdate(kept: Kept): Promise<void> {
  await withDriver(kept, (driver) => kept.backdate(driver));
}

/** After a start and a stop: every blob belongs to a record, every record has its blobs, and nothing begun is left. */
export async function assertAccounts(dataDir: string, kept: Kept): Promise<void> {
  assert.deepEqual(readdirSync(join(dataDir, 'uploads')), []);
  await withDriver(kept, async (driver) => {
    const present = await kept.blobs(driver);
    const { named, owners } = await readRecords(driver);
    const missing = [...named].filter((key) => !present.includes(key));
    const orphans = present.filter((key) => {
      const [kind, owner, what] = key.split('/');
      return kind !== 'reserve' && !(what === 'checkpoints' ? named.has(key) : owners.has(owner));
    });
    assert.deepEqual({ missing, orphans }, { missing: [], orphans: [] });
  });
}

async function withDriver<T>(kept: Kept, work: (driver: Driver) => Promise<T>): Promise<T> {
  const driver = kept.openDriver();
  try {
    return await work(driver);
  } finally {
    await driver.close();
  }
}

/** The blobs that records name, and the ids under which blobs may be. */
async function readRecords(driver: Driver) {
  const column = async (text: string) => new Set((await driver.query(text)).map(({ value }) => String(value)));
  const named = await column(
    `select blob_key as value from checkpoints union select data_key from jobs where data_key is not null
     union select blob_key from datasets`,
  );
  const owners = await column('select id as value from jobs union select id from datasets');
  return { named, owners };
}
