/** The embedded database: node:sqlite in a data directory that belongs to one process. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import {
  checkParameters,
  type Dialect,
  type Driver,
  type Queryable,
  type Row,
  type SqlValue,
  systemErrorCode,
} from '../driver.ts';
import { StoreError, type StoreErrorCode } from '../store.ts';

const dialect: Dialect = {
  text: 'text',
  integer: 'integer',
  double: 'real',
  binary: 'blob',
  tableOptions: 'strict',
  // `begin immediate` and the lock on the directory are enough.
  lockSchema: null,
  lockName: null,
};

/** Prepared statements kept per connection; the store has fewer, but some vary with the columns that change. */
const statementsKept = 256;

/** Primary result codes of https://www.sqlite.org/rescode.html. */
const resultCodes: Readonly<Record<number, StoreErrorCode>> = {
  5: 'storage_busy',
  6: 'storage_busy',
  13: 'storage_full',
};

function storageError(error: unknown): StoreError {
  const code = error instanceof Error && 'errcode' in error ? resultCodes[Number(error.errcode) & 0xff] : undefined;
  const message = error instanceof Error ? error.message : String(error);
  return new StoreError(code ?? systemErrorCode(error), `SQLite: ${message}`, { cause: error });
}

function guarded<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw storageError(error);
  }
}

/** One connection with its prepared statements. The calls are synchronous; the promises are for the interface. */
class Connection implements Queryable {
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();

  constructor(database: DatabaseSync) {
    this.#database = database;
  }

  async query(sql: string, parameters: readonly SqlValue[] = []): Promise<Row[]> {
    checkParameters(parameters);
    return guarded(() => this.#prepare(sql).all(...(parameters as SQLInputValue[])) as Row[]);
  }

  exec(sql: string): void {
    guarded(() => this.#database.exec(sql));
  }

  get inTransaction(): boolean {
    return this.#database.isTransaction;
  }

  close(): void {
    this.#statements.clear();
    this.#database.close();
  }

  #prepare(sql: string): StatementSync {
    const known = this.#statements.get(sql);
    if (known !== undefined) return known;
    // `$1` is a name to SQLite, `?1` a position.
    const statement = this.#database.prepare(sql.replaceAll(/\$(\d+)/g, '?$1'));
    const oldest = this.#statements.keys().next();
    if (this.#statements.size >= statementsKept && !oldest.done) this.#statements.delete(oldest.value);
    this.#statements.set(sql, statement);
    return statement;
  }
}

class SqliteDriver implements Driver {
  readonly dialect = dialect;
  readonly #lock: DatabaseSync;
  readonly #writer: Connection;
  /** A connection of its own, so that reads never see a transaction that is under way. */
  readonly #reader: Connection;
  #lastTransaction: Promise<unknown> = Promise.resolve();

  constructor(lock: DatabaseSync, writer: Connection, reader: Connection) {
    this.#lock = lock;
    this.#writer = writer;
    this.#reader = reader;
  }

  query(sql: string, parameters?: readonly SqlValue[]): Promise<Row[]> {
    return this.#reader.query(sql, parameters);
  }

  transaction<T>(work: (sql: Queryable) => Promise<T>): Promise<T> {
    // One writer: each transaction begins when the one before it has ended, however that ended.
    const result = this.#lastTransaction.then(() => this.#run(work));
    this.#lastTransaction = result.catch(() => undefined);
    return result;
  }

  async close(): Promise<void> {
    await this.#lastTransaction;
    this.#reader.close();
    this.#writer.close();
    this.#lock.close();
  }

  async #run<T>(work: (sql: Queryable) => Promise<T>): Promise<T> {
    this.#writer.exec('begin immediate');
    try {
      const result = await work(this.#writer);
      this.#writer.exec('commit');
      return result;
    } finally {
      // Still open: `work` threw, or the commit failed. A full disk may have rolled it back already.
      if (this.#writer.inTransaction) this.#writer.exec('rollback');
    }
  }
}

/** Takes the directory for this process; the lock ends with the process, however it ends. */
function lockDirectory(directory: string): DatabaseSync {
  const lock = guarded(() => new DatabaseSync(join(directory, 'lock.db'), { timeout: 0 }));
  try {
    lock.exec('begin exclusive');
    return lock;
  } catch (error) {
    lock.close();
    if (storageError(error).code !== 'storage_busy') throw storageError(error);
    const message = `The data directory ${directory} is in use by another server. Stop that server, or give this one a directory of its own (DATA_DIR).`;
    throw new StoreError('data_directory_in_use', message, { cause: error });
  }
}

function connect(path: string, readOnly: boolean): Connection {
  const connection = new Connection(guarded(() => new DatabaseSync(path, { timeout: 5_000, readOnly })));
  if (!readOnly) connection.exec('pragma journal_mode = wal; pragma synchronous = full; pragma foreign_keys = on');
  return connection;
}

/**
 * Opens the database of a data directory, which is made when it is missing.
 * @throws {StoreError} `data_directory_in_use` when another process, or this one, has it open.
 */
export function openSqlite(directory: string): Driver {
  guarded(() => mkdirSync(directory, { recursive: true }));
  const lock = lockDirectory(directory);
  try {
    const path = join(directory, 'trainyard.db');
    const writer = connect(path, false);
    return new SqliteDriver(lock, writer, connect(path, true));
  } catch (error) {
    lock.close();
    throw error;
  }
}
