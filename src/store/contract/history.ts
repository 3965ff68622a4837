/** What a job leaves behind it: events, points, checkpoints. */
import type { Json, Page } from './values.ts';

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
