/** Everything that passes between the pool and its worker threads: the shared control array and the messages. */
import type { Data, FloatArray } from '../engine/backend.ts';
import type { NetworkDefinition } from '../engine/definition.ts';
import type { WasmOptions } from '../engine/wasm/backend.ts';
import type { CompiledCode } from '../engine/wasm/modules.ts';
import type { TeamCells } from '../engine/wasm/team-cells.ts';
import type { FilePiece } from './checkpoint.ts';
import type { Judgement } from './evaluation.ts';
import type { Frame } from './layer-statistics.ts';
import type { MetricSpec } from './metrics.ts';
import type { Parcel } from './parcel.ts';
import type {
  Best,
  CodedError,
  Cursor,
  DivergedError,
  EpochPoints,
  RunNote,
  RunRequest,
  RunSummary,
  StepPoints,
  TestReport,
  TrainedModel,
} from './request.ts';
import type { SuccessReason } from './states.ts';

/**
 * Cells of the Int32Array that a run shares with the pool; each run has its own, so nothing stale can reach the next.
 * The back end ends its block after the step under way as soon as `request` is not 0, so it has to be cell 0.
 */
export const control = {
  /** What the pool wants: a value of `requests`. Written by the pool. */
  request: 0,
  /** Messages that the handlers have dealt with. Written and notified by the pool. */
  acknowledged: 1,
} as const;

/** Steps done, or −1 before the first look at the control array, as a 64-bit cell behind the others. Written by the worker. */
const stepsCell = 1;
const controlBytes = 16;

/** The control array of one run, on shared memory. */
export function createControl(): Int32Array<SharedArrayBuffer> {
  const cells = new Int32Array(new SharedArrayBuffer(controlBytes));
  reportSteps(cells, -1);
  return cells;
}

export function reportSteps(cells: Int32Array, steps: number): void {
  Atomics.store(new BigInt64Array(cells.buffer), stepsCell, BigInt(steps));
}

export function reportedSteps(cells: Int32Array): number {
  return Math.max(0, Number(Atomics.load(new BigInt64Array(cells.buffer), stepsCell)));
}

/** Whether the worker has prepared its data and begun to look at requests. */
export function hasBegun(cells: Int32Array): boolean {
  return Atomics.load(new BigInt64Array(cells.buffer), stepsCell) >= 0n;
}

/** Raises the request to `wanted` unless a higher one is already there. */
export function raiseRequest(cells: Int32Array, wanted: RequestName): void {
  let present = Atomics.load(cells, control.request);
  while (present < requests[wanted]) {
    const found = Atomics.compareExchange(cells, control.request, present, requests[wanted]);
    if (found === present) return;
    present = found;
  }
}

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
export const unacknowledgedLimit = 4;

/** Why a checkpoint was taken. */
export type CheckpointReason = 'periodic' | 'epoch' | 'pause' | 'release' | 'end';

/**
 * What happened since the last message. Step points are complete and in order, so that whoever keeps them all has the whole history.
 */
export interface Progress {
  readonly cursor: Cursor;
  readonly samples_per_second: number;
  readonly steps: StepPoints;
  readonly epochs: EpochPoints;
  readonly frames: readonly Frame[];
  readonly notes: readonly RunNote[];
  readonly best: Best | null;
}

/** A checkpoint; every point up to its step, and none after it, has been reported before it. */
export interface CheckpointReport {
  readonly reason: CheckpointReason;
  readonly step: number;
  readonly epoch: number;
  readonly best: Best | null;
}

/** How a worker's run ended. Before any of these but `error` the last checkpoint, which holds the model, has been reported. */
export type RunEnd =
  | {
      readonly kind: 'succeeded';
      readonly stop_reason: SuccessReason;
      readonly cursor: Cursor;
      readonly result: RunSummary;
      /** Null without test rows. */
      readonly test: TestReport | null;
    }
  | {
      readonly kind: 'failed';
      readonly stop_reason: 'diverged';
      readonly cursor: Cursor;
      readonly error: DivergedError;
      /** Of the last good parameters. */
      readonly result: RunSummary;
    }
  | { readonly kind: 'paused'; readonly cursor: Cursor }
  | { readonly kind: 'released'; readonly cursor: Cursor }
  /** No checkpoint is taken for a cancelled run. */
  | { readonly kind: 'cancelled' }
  /** The run threw: a request that should have been refused, or a fault of ours. Trying again would throw again. */
  | { readonly kind: 'error'; readonly stop_reason: 'worker_crashed' | 'out_of_memory'; readonly error: CodedError };

