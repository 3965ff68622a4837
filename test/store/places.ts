/** Where the store of a test is kept: a fresh place for each test, on either database. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startPostgres as startDatabase } from '../../scripts/own-postgres.ts';
import type { Driver } from '../../src/store/driver.ts';
import { openPostgres } from '../../src/store/drivers/postgres.ts';
import { openSqlite } from '../../src/store/drivers/sqlite.ts';
import { openStore } from '../../src/store/open.ts';
import type { Store } from '../../src/store/store.ts';

export interface Place {
  /** Another store on the same place; SQLite allows one at a time. */
  open(): Promise<Store>;
  /** Only the database, without the store's tables when no store was opened before. */
  openDriver(): Driver;
  remove(): Promise<void>;
}

export async function sqlitePlace(): Promise<Place> {
  const data_dir = await mkdtemp(join(tmpdir(), 'trainyard-store-'));
  return {
    open: () => openStore({ data_dir }),
    openDriver: () => openSqlite(data_dir),
    remove: () => rm(data_dir, { recursive: true }),
  };
}

export interface PostgresServer {
  /** A schema without tables. */
  newPlace(): Promise<Place>;
  /** An empty schema; the tables of a test before it may be there, because making them takes longer than most tests. */
  place(): Promise<Place>;
  /** Where a service finds an empty schema without tables. */
  newUrl(): Promise<string>;
  stop(): Promise<void>;
}

export async function startPostgres(): Promise<PostgresServer> {
  const server = await startDatabase();
  const emptied: string[] = [];

  async function empty(database_url: string): Promise<void> {
    await server.empty(database_url);
    emptied.push(database_url);
  }

  function placeAt(database_url: string): Place {
    return {
      open: () => openStore({ database_url }),
      openDriver: () => openPostgres(database_url),
      remove: () => empty(database_url),
    };
  }

  return {
    newPlace: async () => placeAt(await server.newUrl()),
    place: async () => placeAt(emptied.pop() ?? (await server.newUrl())),
    newUrl: server.newUrl,
    stop: server.stop,
  };
}
