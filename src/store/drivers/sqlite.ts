/** The embedded database: node:sqlite in a data directory that belongs to one process. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { checkParameters, type Dialect, type Driver, type Queryable, type Row, type SqlValue } from '../driver.ts';
import { StoreError } from '../store.ts';
import { type Connection, connect, guarded, storageError } from './sqlite-connection.ts';
import { Writer } from './sqlite-writer.ts';

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

class SqliteDriver implements Driver {
  readonly dialect = dialect;
  readonly #lock: DatabaseSync;
  readonly #writer: Writer;
  /** A connection of its own, so that reads never see a transaction that is under way and never wait for the disk to sync. */
  readonly #reader: Connection;
  #lastTransaction: Promise<unknown> = Promise.resolve();

  constructor(lock: DatabaseSync, writer: Writer, reader: Connection) {
    this.#lock = lock;
    this.#writer = writer;
    this.#reader = reader;
  }

  async query(sql: string, parameters: readonly SqlValue[] = []): Promise<Row[]> {
    checkParameters(parameters);
    return this.#reader.query(sql, parameters);
  }

  transaction<T>(work: (sql: Queryable) => Promise<T>): Promise<T> {
    // One writer: each transaction begins when the one before it has ended, however that ended.
    const result = this.#lastTransaction.then(() =>
      this.#writer.transaction((query) =>
        work({
          query: async (sql, parameters = []) => {
            checkParameters(parameters);
            return query(sql, parameters);
          },
        }),
      ),
    );
    this.#lastTransaction = result.catch(() => undefined);
    return result;
  }

  async close(): Promise<void> {
    await this.#lastTransaction;
    this.#reader.close();
    await this.#writer.close().finally(() => this.#lock.close());
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

/** What makes a commit last: each waits until the write-ahead log is on the disk. */
const setup = 'pragma journal_mode = wal; pragma synchronous = full; pragma foreign_keys = on';

/**
 * Opens the database of a data directory, which is made when it is missing.
 * @throws {StoreError} `data_directory_in_use` when another process, or this one, has it open.
 */
export function openSqlite(directory: string): Driver {
  guarded(() => mkdirSync(directory, { recursive: true }));
  const lock = lockDirectory(directory);
  try {
    const path = join(directory, 'trainyard.db');
    // The file is there, in the mode that lets one write while others read, before either opens it.
    const first = connect(path, false);
    first.exec(setup);
    const reader = connect(path, true);
    first.close();
    return new SqliteDriver(lock, new Writer(path, setup), reader);
  } catch (error) {
    lock.close();
    throw error;
  }
}
