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

/** A parsed JSON value whose shape the caller knows: it wrote it. */
export type Json = unknown;

/** Free labels of a record. Values that are strings, numbers or booleans can be filtered by. */
export type Metadata = Readonly<Record<string, Json>>;

/** `metadata[k]=v` of a list request; a record matches when for every k its value, as text, equals v. */
export type MetadataFilter = Readonly<Record<string, string>>;

/** A stretch of a list. Newest first unless the call says otherwise. */
export interface PageRequest {
  /** The id of the last record that the reader has seen. It need not exist any more. */
  readonly after?: string | undefined;
  /** The most records to return, at least 1. */
  readonly limit: number;
}

export interface Page<T> {
  readonly data: readonly T[];
  readonly has_more: boolean;
}

// ---------------------------------------------------------------------------------------------- idempotent creation

/** The answer to a creating request, as it is repeated to a client that asks again. */
export interface StoredAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** The body as it was sent. */
  readonly body: string;
}

/** What identifies a request that may come twice. */
export interface IdempotencyClaim {
  /** The client's Idempotency-Key. */
  readonly key: string;
  /** Method and path, such as `POST /v1/jobs`: the same key may be used once for each. */
  readonly scope: string;
  readonly body_sha256: string;
  readonly answer: StoredAnswer;
  readonly created_at: number;
  /** From this time on the key may be used afresh. */
  readonly expires_at: number;
}

/** What became of a creation with an idempotency key. Only `created` has changed anything. */
export type Created<T> =
  | { readonly outcome: 'created'; readonly record: T }
  /** The same request was answered before, with this. */
  | { readonly outcome: 'replayed'; readonly answer: StoredAnswer }
  /** The key was used for another body. */
  | { readonly outcome: 'key_reused' };

export interface IdempotencyRecords {
  /** The answer kept for a key, or what is wrong with it; `undefined` when the key is new or expired at `now`. */
  find(
    claim: Pick<IdempotencyClaim, 'key' | 'scope' | 'body_sha256'>,
    now: number,
  ): Promise<Exclude<Created<never>, { outcome: 'created' }> | undefined>;
  /** Keeps the answer to a request that has created nothing. */
  keep(claim: IdempotencyClaim): Promise<Created<null>>;
  /** Forgets the keys that have expired and says how many. */
  sweep(now: number): Promise<number>;
}

// ------------------------------------------------------------------------------------------------ networks, datasets

/** An immutable definition. */
export interface NetworkRecord {
  readonly id: string;
  readonly name: string | null;
  readonly definition: Json;
  readonly metadata: Metadata;
  readonly created_at: number;
}

export interface Networks {
  create(record: NetworkRecord, idempotency?: IdempotencyClaim): Promise<Created<NetworkRecord>>;
  get(id: string): Promise<NetworkRecord | undefined>;
  list(page: PageRequest & { readonly metadata?: MetadataFilter | undefined }): Promise<Page<NetworkRecord>>;
  /** True when it was there. Jobs are not touched: each keeps its own copy of the definition. */
  delete(id: string): Promise<boolean>;
}

/** What is known about a data set; its numbers are a blob. */
export interface DatasetRecord {
  readonly id: string;
  readonly name: string | null;
  /** Columns, rows, classes and statistics. */
  readonly profile: Json;
  readonly sha256: string;
  /** Where the numbers are: below `datasetPrefix(id)`, so that deletion finds the blob. */
  readonly blob_key: string;
  readonly metadata: Metadata;
  readonly created_at: number;
}

export interface Datasets {
  create(record: DatasetRecord, idempotency?: IdempotencyClaim): Promise<Created<DatasetRecord>>;
  get(id: string): Promise<DatasetRecord | undefined>;
  list(page: PageRequest & { readonly metadata?: MetadataFilter | undefined }): Promise<Page<DatasetRecord>>;
  /** Deletes the record and its blobs, unless a job in one of the states `needed_by` was made with it. */
  delete(id: string, needed_by: readonly string[]): Promise<'deleted' | 'not_found' | 'in_use'>;
}

