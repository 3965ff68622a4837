/** Every call of the storage fails once, in every use case; and what the storage holds afterwards accounts for itself. */
import assert from 'node:assert/strict';
import { readdirSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
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

/** Makes every file look old enough to be swept. */
export function backdateFiles(dataDir: string): void {
  for (const path of filesBelow(join(dataDir, 'blobs'))) utimesSync(path, 1, 1);
}

/** After a start and a stop: every blob belongs to a record, every record has its blobs, and nothing begun is left. */
export async function assertAccounts(dataDir: string): Promise<void> {
  assert.deepEqual(readdirSync(join(dataDir, 'uploads')), []);
  assert.deepEqual(readdirSync(join(dataDir, 'blobs', 'temporary')), []);
  const content = join(dataDir, 'blobs', 'content');
  const present = filesBelow(content).map((path) => path.slice(content.length + 1));
  const { named, owners } = await readRecords(dataDir);
  const missing = [...named].filter((key) => !present.includes(key));
  const orphans = present.filter((key) => {
    const [kind, owner, what] = key.split('/');
    return kind !== 'reserve' && !(what === 'checkpoints' ? named.has(key) : owners.has(owner));
  });
  assert.deepEqual({ missing, orphans }, { missing: [], orphans: [] });
}

/** The blobs that records name, and the ids under which blobs may be. */
async function readRecords(dataDir: string) {
  const driver = openSqlite(dataDir);
  const column = async (text: string) => new Set((await driver.query(text)).map(({ value }) => String(value)));
  const named = await column(
    `select blob_key as value from checkpoints union select data_key from jobs where data_key is not null
     union select blob_key from datasets`,
  );
  const owners = await column('select id as value from jobs union select id from datasets');
  await driver.close();
  return { named, owners };
}
