/** Which steps of a run round their multiply-adds once, and which twice: with other rounding the rest has other bits. */
import { type Checkpoint, CheckpointError } from './checkpoint.ts';
import type { RoundingSpan } from './request.ts';

/** How the steps behind a checkpoint were rounded; empty at the start, where none has been. */
function spansBehind({ cursor, fused }: Pick<Checkpoint, 'cursor' | 'fused'>): readonly RoundingSpan[] {
  if (cursor.step === 0) return [];
  return cursor.roundings ?? [{ first_step: 1, fused }];
}

/**
 * The roundings of a run that goes on from a checkpoint on a machine that rounds as `fused` says; a last one is new where
 * it rounds otherwise.
 * @param accepted whether that may be
 * @throws {CheckpointError} `checkpoint_rounding` where it may not
 */
export function goOnRounding(
  checkpoint: Pick<Checkpoint, 'cursor' | 'fused'>,
  fused: boolean,
  accepted: boolean,
): readonly RoundingSpan[] {
  const { step, stop_reason } = checkpoint.cursor;
  const behind = spansBehind(checkpoint);
  const last = behind.at(-1);
  // Without steps to come there is nothing to round.
  if (last?.fused === fused || stop_reason !== null) return behind;
  if (last !== undefined && !accepted) throw otherRounding(step, last.fused, fused);
  return [...behind, { first_step: step + 1, fused }];
}

function otherRounding(step: number, before: boolean, here: boolean): CheckpointError {
  const rounding = (fused: boolean) => (fused ? 'once (fused)' : 'twice');
  return new CheckpointError(
    'checkpoint_rounding',
    `the checkpoint of step ${step} was written by a machine that rounds a multiply-add ${rounding(before)}, this one ` +
      `rounds it ${rounding(here)}, so the run would not end with the bits that were promised. Resume it on a machine ` +
      'like the one before, or here with {"accept_other_rounding": true}. With "arithmetic": "strict" a run can go on on ' +
      'any machine',
  );
}

/** The roundings of the first `step` steps: what a run that goes on behind them is known to have. */
export function roundingsUpTo(roundings: readonly RoundingSpan[], step: number): readonly RoundingSpan[] {
  return roundings.filter(({ first_step }) => first_step <= step);
}

/** Whether a step (1-based) rounded its multiply-adds once; `undefined` where that is not known. */
export function roundingOf(roundings: readonly RoundingSpan[], step: number): boolean | undefined {
  return roundingsUpTo(roundings, step).at(-1)?.fused;
}
