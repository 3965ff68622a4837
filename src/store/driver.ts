/** What the SQL of the store needs from a database: two calls, and the few words in which the dialects differ. */
import type { StoreErrorCode } from './store.ts';

export type SqlValue = string | number | null | Uint8Array;
export type Row = Readonly<Record<string, SqlValue>>;

export interface Queryable {
  /**
   * Runs one statement; `$1 … $n` stand for the parameters. Integers come back as numbers, binary as Uint8Array.
   * @throws {RangeError} when a parameter is a number that is not finite or a text that cannot be stored everywhere.
   */
  query(sql: string, parameters?: readonly SqlValue[]): Promise<Row[]>;
}

/** Outside a transaction only reading is possible; a read sees whole transactions only. */
export interface Driver extends Queryable {
  readonly dialect: Dialect;
  /**
   * Runs `work` in a transaction: committed and durable when the promise resolves; rolled back, with the same error,
   * when `work` throws. Do not begin a transaction within another one.
   */
  transaction<T>(work: (sql: Queryable) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

export interface Dialect {
  /** Text that compares by its bytes, so that ids sort alike everywhere. */
  readonly text: string;
  readonly integer: string;
  readonly double: string;
  readonly binary: string;
  /** What follows the closing parenthesis of `create table`. */
  readonly tableOptions: string;
  /** Statement that makes other processes wait until the end of the transaction that migrates the schema. */
  readonly lockSchema: string | null;
  /** Statement that makes other transactions wait that lock the same name, $1; null where only one writes at a time anyway. */
  readonly lockName: string | null;
}

/** Refuses what one of the databases would silently change: NaN becomes null, text ends at U+0000, surrogates U+FFFD. */
export function checkParameters(parameters: readonly SqlValue[]): void {
  for (const value of parameters) {
    if (typeof value === 'number' && !Number.isFinite(value)) throw new RangeError(`cannot store the number ${value}`);
    if (typeof value === 'string' && (value.includes('\0') || !value.isWellFormed())) {
      throw new RangeError('cannot store a text with U+0000 or a lone surrogate');
    }
  }
}

/** The code of a system call's error, as far as it is one that the store tells apart. */
export function systemErrorCode(error: unknown): StoreErrorCode {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code === 'ENOSPC' || code === 'EDQUOT') return 'storage_full';
  if (code === 'EBUSY' || code === 'EMFILE' || code === 'ENFILE') return 'storage_busy';
  return 'storage_failed';
}
