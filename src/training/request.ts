/** What a training run is given and what it hands back: plain data that crosses threads by structured clone. */
import type { Backend, Data, FloatArray, Quantity } from '../engine/backend.ts';
import type { ArithmeticMode, ClipGradients, NetworkDefinition } from '../engine/definition.ts';
import type { OptimizerSpec } from '../engine/optimizers.ts';
import type { InitialParameters } from '../engine/plan.ts';
import type { ScheduleSpec } from '../engine/schedules.ts';
import type { Column } from './columns.ts';
import type { Judgement } from './evaluation.ts';
import type { Frame } from './layer-statistics.ts';
import type { MetricSpec } from './metrics.ts';
import type { Preprocessing, ScalingName } from './preprocessing.ts';
import type { ClassWeights } from './row-weights.ts';
import type { SplitPart } from './split.ts';
import type { TargetKind } from './target-kind.ts';

export interface EarlyStopping {
  /** `loss`, `validation_loss` or the name of a metric. */
  readonly monitor: string;
  /** Epochs without an improvement before training ends. */
  readonly patience: number;
  /** A change must exceed this to count as an improvement. */
  readonly min_delta: number;
  /** Absent: the direction that is better for the monitored value. */
  readonly mode?: 'min' | 'max' | undefined;
  /** The result is the model of the best epoch instead of the last. */
  readonly restore_best: boolean;
}

/** Training ends as a success once the monitored value is at least this good. */
export interface Target {
  readonly monitor: string;
  readonly value: number;
  readonly mode?: 'min' | 'max' | undefined;
}

/** Parameters and statistics in the order of the plan. */
export type FlatParameters = InitialParameters;

/** Rows of the data held out (a share drawn from the seed, or by their numbers), or a data set of its own. */
export type Validation = SplitPart | { readonly data: Data };

/** What is scaled before it reaches the network, fitted on the training rows; the fit is part of the model. */
export interface ScalingRequest {
  readonly inputs?: ScalingName | undefined;
  readonly targets?: ScalingName | undefined;
}

/**
 * A validated job. Typed arrays should lie on a SharedArrayBuffer: they are then read by the worker without a copy.
 * The same request gives the same bytes, whatever the worker, the machine's speed, pauses and restarts.
 */
export interface RunRequest {
  readonly network: NetworkDefinition;
  readonly data: Data;
  readonly validation?: Validation | undefined;
  /** Rows that neither train nor validate; the model is measured on them once, at the end. */
  readonly test?: SplitPart | undefined;
  /** Multiplied with `data.weights`, which are those of the rows themselves. */
  readonly class_weights?: ClassWeights | undefined;
  /** The names of the classes in the order of their labels; absent: their numbers. */
  readonly class_names?: readonly string[] | undefined;
  readonly epochs: number;
  readonly batch_size: number;
  readonly shuffle: boolean;
  readonly seed: number;
  readonly optimizer: OptimizerSpec;
  readonly learning_rate_schedule: readonly ScheduleSpec[];
  readonly clip_gradients?: ClipGradients | undefined;
  readonly early_stopping?: EarlyStopping | undefined;
  readonly target?: Target | undefined;
  /** Measured at the end of each epoch on the validation rows, or on the training rows when there are none. */
  readonly metrics: readonly MetricSpec[];
  readonly scaling?: ScalingRequest | undefined;
  /** Absent: drawn by the layers' initializers from the seed. */
  readonly initial_parameters?: FlatParameters | undefined;
  readonly checkpoint?: { readonly every_epochs?: number | undefined } | undefined;
  readonly limits?: { readonly max_runtime_seconds?: number | undefined } | undefined;
  readonly arithmetic: ArithmeticMode;
  readonly simulate_bug?: string | undefined;
  /**
   * Changes of the learning rate that were asked for while the run was under way, as its notes have reported them, in
   * order of their steps. A run that goes on from a checkpoint needs those that came after it.
   */
  readonly learning_rate_changes?: readonly LearningRateChange[] | undefined;
  /** Goes on from a checkpoint whose steps rounded otherwise than this machine; the rest then has other bits. */
  readonly accept_other_rounding?: boolean | undefined;
  /** Looks at the layers at sampled steps. Nothing of the numbers depends on it. */
  readonly statistics?: boolean | undefined;
}

/** From this step (1-based) on, multiply-adds are rounded once (`fused`) or twice. */
export interface RoundingSpan {
  readonly first_step: number;
  readonly fused: boolean;
}

/** From this step (1-based) on, the schedules start from this rate instead of the optimizer's. */
export interface LearningRateChange {
  readonly first_step: number;
  readonly learning_rate: number;
}

/** Losses of consecutive steps, each measured before its update. */
export interface StepPoints {
  /** 1-based number of the first step. */
  readonly first_step: number;
  /** One per step, in the precision of the network. */
  readonly losses: FloatArray;
  /** One rate per step, or a single one where it was the same for all of them. */
  readonly learning_rates: Column;
}

