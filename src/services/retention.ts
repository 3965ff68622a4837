/** Which checkpoints of a job are kept: enough to survive a damaged file and to look back, and never too many. */
import type { CheckpointRecord } from '../store/store.ts';

/** How many checkpoints at the ends of epochs are kept besides the newest two. */
export const keptEpochCheckpoints = 64;
/** How many bytes the checkpoints in equal ratios may have together. */
export const keptRatioBytes = 256 * 2 ** 20;

export interface Wishes {
  /** The client wants to keep one at the end of every so many epochs. */
  readonly every_epochs: number | undefined;
  /** The step of the best epoch so far. */
  readonly best_step: number | undefined;
}

type Stored = Pick<CheckpointRecord, 'step' | 'epoch' | 'kind' | 'size'>;

/**
 * The steps that are no longer needed once `newest` is stored. The newest two stay, and that of the best epoch if one was
 * taken there; of the others those that the client asked for, evenly spread, and some in equal ratios of their steps.
 */
export function droppedSteps(
  stored: readonly Stored[],
  newest: Pick<Stored, 'step'>,
  { every_epochs, best_step }: Wishes,
): number[] {
  const older = stored.filter(({ step }) => step < newest.step).sort((a, b) => a.step - b.step);
  const candidates = older.slice(0, -1);
  const kept = new Set([best_step, ...inEqualRatios(candidates), ...evenlySpread(candidates, every_epochs)]);
  return candidates.flatMap(({ step }) => (kept.has(step) ? [] : step));
}

/** All that were asked for while they are few; then those at multiples of 2n, 4n, … epochs. */
function evenlySpread(candidates: readonly Stored[], every_epochs: number | undefined): number[] {
  if (every_epochs === undefined) return [];
  const asked = candidates.filter(({ kind }) => kind === 'epoch');
  let spacing = every_epochs;
  const fitting = () => asked.filter(({ epoch }) => epoch % spacing === 0);
  while (fitting().length > keptEpochCheckpoints) spacing *= 2;
  return fitting().map(({ step }) => step);
}

/**
 * The first of each doubling of the steps; when they are too large together, of each fourfold, sixteenfold, …, so that
 * what a wider ratio keeps is what the narrower one had kept.
 * @param candidates by step, ascending
 */
function inEqualRatios(candidates: readonly Stored[]): number[] {
  for (let doublings = 1; ; doublings *= 2) {
    const stretch = ({ step }: Stored) => Math.floor(Math.log2(step) / doublings);
    const firsts = candidates.filter((one, index) => index === 0 || stretch(one) > stretch(candidates[index - 1]));
    const bytes = firsts.reduce((sum, { size }) => sum + size, 0);
    if (bytes <= keptRatioBytes) return firsts.map(({ step }) => step);
    if (firsts.length <= 1) return [];
  }
}
