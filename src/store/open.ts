/** Puts the store together: one of two databases, blobs beside it, the same SQL above. */
import { join } from 'node:path';
import { openBlobFiles } from './blob-files.ts';
import { blobTables } from './blob-tables.ts';
import type { BlobStore } from './blobs.ts';
import { checkpoints } from './checkpoints.ts';
import { datasets } from './datasets.ts';
import type { Driver } from './driver.ts';
import { openSqlite } from './drivers/sqlite.ts';
import { events } from './events.ts';
import { type Files, nodeFiles } from './files.ts';
import { idempotencyRecords } from './idempotency.ts';
import { jobs } from './jobs.ts';
import { networks } from './networks.ts';
import { points } from './points.ts';
import { queue } from './queue.ts';
import { migrate } from './schema.ts';
import type { Store } from './store.ts';
import { sweepBlobs } from './sweep.ts';
import { webhooks } from './webhooks.ts';

/** Where everything is kept: a directory of this process alone, or a PostgreSQL database that many may share. */
export type StorePlace = { readonly data_dir: string } | { readonly database_url: string };

/** What the store stands on; another one shows in tests what becomes of faults. */
export interface Foundation {
  readonly files?: Files;
  readonly driver?: (driver: Driver) => Driver;
}

/** The store above a driver and blobs that are open already. */
export function assemble(driver: Driver, blobs: BlobStore): Store {
  return {
    networks: networks(driver),
    datasets: datasets(driver, blobs),
    jobs: jobs(driver, blobs),
    events: events(driver),
    points: points(driver),
    checkpoints: checkpoints(driver),
    queue: queue(driver),
    idempotency: idempotencyRecords(driver),
    webhooks: webhooks(driver),
    blobs,
    sweepBlobs: (before) => sweepBlobs(driver, blobs, before),
    ping: async () => {
      await driver.query('select 1 as alive');
    },
    close: () => driver.close(),
  };
}

/** The client of PostgreSQL is loaded where it is used only. */
async function connect(url: string): Promise<Driver> {
  const { openPostgres } = await import('./drivers/postgres.ts');
  return openPostgres(url);
}

/**
 * Opens the store and brings its schema up to date.
 * @param now the clock, milliseconds since 1970; the store itself asks it only for migrations and blobs in tables.
 * @throws {StoreError} `data_directory_in_use`, `schema_too_new`, or what the storage reports.
 */
export async function openStore(
  place: StorePlace,
  now: () => number = Date.now,
  { files = nodeFiles, driver: lay = (driver) => driver }: Foundation = {},
): Promise<Store> {
  const embedded = 'data_dir' in place;
  const driver = lay(embedded ? openSqlite(place.data_dir) : await connect(place.database_url));
  try {
    await migrate(driver, now());
    const blobs = embedded ? await openBlobFiles(join(place.data_dir, 'blobs'), files) : blobTables(driver, now);
    return assemble(driver, blobs);
  } catch (error) {
    await driver.close();
    throw error;
  }
}