// -------------------------------------------------------------------------------------------------------------- jobs

/** The columns of a job that change while it lives. `state` changes with `JobChange.to`, `attempt` with a claim. */
export interface JobProgress {
  readonly stop_reason: string | null;
  readonly error: Json;
  /** What a client has asked of a running attempt and the attempt has not yet obeyed: pause, stop, cancel. */
  readonly control: string | null;
  readonly epoch: number;
  readonly epochs: number;
  readonly step: number;
  readonly steps: number;
  readonly samples_per_second: number | null;
  readonly latest: Json;
  readonly best: Json;
  /** What the final model is worth on the rows that were held out for it. */
  readonly test: Json;
  readonly warnings: Json;
  readonly metadata: Metadata;
  readonly priority: number;
  readonly run_sha256: string | null;
  readonly parameters_sha256: string | null;
  /** How its steps round multiply-adds, from which step on; null in jobs of an older version. */
  readonly roundings: Json;
  readonly backend: string | null;
  /** The most threads that have carried out one step together. */
  readonly threads: number | null;
  /** How often in a row the worker has died at `crash_step`. */
  readonly crashes: number;
  readonly crash_step: number | null;
  readonly finished_at: number | null;
}

export interface JobRecord extends JobProgress {
  readonly id: string;
  /** Where the definition came from; the network may have been deleted since. `null`: inline. */
  readonly network_id: string | null;
  readonly dataset_id: string | null;
  readonly external_id: string | null;
  /** The job's own copy of the definition. */
  readonly network: Json;
  /** The request with its defaults filled in, without large matrices: these are the blob `data_key`. */
  readonly request: Json;
  /** The blob of inline data, below `jobPrefix(id)`; `null` when the data are a data set. */
  readonly data_key: string | null;
  readonly state: string;
  /** The fencing token: raised by every claim, 0 before the first. */
  readonly attempt: number;
  readonly created_at: number;
  /** When the first attempt began. */
  readonly started_at: number | null;
  readonly updated_at: number;
  /** The id of the newest event; 0 when there is none. */
  readonly last_event_id: number;
}

/** A job to be created: in state `queued`, everything that is not given is at its beginning (null, 0, empty). */
export interface NewJob
  extends Pick<JobRecord, 'id' | 'network' | 'request' | 'created_at'>,
    Partial<
      Pick<
        JobRecord,
        'network_id' | 'dataset_id' | 'external_id' | 'data_key' | 'epochs' | 'steps' | 'warnings' | 'metadata'
      > &
        Pick<JobRecord, 'priority' | 'run_sha256' | 'roundings' | 'backend'>
    > {}

export interface JobCreation {
  readonly job: NewJob;
  readonly idempotency?: IdempotencyClaim | undefined;
  /** Refuse when there is an equal run already. */
  readonly reuse?: Reuse | undefined;
  /** Refuse when so many jobs are waiting already. */
  readonly max_waiting?: number | undefined;
  /** The job is listed by `queue.overdue` when it still waits at this time. */
  readonly deadline?: number | undefined;
  /** The first events, usually one that says `queued`. */
  readonly events?: readonly NewEvent[] | undefined;
  readonly webhooks?: readonly NewWebhook[] | undefined;
}

/** Which job of the same `run_sha256` makes another one needless; one that has ended comes first, then the newest. */
export interface Reuse {
  /** Stop reasons with which it may have ended. */
  readonly ended: readonly string[];
  /** Else the states in which it may be, unless a client has asked it to stop or to change its learning rate. */
  readonly active: readonly string[];
  /** Reasons of a transition after which a job that has not ended may come to be another run. */
  readonly diverted_by?: readonly string[] | undefined;
}

