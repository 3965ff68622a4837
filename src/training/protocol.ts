/** Everything that passes between the pool and its worker threads: the shared control array and the messages. */
import type { FloatArray } from '../engine/backend.ts';
import type { NetworkDefinition } from '../engine/definition.ts';
import type {
  Best,
  CodedError,
  Cursor,
  DivergedError,
  EpochPoint,
  RunNote,
  RunRequest,
  RunResult,
  StepPoints,
  SuccessReason,
} from './request.ts';

/**
 * Cells of the Int32Array that a run shares with the pool; each run has its own, so nothing stale can reach the next.
 * The back end ends its block after the step under way as soon as `request` is not 0, so it has to be cell 0.
 */
export const control = {
  /** What the pool wants: a value of `requests`. Written by the pool. */
  request: 0,
  /** Messages that the handlers have dealt with. Written and notified by the pool. */
  acknowledged: 1,
  /** Steps done, low and high half: readable while the worker is deep in its loop. Written by the worker. */
  steps_low: 2,
  steps_high: 3,
  /** 1 once the run's data and back end are ready. Written by the worker. */
  ready: 4,
} as const;

export const controlCells = 8;

/** In order of precedence: a request is only ever replaced by a higher one. */
export const requests = {
  none: 0,
  /** Read the messages on the port, then go on. */
  read_messages: 1,
  pause: 2,
  stop: 3,
  /** Save and let go: the service is shutting down. */
  release: 4,
  cancel: 5,
} as const;

export type RequestName = keyof typeof requests;

/** Unacknowledged messages a worker may have under way before it waits; bounds the memory of a slow reader. */
export const unacknowledgedLimit = 8;

/** Why a checkpoint was taken. */
export type CheckpointReason = 'periodic' | 'epoch' | 'pause' | 'release' | 'end';

/**
 * What happened since the last message. Step points are complete and in order, so that whoever keeps them all has the whole history.
 */
export interface Progress {
  readonly cursor: Cursor;
  readonly samples_per_second: number;
  readonly steps: StepPoints;
  readonly epochs: readonly EpochPoint[];
  readonly notes: readonly RunNote[];
  readonly best: Best | null;
}

/** A checkpoint; every point up to its step, and none after it, has been reported before it. */
export interface CheckpointReport {
  readonly reason: CheckpointReason;
  readonly step: number;
  readonly epoch: number;
  /** The file as encoded by checkpoint.ts: with magic, version and SHA-256. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly best: Best | null;
}

/** How a worker's run ended. Before any of these but `error` the last checkpoint has been reported. */
export type RunEnd =
  | {
      readonly kind: 'succeeded';
      readonly stop_reason: SuccessReason;
      readonly cursor: Cursor;
      readonly result: RunResult;
    }
  | {
      readonly kind: 'failed';
      readonly stop_reason: 'diverged';
      readonly cursor: Cursor;
      readonly error: DivergedError;
      /** The last good parameters. */
      readonly result: RunResult;
    }
  | { readonly kind: 'paused'; readonly cursor: Cursor }
  | { readonly kind: 'released'; readonly cursor: Cursor }
  /** No checkpoint is taken for a cancelled run. */
  | { readonly kind: 'cancelled'; readonly cursor: Cursor }
  /** The run threw: a refused request or a bug; trying again would throw again. */
  | { readonly kind: 'error'; readonly error: CodedError };

/** Outputs for rows, computed from a checkpoint or from flat parameters. */
export interface PredictRequest {
  readonly network: NetworkDefinition;
  readonly parameters: FloatArray;
  readonly statistics: FloatArray;
  readonly inputs: FloatArray;
  readonly rows: number;
}

export type ToWorker =
  | {
      readonly type: 'run';
      readonly request: RunRequest;
      /** Bytes of the checkpoint to go on from. */
      readonly checkpoint: Uint8Array | null;
      readonly control: Int32Array;
      readonly settings: RunSettings;
    }
  | { readonly type: 'change_learning_rate'; readonly learning_rate: number }
  | { readonly type: 'predict'; readonly id: number; readonly request: PredictRequest };

export type FromWorker =
  | { readonly type: 'online' }
  | { readonly type: 'progress'; readonly progress: Progress }
  | { readonly type: 'checkpoint'; readonly checkpoint: CheckpointReport }
  | { readonly type: 'ended'; readonly end: RunEnd }
  | { readonly type: 'predicted'; readonly id: number; readonly outputs: FloatArray }
  | { readonly type: 'refused'; readonly id: number; readonly error: CodedError };

/** How often a worker reports; none of it reaches the numbers. */
export interface RunSettings {
  readonly progress_interval_ms: number;
  readonly checkpoint_interval_ms: number;
  /** A checkpoint is also taken when this many step points have been reported since the last one. */
  readonly checkpoint_after_points: number;
}

export const defaultRunSettings: RunSettings = {
  progress_interval_ms: 100,
  checkpoint_interval_ms: 3_000,
  checkpoint_after_points: 1 << 20,
};
