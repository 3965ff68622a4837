/**
 * Lets every call of the storage (SQL statements, commits, their answers; writing, syncing and renaming files) fail once
 * with EIO, ENOSPC and EBUSY while the service is used over HTTP, and checks after each that nothing is lost and nothing
 * is there by halves. A short form is in the tests. Exits with 1 at the first thing that does not hold.
 *
 *     node scripts/storage-faults-proof.ts --store postgres --stride 1
 *
 * `--store postgres` keeps the state in a PostgreSQL of its own; with a stride above 1 only every n-th call fails.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import supertest from 'supertest';
import { buildApp } from '../src/app.ts';
import { readConfig } from '../src/config.ts';
import { openServices } from '../src/services/services.ts';
import { databaseOf } from './own-postgres.ts';
import { Faults } from './storage-faults/faults.ts';
import { assertAccounts, backdate, failAtCalls, keptInFiles, keptInPostgres } from './storage-faults/sweep.ts';
import { useCases } from './storage-faults/use-cases.ts';

const { values } = parseArgs({
  options: { store: { type: 'string', default: 'sqlite' }, stride: { type: 'string', default: '1' } },
});
const database = await databaseOf(values.store);
const url = await database?.newUrl();
const dataDir = mkdtempSync(join(tmpdir(), 'trainyard-faults-'));
const faults = new Faults();
faults.blobs = join(dataDir, 'blobs');
const kept = url === undefined ? keptInFiles(dataDir) : keptInPostgres(url, dataDir);
const config = readConfig({ DATA_DIR: dataDir, MAX_WORKERS: '1', ...(url && { DATABASE_URL: url }) });

async function start() {
  const services = await openServices(config, undefined, { foundation: faults.foundation, storage_retry_ms: 20 });
  const app = await buildApp(config, services);
  await app.listen({ port: 0, host: '127.0.0.1' });
  const { port } = app.server.address() as AddressInfo;
  const stop = async () => {
    await services.close();
    await app.close();
  };
  return { request: supertest(`http://127.0.0.1:${port}`), services, stop };
}

const subject = await start();
for (const useCase of useCases) {
  const started = performance.now();
  const hits = await failAtCalls(subject, faults, useCase, Number(values.stride));
  console.log(`ok  ${useCase.name}: ${hits.length} faults in ${((performance.now() - started) / 1000).toFixed(1)} s`);
}
await subject.stop();
await backdate(kept);
await (await start()).stop();
await assertAccounts(dataDir, kept);
console.log(
  'ok  after a restart every blob belongs to a record, every record has its blobs, no temporary file is left',
);
rmSync(dataDir, { recursive: true });
await database?.stop();
