/** The shared database: PostgreSQL through a pool of connections. */
import pg from 'pg';
import { checkParameters, type Dialect, type Driver, type Queryable, type Row, type SqlValue } from '../driver.ts';
import { StoreError, type StoreErrorCode } from '../store.ts';

const dialect: Dialect = {
  text: 'text collate "C"',
  integer: 'bigint',
  double: 'double precision',
  binary: 'bytea',
  tableOptions: '',
  // Any constant does, as long as all versions of the service use the same.
  lockSchema: 'select pg_advisory_xact_lock(7237103584219)',
  lockName: 'select pg_advisory_xact_lock(hashtextextended($1, 0))',
};

const connections = 10;

/** SQLSTATE codes, or their classes, of https://www.postgresql.org/docs/18/errcodes-appendix.html. */
const sqlStates: Readonly<Record<string, StoreErrorCode>> = {
  '53100': 'storage_full',
  '40': 'storage_busy',
  '53': 'storage_busy',
  '55': 'storage_busy',
  '57': 'storage_busy',
  '08': 'storage_busy',
};

/** Errors without an SQLSTATE come from the connection. */
function storageError(error: unknown): StoreError {
  const message = error instanceof Error ? error.message : String(error);
  const state = error instanceof pg.DatabaseError ? (error.code ?? '') : '08';
  const code = sqlStates[state] ?? sqlStates[state.slice(0, 2)] ?? 'storage_failed';
  return new StoreError(code, `PostgreSQL: ${message}`, { cause: error });
}

/** bigint as number (times and counts stay below 2^53), bytea with a buffer of its own, the rest as pg has it. */
const types: pg.CustomTypesConfig = {
  getTypeParser(oid, format) {
    const parse = pg.types.getTypeParser(oid, format as 'text');
    if (oid === pg.types.builtins.INT8) return Number;
    if (oid === pg.types.builtins.BYTEA) return (value: string) => new Uint8Array(parse(value));
    return parse;
  },
};

async function run(client: pg.Pool | pg.PoolClient, sql: string, parameters: readonly SqlValue[]): Promise<Row[]> {
  checkParameters(parameters);
  try {
    return (await client.query<Row>(sql, [...parameters])).rows;
  } catch (error) {
    throw storageError(error);
  }
}

class PostgresDriver implements Driver {
  readonly dialect = dialect;
  readonly #pool: pg.Pool;

  constructor(pool: pg.Pool) {
    this.#pool = pool;
  }

  query(sql: string, parameters: readonly SqlValue[] = []): Promise<Row[]> {
    return run(this.#pool, sql, parameters);
  }

  async transaction<T>(work: (sql: Queryable) => Promise<T>): Promise<T> {
    const client = await this.#pool.connect().catch((error: unknown) => {
      throw storageError(error);
    });
    // A connection whose transaction could not be ended is closed, which ends it on the server.
    let broken = true;
    try {
      await run(client, 'begin', []);
      const result = await work({ query: (sql, parameters = []) => run(client, sql, parameters) });
      await run(client, 'commit', []);
      broken = false;
      return result;
    } catch (error) {
      broken = await run(client, 'rollback', []).then(
        () => false,
        () => true,
      );
      throw error;
    } finally {
      client.release(broken);
    }
  }

  close(): Promise<void> {
    return this.#pool.end();
  }
}

/** A driver for the database of a URL such as `postgres://user:password@host:5432/name`; connects when first used. */
export function openPostgres(url: string): Driver {
  const pool = new pg.Pool({ connectionString: url, max: connections, types });
  // An idle connection that the server closes is not an error of any request: the pool replaces it. Of one that is in use
  // the next statement tells; an event that nobody listens to would end the process.
  pool.on('error', () => undefined);
  pool.on('connect', (client) => client.on('error', () => undefined));
  return new PostgresDriver(pool);
}