export type JobCreated =
  | Created<JobRecord>
  | { readonly outcome: 'run_exists'; readonly record: JobRecord }
  | { readonly outcome: 'queue_full'; readonly waiting: number }
  /** The data set has been deleted meanwhile. */
  | { readonly outcome: 'dataset_not_found' }
  | { readonly outcome: 'external_id_taken'; readonly record: JobRecord };

/** What happens to a job's place in the queue when its state changes. */
export type QueueMove =
  /** It waits for a worker; a job that held a lease goes back to its old place. */
  | 'enter'
  /** It stays as it is: a running job keeps its lease. */
  | 'keep'
  /** It waits no more and holds no lease: paused or terminal. */
  | 'leave';

/**
 * One atomic change of one job; everything in it happens, or nothing. It takes effect only if the job is in one of the
 * states `from` and, when `attempt` is given, if that is still its attempt: an attempt that was replaced writes nothing.
 */
export interface JobChange {
  readonly id: string;
  readonly at: number;
  /** Any state, when left out. */
  readonly from?: readonly string[] | undefined;
  /** Give it in every write of a running attempt. */
  readonly attempt?: number | undefined;
  /** The state after it; adds a row to the transitions. */
  readonly to?: { readonly state: string; readonly reason: string | null; readonly queue: QueueMove } | undefined;
  readonly set?: Partial<JobProgress> | undefined;
  /** Merged into the labels by RFC 7396: null removes a label. */
  readonly merge_metadata?: Metadata | undefined;
  /** A learning rate that a client wishes for; it is pending until an attempt names its step. */
  readonly learning_rate?: number | undefined;
  /** Wishes that have taken effect. */
  readonly effective_rates?: readonly EffectiveRate[] | undefined;
  /** First of all: forget what lies after the checkpoint from which training goes on, because a newer one is damaged. */
  readonly rewind?: Rewind | undefined;
  /** The points since the last checkpoint. */
  readonly points?: readonly PointChunk[] | undefined;
  /** Their blobs must have been put before. */
  readonly checkpoints?: readonly Omit<CheckpointRecord, 'job_id' | 'created_at'>[] | undefined;
  /** Steps whose checkpoints are not kept; their blobs are deleted after the commit. */
  readonly drop_checkpoints?: readonly number[] | undefined;
  readonly events?: readonly NewEvent[] | undefined;
}

export interface Rewind {
  /** Checkpoints of later steps are forgotten, and their blobs deleted after the commit. */
  readonly step: number;
  /** The last index to keep of each resolution; the points of a resolution that is not named are all forgotten. */
  readonly points: Readonly<Record<string, number>>;
}

/** A change of the learning rate while the job is under way. */
export interface LearningRateRecord {
  /** 1, 2, 3, … within the job, in the order in which they were asked for. */
  readonly number: number;
  readonly learning_rate: number;
  /** The first step (1-based) that is trained with it; `null` until it has taken effect. */
  readonly first_step: number | null;
  readonly requested_at: number;
}

export interface EffectiveRate {
  readonly number: number;
  readonly first_step: number;
}

export interface JobFilter extends PageRequest {
  readonly states?: readonly string[] | undefined;
  readonly network_id?: string | undefined;
  readonly dataset_id?: string | undefined;
  readonly run_sha256?: string | undefined;
  readonly metadata?: MetadataFilter | undefined;
}

export interface TransitionRecord {
  readonly state: string;
  readonly at: number;
  readonly reason: string | null;
  readonly attempt: number;
}

