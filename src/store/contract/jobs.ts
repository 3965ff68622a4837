/** Jobs: their records, how they come about and change. */
import type { Created, IdempotencyClaim } from './creation.ts';
import type { CheckpointRecord, NewEvent, PointChunk } from './history.ts';
import type { Json, Metadata, MetadataFilter, Page, PageRequest } from './values.ts';
import type { NewWebhook } from './webhooks.ts';

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
