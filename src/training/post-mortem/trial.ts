/** Trying a changed job from a given start for a number of steps: what a fork of it would do first, to the last bit. */
import type { RunRequest } from '../request.ts';
import { type CreateBackend, Run } from '../run.ts';
import { judgementOf } from './judgement.ts';

/** What came of it. */
export interface Trial {
  readonly steps: number;
  readonly finite: boolean;
  /** Over a sample of the training rows before the first step, in the unit of the client's targets. */
  readonly loss_at_start: number;
  /** The same after the last step, or after the last good one. */
  readonly loss: number;
  /** The step that left the finite numbers. */
  readonly diverged_at: number | null;
}

/**
 * Trains at most so many steps. What could end a run early is left out; it changes none of its numbers.
 * @throws {RangeError} when the request cannot be trained
 */
export function tryOut(request: RunRequest, steps: number, create?: CreateBackend): Trial {
  const endless = { ...request, early_stopping: undefined, target: undefined, limits: undefined };
  const run = new Run(endless, null, create);
  const judgement = judgementOf(request, run.prepared, run.plan);
  const loss = () => judgement.loss(run.checkpoint().state);
  const loss_at_start = loss();
  while (run.end === null && run.cursor.step < steps) run.advance(steps - run.cursor.step);
  const error = run.end?.stop_reason === 'diverged' ? run.end.error : null;
  return {
    steps: run.cursor.step,
    finite: error === null,
    loss_at_start,
    loss: loss(),
    diverged_at: error?.step ?? null,
  };
}

/** A loss that much lower than without the change, after as many steps, is better and no accident. */
const clearlyBetter = 0.9;

/** What a trial has to reach. */
export interface Bar {
  /** Of the unchanged job, before the first step. */
  readonly loss_at_start: number;
  /** Of the unchanged job after as many steps; null when it has failed. */
  readonly loss: number | null;
}

export function hasSucceeded({ finite, loss }: Trial, bar: Bar): boolean {
  if (!finite || !Number.isFinite(loss)) return false;
  return !(loss > bar.loss_at_start) && (bar.loss === null || loss < clearlyBetter * bar.loss);
}
