/** A job under examination: everything that causes are judged by and fixes are made from. */
import type { Plan } from '../../engine/backend.ts';
import type { PatchOperation } from '../json-patch.ts';
import type { DivergedError, RunRequest } from '../request.ts';
import type { DataFacts, LayerFacts } from './facts.ts';
import type { Trial } from './trial.ts';
import type { GradientVerdict } from './wrong-gradient.ts';

/** The largest curvature of the loss at the last good state, and the rate that it allows. */
export interface Curvature {
  readonly step: number;
  readonly rows: number;
  readonly largest: number;
  /** Null for optimizers that scale their steps themselves. */
  readonly learning_rate_bound: number | null;
}

/** The loss over a sample of the training rows, without dropout, before the first step and after the last one. */
export interface LossCourse {
  readonly first: number;
  readonly last: number;
  /** Of a network whose parameters are all 0. */
  readonly naive: number;
  readonly steps: number;
}

export interface Case {
  readonly request: RunRequest;
  readonly plan: Plan;
  readonly failure: DivergedError | null;
  /** Of the step that failed, or of the last one. */
  readonly learning_rate: number;
  readonly data: DataFacts;
  /** Of the final model, or of the last good one. */
  readonly layers: readonly LayerFacts[];
  /** Largest absolute value of the parameters that the run began with. */
  readonly start_abs_max: number;
  readonly curvature: Curvature | null;
  readonly gradients: GradientVerdict | null;
  readonly course: LossCourse;
  /** Codes of the warnings of the job. */
  readonly warnings: readonly string[];
}

/** A change of the job that may mend it. */
export interface Fix {
  /** Unique among the fixes of a job. */
  readonly id: string;
  /** The entry of the table of fixes that it comes from. */
  readonly kind: string;
  readonly title: string;
  /** For the body of the job, its network written inline. */
  readonly patch: readonly PatchOperation[];
  /** Has to begin again from the first step, because the learned parameters mean nothing after the change. */
  readonly from_start: boolean;
}

export interface TriedFix extends Omit<Fix, 'from_start'> {
  readonly from_step: number;
  readonly tried: Trial;
  /** Of a failed job: finite, and no worse than at its start. Of another: clearly better than the job itself. */
  readonly succeeded: boolean;
  readonly sentence: string;
}

/** A number as a person reads it. */
export const shown = (value: number): string => String(Number(value.toPrecision(3)));
export const percent = (fraction: number): string => `${shown(100 * fraction)} %`;
