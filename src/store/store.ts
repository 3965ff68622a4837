/**
 * What the service keeps and how it is asked for it: one asynchronous interface over SQLite and PostgreSQL.
 *
 * Conventions. Records carry the wire's spelling (snake_case). Times are milliseconds since 1970, given by the caller.
 * Ids are made by the caller with `newId` and sort by time. `null` means "not there". JSON columns come back parsed; a
 * number in them that is not finite is a `RangeError` (write it as "NaN", "Infinity" or "-Infinity" first). Text may
 * hold any Unicode except U+0000 and lone surrogates; inside JSON those are fine too.
 * Every call is one transaction: what it promises is on the disk when the promise resolves, or nothing is.
 * A failure of the storage itself rejects with `StoreError`; "not found" and "did not take effect" are answers.
 */
import type { BlobStore } from './blobs.ts';
import type { IdempotencyRecords } from './contract/creation.ts';
import type { Datasets, Networks } from './contract/definitions.ts';
import type { Checkpoints, Events, Points } from './contract/history.ts';
import type { Jobs } from './contract/jobs.ts';
import type { Queue } from './contract/queue.ts';
import type { Webhooks } from './contract/webhooks.ts';

export type * from './contract/creation.ts';
export type * from './contract/definitions.ts';
export * from './contract/errors.ts';
export type * from './contract/history.ts';
export type * from './contract/jobs.ts';
export * from './contract/keys.ts';
export type * from './contract/queue.ts';
export type * from './contract/values.ts';
export type * from './contract/webhooks.ts';

export interface Store {
  readonly networks: Networks;
  readonly datasets: Datasets;
  readonly jobs: Jobs;
  readonly events: Events;
  readonly points: Points;
  readonly checkpoints: Checkpoints;
  readonly queue: Queue;
  readonly idempotency: IdempotencyRecords;
  readonly webhooks: Webhooks;
  readonly blobs: BlobStore;
  /**
   * Deletes blobs written before `before` that a crash between put and commit left behind: those of jobs and data sets
   * that are not there, and checkpoints that no record names. Says how many.
   */
  sweepBlobs(before: number): Promise<number>;
  /** Resolves when the storage answers: the readiness check. */
  ping(): Promise<void>;
  close(): Promise<void>;
}
