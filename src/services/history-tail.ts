/** The points of a running attempt that no checkpoint has secured yet: visible to readers, and lost with the attempt. */
import type { PointChunk } from '../store/store.ts';
import { shortened } from '../training/columns.ts';
import type { Frame } from '../training/layer-statistics.ts';
import type { Progress } from '../training/protocol.ts';
import type { EpochPoints, StepPoints } from '../training/request.ts';

/** The resolutions of a history; the index of a point is the number of its epoch or step, from 1. */
export const resolutions = ['epoch', 'step'] as const;
export type Resolution = (typeof resolutions)[number];

export class HistoryTail {
  readonly frames: Frame[] = [];
  #chunks: PointChunk[] = [];
  /** In which the points lie. */
  readonly #memories = new Set<ArrayBuffer>();
  #readers = 0;

  add({ steps, epochs, frames }: Pick<Progress, 'steps' | 'epochs' | 'frames'>): void {
    this.#chunks.push(...stepChunk(steps), ...epochChunks(epochs));
    this.frames.push(...frames);
    const columns = [steps.losses, steps.learning_rates, epochs.steps, ...Object.values(epochs.series)];
    for (const { buffer } of columns) this.#memories.add(buffer as ArrayBuffer);
  }

  /** The points of the loss, a chunk or two per report; to be read at once. */
  chunks(): readonly PointChunk[] {
    return this.#chunks;
  }

  /** For a reader that takes its time: the points stay as they are until it is done. */
  async read<Result>(reader: (chunks: readonly PointChunk[]) => Promise<Result>): Promise<Result> {
    this.#readers += 1;
    try {
      return await reader(this.#chunks);
    } finally {
      this.#readers -= 1;
    }
  }

  /**
   * Forgets what has been stored.
   * @returns memories that nobody reads any more
   */
  clear(): ArrayBuffer[] {
    this.#chunks = [];
    this.frames.length = 0;
    const memories = this.#readers > 0 ? [] : [...this.#memories];
    this.#memories.clear();
    return memories;
  }
}

function stepChunk({ first_step, losses: loss, learning_rates: learning_rate }: StepPoints): PointChunk[] {
  if (loss.length === 0) return [];
  return [{ resolution: 'step', first: first_step, count: loss.length, series: { loss, learning_rate } }];
}

/** Series may end early; then one chunk for every stretch in which the same things were measured. */
function epochChunks({ first_epoch, steps, series }: EpochPoints): PointChunk[] {
  const all = Object.entries({ ...series, step: steps });
  const ends = [...new Set(all.map(([, { length }]) => length))].sort((a, b) => a - b);
  return ends.flatMap((end, i) => {
    const start = ends[i - 1] ?? 0;
    if (end === start) return [];
    const reaching = all.filter(([, values]) => values.length >= end);
    return [
      {
        resolution: 'epoch',
        first: first_epoch + start,
        count: end - start,
        series: Object.fromEntries(reaching.map(([name, values]) => [name, shortened(values.subarray(start, end))])),
      },
    ];
  });
}
