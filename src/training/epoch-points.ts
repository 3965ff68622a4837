/** What was measured at the ends of consecutive epochs, column by column: a tiny network ends a million epochs a second. */
import type { FloatArray } from '../engine/backend.ts';
import { type Column, takeJoined } from './columns.ts';
import type { EpochPoint, EpochPoints } from './request.ts';
import { Slab, Spares } from './slab.ts';

const doubles = (memory: ArrayBuffer) => new Float64Array(memory);

/** Where the columns of one block after the other lie. */
export class EpochRoom {
  readonly steps: Slab<Float64Array<ArrayBuffer>>;
  readonly losses: Slab<Float64Array<ArrayBuffer>>;
  readonly rates: Slab<Float64Array<ArrayBuffer>>;

  constructor(spares = new Spares()) {
    this.steps = new Slab(doubles, spares);
    this.losses = new Slab(doubles, spares);
    this.rates = new Slab(doubles, spares);
  }
}

/** The epochs that end in one block. */
export class EpochColumns {
  readonly #first: number;
  /** Number of the last step of each. */
  readonly steps: Float64Array<ArrayBuffer>;
  readonly losses: Float64Array<ArrayBuffer>;
  /** Learning rates of the last steps. */
  readonly rates: Float64Array<ArrayBuffer>;
  readonly #measured = new Map<string, Float64Array<ArrayBuffer>>();

  /**
   * @param firstEpoch 1-based
   * @param count of the epochs; their losses are for the caller to write
   */
  constructor(firstEpoch: number, count: number, room = new EpochRoom()) {
    this.#first = firstEpoch;
    this.steps = room.steps.take(count);
    this.losses = room.losses.take(count);
    this.rates = room.rates.take(count);
  }

  /**
   * Writes steps and rates.
   * @param started steps before the first epoch
   * @param stepRates of the steps of the block, which begins so many steps (`done`) after the first epoch
   */
  place(started: number, stepsPerEpoch: number, stepRates: Column, done: number): void {
    const { steps, rates } = this;
    for (let i = 0; i < steps.length; i++) steps[i] = started + (i + 1) * stepsPerEpoch;
    if (stepRates.length === 1) rates.fill(stepRates[0]);
    else for (let i = 0; i < rates.length; i++) rates[i] = stepRates[(i + 1) * stepsPerEpoch - done - 1];
  }

  /** What was measured at the end of one of them. */
  measure(index: number, measured: Readonly<Record<string, number>>): void {
    for (const name in measured) this.#column(name)[index] = measured[name];
  }

  #column(name: string): Float64Array {
    const known = this.#measured.get(name);
    if (known !== undefined) return known;
    const column = new Float64Array(this.steps.length);
    this.#measured.set(name, column);
    return column;
  }

  points(): EpochPoints {
    const series = { loss: this.losses, learning_rate: this.rates, ...Object.fromEntries(this.#measured) };
    return { first_epoch: this.#first, steps: this.steps, series };
  }
}

/** How epochs are cut into batches. */
interface EpochCut {
  readonly steps_per_epoch: number;
  readonly batch_size: number;
  /** Of the last batch. */
  readonly last_rows: number;
  readonly rows: number;
}

/**
 * The loss of every epoch that ends in a block: Σ loss of the batch · its rows / rows of the epoch, step by step.
 * @param losses of the steps of the block
 * @param started what came before it in its first epoch
 * @param means as many as epochs end
 * @returns Σ loss · rows over the steps behind the last end
 */
export function epochLosses(
  losses: FloatArray,
  started: { readonly steps: number; readonly loss_sum: number },
  { steps_per_epoch, batch_size, last_rows, rows }: EpochCut,
  means: Float64Array,
): number {
  let sum = started.loss_sum;
  let step = 0;
  let last = steps_per_epoch - started.steps - 1;
  for (let i = 0; i < means.length; i++) {
    for (; step < last; step++) sum += losses[step] * batch_size;
    means[i] = (sum + losses[last] * last_rows) / rows;
    sum = 0;
    step = last + 1;
    last += steps_per_epoch;
  }
  for (; step < losses.length; step++) sum += losses[step] * batch_size;
  return sum;
}

const joined = (arrays: readonly Float64Array[]) => takeJoined(arrays) as Float64Array<ArrayBuffer>;

/** Consecutive points, laid end to end; the parts have none afterwards. */
export function takeJoinedEpochs(parts: readonly EpochPoints[]): EpochPoints {
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