/** What was measured at the end of one epoch. */
export interface EpochPoint {
  /** 1-based. */
  readonly epoch: number;
  /** Number of the epoch's last step. */
  readonly step: number;
  /** `loss` (mean over the epoch's samples of the batch losses), `learning_rate` (of the last step), `validation_loss`, metrics. */
  readonly values: Readonly<Record<string, number>>;
}

/** The points of consecutive epochs, column by column. */
export interface EpochPoints {
  /** 1-based. */
  readonly first_epoch: number;
  /** Number of the last step of each. */
  readonly steps: Float64Array<ArrayBuffer>;
  /**
   * One value per epoch by name, as in {@link EpochPoint}. Of an epoch that diverged only `loss` and `learning_rate` are
   * known, so that the other series end before it.
   */
  readonly series: Readonly<Record<string, Float64Array<ArrayBuffer>>>;
}

/** RFC 6902, for the body of the job with its network written inline. */
export type WarningPatch = readonly {
  readonly op: 'add' | 'remove' | 'replace';
  readonly path: string;
  readonly value?: unknown;
}[];

/** Something that looks wrong while a run trains. */
export interface RunWarning {
  readonly code: string;
  /** `info`: worth knowing, and nothing is wrong. */
  readonly level: 'info' | 'warning';
  /** 0: before the first step. */
  readonly step: number;
  /** 1-based; absent where it concerns the whole run. */
  readonly layer?: number;
  readonly detail: string;
  /** The numbers that show it. */
  readonly evidence: Readonly<Record<string, number>>;
  readonly advice: string;
  readonly patch?: WarningPatch;
}

/** Something worth a line in the job's log; the caller adds number and time. */
export type RunNote =
  | ({ readonly type: 'warning' } & RunWarning)
  | { readonly type: 'backend_chosen'; readonly name: Backend['name']; readonly reason: string }
  /** So many threads carried out a step together, for the first time in this attempt; `step` is the newest one. */
  | { readonly type: 'threads_used'; readonly step: number; readonly threads: number }
  /** `roundings`: of the whole run, this change included. */
  | {
      readonly type: 'rounding_changed';
      readonly step: number;
      readonly fused: boolean;
      readonly roundings: readonly RoundingSpan[];
    }
  | { readonly type: 'learning_rate_changed'; readonly step: number; readonly learning_rate: number }
  | { readonly type: 'learning_rate_reduced'; readonly step: number; readonly epoch: number; readonly factor: number }
  | { readonly type: 'diverged'; readonly step: number; readonly epoch: number; readonly message: string };

/** How far a run is. */
export interface Cursor {
  /** Epochs that are complete. */
  readonly epoch: number;
  readonly epochs: number;
  /** Steps that are done. */
  readonly step: number;
  readonly steps: number;
  /** Seconds spent training, over all attempts. */
  readonly runtime_seconds: number;
}

/** The best value of the monitored series so far. */
export interface Best {
  readonly monitor: string;
  readonly value: number;
  readonly epoch: number;
  readonly step: number;
}

/** Why the numbers left the finite range: the job's `error`. */
export interface DivergedError {
  readonly code: 'diverged';
  readonly message: string;
  readonly step: number;
  /** 1-based, as the step. */
  readonly epoch: number;
  /** 1-based number of the batch in its epoch. */
  readonly batch: number;
  readonly quantity: Quantity;
  readonly layer?: number;
  readonly tensor?: string;
  readonly index?: readonly number[];
  readonly value: number;
  /** Rows of the data set that made up the batch. */
  readonly rows: readonly number[];
  readonly likely_cause: string;
}

/** An error on its way between threads. */
export interface CodedError {
  readonly code: string;
  readonly message: string;
}

/** A trained model: all that a prediction needs besides the network's definition. */
export interface TrainedModel extends FlatParameters {
  readonly preprocessing: Preprocessing;
  /** What its outputs mean; decides how metrics read them. */
  readonly target_kind: TargetKind;
}

/** The model a run ends with. */
export interface RunResult extends TrainedModel {
  /** SHA-256 of the little-endian bytes of the parameters, then of the statistics if there are any. */
  readonly parameters_sha256: string;
  /** The step whose parameters these are: the best one with `restore_best`, the last good one after a divergence. */
  readonly step: number;
  readonly epoch: number;
  readonly best: Best | null;
}

/** All of it but the numbers. */
export type RunSummary = Omit<RunResult, keyof FlatParameters>;

/** What the model that a run ends with is worth on the rows that it has never seen. */
export interface TestReport extends Judgement {
  readonly rows: number;
}

/** Why a run ended by itself. */
export type NaturalEnd =
  | { readonly stop_reason: 'completed' | 'early_stopping' | 'target_reached' }
  | { readonly stop_reason: 'diverged'; readonly error: DivergedError };

/** What one block of steps has brought. */
export interface Advance {
  /** Also holds the loss of the step that diverged, where it was reached. */
  readonly steps: StepPoints;
  readonly epochs: EpochPoints;
  /** The layers at the sampled steps. */
  readonly frames: readonly Frame[];
  readonly notes: readonly RunNote[];
}
