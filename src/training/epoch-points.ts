/** What was measured at the ends of consecutive epochs, column by column: a tiny network ends a million epochs a second. */
import { joinFloats } from './columns.ts';
import type { EpochPoint, EpochPoints } from './request.ts';

/** Room for the points of one block. */
export class EpochColumns {
  readonly #first: number;
  readonly #steps: Float64Array<ArrayBuffer>;
  readonly #losses: Float64Array<ArrayBuffer>;
  readonly #rates: Float64Array<ArrayBuffer>;
  readonly #measured = new Map<string, Float64Array<ArrayBuffer>>();
  #length = 0;

  /**
   * @param firstEpoch 1-based
   * @param capacity epochs that will be added
   */
  constructor(firstEpoch: number, capacity: number) {
    this.#first = firstEpoch;
    this.#steps = new Float64Array(capacity);
    this.#losses = new Float64Array(capacity);
    this.#rates = new Float64Array(capacity);
  }

  add(step: number, loss: number, rate: number, measured: Readonly<Record<string, number>> | null): void {
    this.#steps[this.#length] = step;
    this.#losses[this.#length] = loss;
    this.#rates[this.#length] = rate;
    for (const name in measured) this.#column(name)[this.#length] = measured[name];
    this.#length += 1;
  }

  #column(name: string): Float64Array {
    const known = this.#measured.get(name);
    if (known !== undefined) return known;
    const column = new Float64Array(this.#steps.length);
    this.#measured.set(name, column);
    return column;
  }

  points(): EpochPoints {
    const series = { loss: this.#losses, learning_rate: this.#rates, ...Object.fromEntries(this.#measured) };
    return { first_epoch: this.#first, steps: this.#steps, series };
  }
}

const joined = (arrays: readonly Float64Array[]) => joinFloats(arrays) as Float64Array<ArrayBuffer>;

/** Consecutive points, laid end to end in fresh arrays. */
export function joinEpochs(parts: readonly EpochPoints[]): EpochPoints {
  const names = new Set(parts.flatMap(({ series }) => Object.keys(series)));
  return {
    first_epoch: parts[0]?.first_epoch ?? 1,
    steps: joined(parts.map(({ steps }) => steps)),
    series: Object.fromEntries(
      [...names].map((name) => [name, joined(parts.map(({ series }) => series[name] ?? new Float64Array(0)))]),
    ),
  };
}

/** The same points one by one. */
export function epochPoints({ first_epoch, steps, series }: EpochPoints): EpochPoint[] {
  return Array.from(steps, (step, i) => ({
    epoch: first_epoch + i,
    step,
    values: Object.fromEntries(
      Object.entries(series).flatMap(([name, values]) => (i < values.length ? [[name, values[i]]] : [])),
    ),
  }));
}