export interface Jobs {
  /** Job, idempotency key, place in the queue, first transition and first events in one transaction. */
  create(creation: JobCreation): Promise<JobCreated>;
  get(id: string): Promise<JobRecord | undefined>;
  byExternalId(external_id: string): Promise<JobRecord | undefined>;
  list(filter: JobFilter): Promise<Page<JobRecord>>;
  /** How many jobs are in each state that occurs. */
  counts(): Promise<Readonly<Record<string, number>>>;
  /** The states the job went through, oldest first. */
  transitions(id: string): Promise<readonly TransitionRecord[]>;
  /** The changes of the learning rate, in the order in which they were asked for. */
  learningRates(id: string): Promise<readonly LearningRateRecord[]>;
  /** Applies a change and returns the job after it; `undefined` when it did not take effect. */
  change(change: JobChange): Promise<JobRecord | undefined>;
  /** Deletes a job in one of the states `from` with points, events, checkpoints and blobs. True when it took effect. */
  delete(id: string, from: readonly string[]): Promise<boolean>;
}

// --------------------------------------------------------------------------------------- events, points, checkpoints

export interface NewEvent {
  readonly type: string;
  readonly data: Json;
}

/** `id` counts 1, 2, 3, … within the job, without gaps. */
export interface EventRecord extends NewEvent {
  readonly id: number;
  readonly at: number;
}

export interface Events {
  /** Events after the id `after` (default 0: from the first), oldest first. */
  list(
    job_id: string,
    page: { readonly after?: number | undefined; readonly limit: number },
  ): Promise<Page<EventRecord>>;
}

// ---------------------------------------------------------------------------------------------------------- webhooks

/** Who is told of a job's events. */
export interface NewWebhook {
  /** 1, 2, 3, … within the job. */
  readonly number: number;
  readonly url: string;
  /** Signs what is sent; never shown. */
  readonly secret: string;
  /** Types of the events that it is told of. */
  readonly events: readonly string[];
  readonly threshold: Json;
}

export interface WebhookRecord extends NewWebhook {
  /** When its receiver asked not to be told any more. */
  readonly disabled_at: number | null;
  /** How many events `threshold_reached` it is or was told of. */
  readonly threshold_reached: number;
}

/** One event on its way to one webhook. */
export interface Delivery {
  readonly job_id: string;
  readonly webhook: number;
  readonly event_id: number;
  readonly state: 'pending' | 'delivered' | 'failed';
  readonly attempts: number;
  /** `null` when it is settled. */
  readonly next_attempt_at: number | null;
  readonly last_attempt_at: number | null;
  /** The status that the receiver has answered the last attempt with. */
  readonly status: number | null;
  readonly error: string | null;
}

/** With all that is needed to send it. */
export interface DueDelivery
  extends Delivery,
    Pick<NewWebhook, 'url' | 'secret'>,
    Pick<EventRecord, 'type' | 'data' | 'at'>,
    Pick<JobRecord, 'external_id'> {}

export interface Webhooks {
  list(job_id: string): Promise<readonly WebhookRecord[]>;
  /** The newest first. */
  deliveries(job_id: string, webhook: number, limit: number): Promise<readonly Delivery[]>;
  /** Pending deliveries whose time has come, of each webhook only the oldest pending one; those that wait longest first. */
  due(now: number, limit: number): Promise<readonly DueDelivery[]>;
  /** When the next pending delivery is to be tried; `undefined` when there is none. */
  nextAttemptAt(): Promise<number | undefined>;
  /** Writes down an attempt. `disable`: nothing more is sent to this webhook. */
  settle(delivery: Delivery, disable?: boolean): Promise<void>;
}

/**
 * Consecutive points of a job's history: point i has the index `first + i` and the value `series[name][i]`. The index
 * is the step or the epoch; other resolutions, such as coarser levels of the steps, are named by who writes them.
 * Bits are kept, NaN payloads included.
 */
export interface PointChunk {
  readonly resolution: string;
  readonly first: number;
  readonly count: number;
  /** Columns of `count` values each, or of one where all are the same; the names may differ from chunk to chunk. */
  readonly series: Readonly<Record<string, Float32Array | Float64Array>>;
}

