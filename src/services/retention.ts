/** Which checkpoints of a job are kept: enough to survive a damaged file and to look back, and never too many. */
import type { CheckpointRecord } from '../store/store.ts';

/** How many checkpoints at the ends of epochs are kept besides the newest two. */
export const keptEpochCheckpoints = 64;

/**
 * The steps that are no longer needed once `newest` is stored. The newest two stay. Of those that the client asked for
 * every n epochs, all stay while there are few; then those at multiples of 2n, 4n, … epochs, so that they stay evenly spread.
 */
export function droppedSteps(
  stored: readonly Pick<CheckpointRecord, 'step' | 'epoch' | 'kind'>[],
  newest: Pick<CheckpointRecord, 'step'>,
  every_epochs: number | undefined,
): number[] {
  const older = stored.filter(({ step }) => step < newest.step).sort((a, b) => b.step - a.step);
  const candidates = older.slice(1);
  const asked = candidates.filter(({ kind }) => kind === 'epoch' && every_epochs !== undefined);
  let spacing = every_epochs ?? 1;
  const fits = () => asked.filter(({ epoch }) => epoch % spacing === 0).length <= keptEpochCheckpoints;
  while (!fits()) spacing *= 2;
  return candidates.filter((one) => !asked.includes(one) || one.epoch % spacing !== 0).map(({ step }) => step);
}