/** A model and the definition that it is a model of. */
export interface InferenceModel {
  readonly network: NetworkDefinition;
  readonly model: TrainedModel;
}

/** Rows in the client's units; the model scales them as it was trained. */
export interface PredictQuestion {
  readonly inputs: FloatArray;
  readonly rows: number;
}

export interface EvaluateQuestion {
  readonly data: Data;
  readonly metrics: readonly MetricSpec[];
}

export type PredictRequest = InferenceModel & PredictQuestion;
export type EvaluateRequest = InferenceModel & EvaluateQuestion;

/** What a thread can be asked about a model, besides training: the name, the question and the answer. */
export interface Questions {
  predict: { readonly asked: PredictQuestion; readonly answer: FloatArray };
  evaluate: { readonly asked: EvaluateQuestion; readonly answer: Judgement };
}

export type Question = {
  [Q in keyof Questions]: { readonly name: Q; readonly asked: Questions[Q]['asked'] };
}[keyof Questions];

export type Answer = Questions[keyof Questions]['answer'];

export type ToWorker =
  /** The first: how to compile networks. */
  | { readonly type: 'compiler'; readonly compiler: WasmOptions }
  | {
      readonly type: 'run';
      readonly request: RunRequest;
      /** Those in which its rows lie, as far as compiled code can read them there. */
      readonly memories: readonly WebAssembly.Memory[];
      /** Bytes of the checkpoint to go on from. */
      readonly checkpoint: Uint8Array | null;
      readonly control: Int32Array;
      readonly settings: RunSettings;
      /** How many other threads may help with a step. */
      readonly helpers: number;
    }
  /** Help another thread with its steps until the run ends or wants no more; then answer `helped`. */
  | { readonly type: 'help'; readonly work: Parcel; readonly member: number }
  | { readonly type: 'change_learning_rate'; readonly learning_rate: number }
  /** Memories of reports that nobody reads any more. */
  | { readonly type: 'reuse'; readonly memories: readonly ArrayBuffer[] }
  /** A model travels once, and is named by its number in the questions about it until it is to be forgotten. */
  | { readonly type: 'learn_model'; readonly model: number; readonly learned: InferenceModel }
  | { readonly type: 'forget_model'; readonly model: number }
  | { readonly type: 'question'; readonly id: number; readonly model: number; readonly question: Question };

export type FromWorker =
  | { readonly type: 'online' }
  | { readonly type: 'progress'; readonly progress: Progress }
  /** With the first piece of its file. */
  | ({ readonly type: 'checkpoint'; readonly checkpoint: CheckpointReport } & FilePiece)
  /** More of the file of the checkpoint that was reported last. */
  | ({ readonly type: 'checkpoint_piece' } & FilePiece)
  | { readonly type: 'ended'; readonly end: RunEnd }
  /** The steps of the run are large enough for other threads to help; `work`: one for each place in its team. */
  | { readonly type: 'help_wanted'; readonly cells: TeamCells; readonly work: readonly Parcel[] }
  /** `work`: for the next one at this place; null: this thread could not do its part. */
  | { readonly type: 'helped'; readonly work: Parcel | null }
  | { readonly type: 'answer'; readonly id: number; readonly answer: Answer }
  /** After the first answer about a model: its code, for whoever wants to answer without the thread. */
  | { readonly type: 'compiled'; readonly model: number; readonly code: CompiledCode }
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

/** `workerData` of a thread. */
export interface WorkerOptions {
  /** Added to the thread's nice value where the system has one per thread; 0 leaves it alone. */
  readonly niceness: number;
}

/** Of a thread that compiles without being told with each task what V8 was found to do with compiled networks. */
export interface CompilingWorkerOptions extends WorkerOptions {
  readonly compiler: WasmOptions;
}
