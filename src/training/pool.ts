/** The pool of worker threads, as the services see it. */
import type { FloatArray } from '../engine/backend.ts';
import type { CheckpointReport, PredictRequest, Progress, RunEnd, RunSettings } from './protocol.ts';
import type { CodedError, RunRequest } from './request.ts';

/**
 * What the owner of a run does with its reports. They arrive one at a time and in order: the next one waits until the promise
 * of the last is settled, and the worker waits when too many are outstanding. A handler that rejects ends the run as `undelivered`.
 */
export interface RunHandlers {
  /** A worker has begun. */
  onStart?(): void;
  onProgress(progress: Progress): void | Promise<void>;
  onCheckpoint(checkpoint: CheckpointReport): void | Promise<void>;
}

/** How a run ended, seen from the main thread. */
export type RunOutcome =
  | RunEnd
  /** The worker died; it has been replaced. `step`: the last one known to be done. */
  | {
      readonly kind: 'crashed';
      readonly error: CodedError & { readonly code: 'worker_crashed' | 'out_of_memory' };
      readonly step: number;
    }
  /** A handler rejected; everything it had accepted before stays valid and the run can go on from its last accepted checkpoint. */
  | { readonly kind: 'undelivered'; readonly error: unknown };

/** One run in the pool. Every call is idempotent and safe after the end; the outcome says what came of it. */
export interface RunHandle {
  pause(): void;
  stop(): void;
  cancel(): void;
  /** Takes effect at the next step, and is reported as a note with that step. */
  changeLearningRate(learningRate: number): void;
  /** Steps done, read from shared memory. */
  readonly step: number;
  /** Never rejects. Settles after the last handler has. */
  readonly finished: Promise<RunOutcome>;
}

export interface PoolOptions {
  /** Number of training threads. */
  readonly workers: number;
  /** A worker that does not answer a pause, cancel or release within this time is terminated: its run ends as crashed, or as cancelled. */
  readonly escalation_ms?: number;
  /** Heap limit of one worker; beyond it the worker dies with `out_of_memory`. */
  readonly max_heap_mb?: number;
  readonly settings?: Partial<RunSettings>;
  /** The worker's module; another one in tests. */
  readonly entry?: URL;
}

export interface TrainingPool {
  readonly workers: number;
  /** Training threads without a run; a run beyond them waits in line inside the pool. */
  readonly idle: number;
  run(request: RunRequest, handlers: RunHandlers, checkpoint?: Uint8Array | null): RunHandle;
  /** rows × output_size in inference mode. Small requests are computed at once, larger ones on a thread reserved for them. */
  predict(request: PredictRequest): Promise<FloatArray>;
  /** Saves every run at its next step (each ends as `released`) and ends the threads; resolves within 10 s. */
  close(): Promise<void>;
}
