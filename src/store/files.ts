/** The file system as everything that is kept goes through it, and its errors as those of the storage. */
import * as promises from 'node:fs/promises';
import { systemErrorCode } from './driver.ts';
import { StoreError } from './store.ts';

/** The calls that the store makes; other ones show in tests what becomes of their faults. */
export type Files = Pick<
  typeof promises,
  'mkdir' | 'open' | 'readdir' | 'readFile' | 'rename' | 'rm' | 'stat' | 'unlink'
>;

export const nodeFiles: Files = promises;

/** A failed system call as a `StoreError`; anything else as it is. */
export function fileError(error: unknown): unknown {
  if (!(error instanceof Error && 'syscall' in error)) return error;
  return new StoreError(systemErrorCode(error), `File system: ${error.message}`, { cause: error });
}