export interface Points {
  /** The chunks with points in `from … to` (inclusive), ascending, not cut at the ends, read a few at a time. */
  chunks(
    job_id: string,
    resolution: string,
    range?: { readonly from?: number | undefined; readonly to?: number | undefined },
  ): AsyncIterable<PointChunk>;
  /** How many points there are, and the first and last index; `undefined` when there is none. */
  extent(job_id: string, resolution: string): Promise<{ count: number; first: number; last: number } | undefined>;
}

export interface CheckpointRecord {
  readonly job_id: string;
  readonly step: number;
  readonly epoch: number;
  /** Why it is kept, such as `last`, `best`, `final`. */
  readonly kind: string;
  /** As made by `checkpointKey`. */
  readonly blob_key: string;
  readonly sha256: string;
  /** Bytes. */
  readonly size: number;
  readonly created_at: number;
}

export interface Checkpoints {
  /** The checkpoints of a job, newest (highest step) first; their number is bounded by what the trainer keeps. */
  list(job_id: string): Promise<readonly CheckpointRecord[]>;
  /** The first of `list`. */
  newest(job_id: string): Promise<CheckpointRecord | undefined>;
  /** The one at exactly this step. */
  at(job_id: string, step: number): Promise<CheckpointRecord | undefined>;
}

// ------------------------------------------------------------------------------------------------------------- queue

export interface Lease {
  readonly job_id: string;
  readonly attempt: number;
  readonly owner: string;
  readonly expires_at: number;
}

export interface Queue {
  /**
   * Gives the oldest job of the highest priority to a worker: state `queued` → `running`, attempt + 1, a transition,
   * the events. Two claims never get the same job. `undefined` when none waits.
   * @param request.last jobs that come after all others
   */
  claim(request: {
    /** Who holds the lease: unique per process. */
    readonly owner: string;
    readonly now: number;
    readonly lease_expires_at: number;
    readonly last?: readonly string[] | undefined;
    readonly events?: readonly NewEvent[] | undefined;
  }): Promise<JobRecord | undefined>;
  /** Prolongs a lease. False when the attempt has lost it: it must stop. */
  heartbeat(lease: Pick<Lease, 'job_id' | 'attempt' | 'expires_at'>): Promise<boolean>;
  /** The leases that end before `expired_at`, or all. After a restart of the only process, all are abandoned. */
  leases(expired_at?: number): Promise<readonly Lease[]>;
  /** Jobs that still wait though their deadline has come. */
  overdue(now: number): Promise<readonly string[]>;
  depth(): Promise<{ readonly waiting: number; readonly leased: number }>;
}

// ------------------------------------------------------------------------------------------------------------- whole

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

/** Where the blobs of a job are. */
export const jobPrefix = (job_id: string): string => `jobs/${job_id}/`;

/** Where the blobs of a data set are. */
export const datasetPrefix = (dataset_id: string): string => `datasets/${dataset_id}/`;

/** Where a checkpoint is. The attempt makes the key unique: an attempt that was replaced never overwrites a good blob. */
export const checkpointKey = (job_id: string, attempt: number, step: number): string =>
  `${checkpointPrefix(job_id)}${step}-${attempt}`;

/** Where the checkpoints of a job are. */
export const checkpointPrefix = (job_id: string): string => `${jobPrefix(job_id)}checkpoints/`;

export type StoreErrorCode =
  /** Another server has this data directory open. */
  | 'data_directory_in_use'
  /** The database was written by a newer version of the service. */
  | 'schema_too_new'
  /** No room on the disk; nothing was written, the same call may succeed later. */
  | 'storage_full'
  /**
   * The storage did not answer in time or was not reachable; the same call may succeed later. Nothing was written, unless
   * the answer that got lost was that to a commit.
   */
  | 'storage_busy'
  /** Anything else that the storage reported; see `cause`. */
  | 'storage_failed';

/** A failure of the storage itself. The `code` is stable; the message is for people. */
export class StoreError extends Error {
  override readonly name = 'StoreError';
  readonly code: StoreErrorCode;

  constructor(code: StoreErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
