/** What the end of an attempt means for its job: the event of the table, the reason, and what the record then says. */
import type { JudgementView } from '../schemas/judgement.ts';
import type { JobProgress, JobRecord, NewEvent } from '../store/store.ts';
import type { RunOutcome } from '../training/pool.ts';
import type { Cursor } from '../training/request.ts';
import type { JobEvent } from '../training/states.ts';
import { heldReason } from './job-transitions.ts';
import { type Judged, wireJudgement } from './judgements.ts';
import { wireBest, wireDivergence } from './wire-values.ts';

export interface Settlement {
  readonly event: JobEvent;
  readonly reason: string | null;
  readonly set: Partial<JobProgress>;
  /** What is told besides the change of state. */
  readonly events?: readonly NewEvent[];
}

export type Crashed = Extract<RunOutcome, { kind: 'crashed' }>;
type Regular = Exclude<RunOutcome, { kind: 'crashed' | 'undelivered' }>;

/** A worker that dies so often at the same step is not going to get past it. */
const maxCrashes = 3;

const position = ({ epoch, epochs, step, steps }: Cursor) => ({ epoch, epochs, step, steps });

/** @param model what the job's outputs and classes are */
export function settlement(outcome: Regular, model: Omit<Judged, 'target_kind'>): Settlement {
  switch (outcome.kind) {
    case 'succeeded':
    case 'failed': {
      const { cursor, result, stop_reason } = outcome;
      const set = {
        ...position(cursor),
        stop_reason,
        parameters_sha256: result.parameters_sha256,
        best: wireBest(result.best),
        test: testOf(outcome, model),
        error: outcome.kind === 'failed' ? wireDivergence(outcome.error) : null,
      };
      return { event: outcome.kind === 'failed' ? 'fail' : 'succeed', reason: stop_reason, set };
    }
    case 'paused':
      return { event: 'rest', reason: null, set: { ...position(outcome.cursor), control: null } };
    case 'released':
      return { event: 'release', reason: 'shutdown', set: position(outcome.cursor) };
    case 'cancelled':
      return { event: 'rest', reason: 'cancelled', set: {} };
    case 'error': {
      const { stop_reason, error } = outcome;
      if (error.code === 'checkpoint_rounding') {
        const { message } = error;
        const events = [{ type: 'rounding_refused', data: { message } }];
        return { event: 'hold', reason: heldReason, set: { error }, events };
      }
      return { event: 'fail', reason: stop_reason, set: { stop_reason, error } };
    }
  }
}

/** The test report of a success, where rows were held out for it. */
function testOf(outcome: Regular, model: Omit<Judged, 'target_kind'>): JudgementView | null {
  if (outcome.kind !== 'succeeded' || outcome.test === null) return null;
  return wireJudgement(outcome.test, { ...model, target_kind: outcome.result.target_kind });
}

/**
 * After a crash the job goes on from its last checkpoint, unless the worker keeps dying at the same step. One that was
 * ended because a pause or a shutdown could not wait for it has not crashed.
 */
export function afterCrash(
  { crashes, crash_step }: Pick<JobRecord, 'crashes' | 'crash_step'>,
  { step, error, unanswered }: Crashed,
): Settlement {
  if (unanswered) return { event: 'crash', reason: 'no_answer', set: {} };
  const again = crash_step === step || error.code === 'out_of_memory';
  const count = again ? crashes + 1 : 1;
  const counted = { crashes: count, crash_step: step };
  if (count < maxCrashes) return { event: 'crash', reason: error.code, set: counted };
  return { event: 'fail', reason: error.code, set: { ...counted, stop_reason: error.code, error: { ...error, step } } };
}
