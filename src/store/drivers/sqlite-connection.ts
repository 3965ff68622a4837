/** A connection to an SQLite database, for whichever thread holds it. */
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite';
import { type Row, type SqlValue, systemErrorCode } from '../driver.ts';
import { StoreError, type StoreErrorCode } from '../store.ts';

/** Prepared statements kept per connection; the store has fewer, but some vary with the columns that change. */
const statementsKept = 256;

/** Primary result codes of https://www.sqlite.org/rescode.html. */
const resultCodes: Readonly<Record<number, StoreErrorCode>> = {
  5: 'storage_busy',
  6: 'storage_busy',
  13: 'storage_full',
};

export function storageError(error: unknown): StoreError {
  const code = error instanceof Error && 'errcode' in error ? resultCodes[Number(error.errcode) & 0xff] : undefined;
  const message = error instanceof Error ? error.message : String(error);
  return new StoreError(code ?? systemErrorCode(error), `SQLite: ${message}`, { cause: error });
}

export function guarded<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw storageError(error);
  }
}

/** One connection with its prepared statements. Every call is synchronous, and takes as long as the disk does. */
export class Connection {
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();

  constructor(database: DatabaseSync) {
    this.#database = database;
  }

  query(sql: string, parameters: readonly SqlValue[]): Row[] {
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

/** Opens the database of a file; a writer makes it when it is missing. */
export function connect(path: string, readOnly: boolean): Connection {
  return new Connection(guarded(() => new DatabaseSync(path, { timeout: 5_000, readOnly })));
}
