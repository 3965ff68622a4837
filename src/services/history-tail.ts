/** The points of a running attempt that no checkpoint has secured yet: visible to readers, and lost with the attempt. */
import type { PointChunk } from '../store/store.ts';
import { joinEpochs, joinFloats } from '../training/epoch-points.ts';
import type { Frame } from '../training/layer-statistics.ts';
import type { Progress } from '../training/protocol.ts';
import type { EpochPoints, StepPoints } from '../training/request.ts';

/** The resolutions of a history; the index of a point is the number of its epoch or step, from 1. */
export const resolutions = ['epoch', 'step'] as const;
export type Resolution = (typeof resolutions)[number];

export class HistoryTail {
  readonly frames: Frame[] = [];
  #steps: StepPoints[] = [];
  #epochs: EpochPoints[] = [];

  add({ steps, epochs, frames }: Pick<Progress, 'steps' | 'epochs' | 'frames'>): void {
    if (steps.losses.length > 0) this.#steps.push(steps);
    if (epochs.steps.length > 0) this.#epochs.push(epochs);
    this.frames.push(...frames);
  }

  /** The points of the loss as they are stored. */
  chunks(): PointChunk[] {
    return [...stepChunk(this.#steps), ...epochChunks(joinEpochs(this.#epochs))];
  }

  /** Forgets what has been stored. */
  clear(): void {
    this.#steps = [];
    this.#epochs = [];
    this.frames.length = 0;
  }
}

function stepChunk(parts: readonly StepPoints[]): PointChunk[] {
  if (parts.length === 0) return [];
  const loss = joinFloats(parts.map(({ losses }) => losses));
  const learning_rate = joinFloats(
    parts.map(({ losses, learning_rates: rates }) =>
      rates.length === 1 ? new Float64Array(losses.length).fill(rates[0]) : rates,
    ),
  );
  return [{ resolution: 'step', first: parts[0].first_step, count: loss.length, series: { loss, learning_rate } }];
}

/** Series may end early; then one chunk for every stretch in which the same things were measured. */
function epochChunks({ first_epoch, steps, series }: EpochPoints): PointChunk[] {
  const all = { ...series, step: steps };
  const ends = [...new Set(Object.values(all).map(({ length }) => length))].sort((a, b) => a - b);
  return ends.flatMap((end, i) => {
    const start = ends[i - 1] ?? 0;
    if (end === start) return [];
    const reaching = Object.entries(all).filter(([, values]) => values.length >= end);
    return [
      {
        resolution: 'epoch',
        first: first_epoch + start,
        count: end - start,
        series: Object.fromEntries(reaching.map(([name, values]) => [name, values.slice(start, end)])),
      },
    ];
  });
}
