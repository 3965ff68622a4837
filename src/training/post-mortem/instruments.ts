/** One step of a run under instruments: every intermediate value, by the reference back end in the run's own precision. */
import type { BackendState, FloatArray, Plan } from '../../engine/backend.ts';
import { clipFactor, clipGradients, DEFAULT_CLIP_EPSILON, globalNorm } from '../../engine/clipping.ts';
import { backwardPass } from '../../engine/reference/backward.ts';
import { simulatedRules } from '../../engine/reference/bugs.ts';
import type { Pass } from '../../engine/reference/pass.ts';
import { correctRules, type PassRules } from '../../engine/reference/rules.ts';
import type { DivergencePlace } from '../divergence.ts';
import { gather } from '../prepare.ts';
import type { RunRequest } from '../request.ts';
import type { Run } from '../run.ts';

/** What clipping did to the gradients of a step. */
export interface Clipping {
  /** What every gradient was multiplied by; null where single entries were clamped. */
  readonly factor: number | null;
  /** Share of the entries that were clamped; null where all were scaled together. */
  readonly clamped: number | null;
}

/** A step before it is carried out. */
export interface InstrumentedStep extends DivergencePlace {
  /** 1-based. */
  readonly step: number;
  /** What the step begins with. */
  readonly before: BackendState;
  readonly loss: number;
  /** Its gradients are those before clipping. */
  readonly pass: Pass;
  readonly gradient_norm: number;
  readonly clipping: Clipping | null;
}

/** The calculus that a run trains with: right, or with its simulated bug. */
export function rulesOf({ simulate_bug: bug }: RunRequest, plan: Plan, learningRate: number): PassRules {
  return bug === undefined ? correctRules : simulatedRules([bug], plan, learningRate);
}

/**
 * Looks into the next step of a run without carrying it out. The sums are taken as the reference takes them: equal to
 * the run's own in strict arithmetic, and up to the rounding of fused multiply-adds otherwise.
 */
export function instrument(run: Run, request: RunRequest): InstrumentedStep {
  const { plan, next, prepared } = run;
  const { state: before } = run.checkpoint();
  const step = run.cursor.step + 1;
  const data = gather(prepared.data, next.rows, plan);
  const rules = rulesOf(request, plan, next.learning_rate);
  const { loss, pass } = backwardPass(plan, before, data, { seed: request.seed, step }, rules);
  const gradient_norm = globalNorm(pass.gradients);
  return { ...next, step, before, loss, pass, gradient_norm, clipping: clippingOf(request, pass, gradient_norm) };
}

function clippingOf({ clip_gradients: clip }: RunRequest, { o, gradients }: Pass, norm: number): Clipping | null {
  if (clip === undefined) return null;
  if ('max_norm' in clip) {
    return { factor: clipFactor(norm, clip.max_norm, clip.epsilon ?? DEFAULT_CLIP_EPSILON), clamped: null };
  }
  const clipped = gradients.slice();
  clipGradients(o, clip, clipped);
  return { factor: null, clamped: share(gradients, (value, i) => value !== clipped[i]) };
}

function share(values: FloatArray, holds: (value: number, index: number) => boolean): number {
  let count = 0;
  for (let i = 0; i < values.length; i++) if (holds(values[i], i)) count += 1;
  return values.length === 0 ? 0 : count / values.length;
}
