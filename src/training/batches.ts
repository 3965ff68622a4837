/** The order in which a run visits its rows. */
import { Permuter } from '../engine/wasm/permutation.ts';

/** Rows of several epochs are laid end to end up to this many: 4 MiB of indices. */
export const maxBlockRows = 1 << 20;

export interface BatchPlan {
  /** The training rows: numbers of rows in the data. */
  readonly rows: Uint32Array;
  readonly batch_size: number;
  readonly shuffle: boolean;
  readonly seed: number;
}

/**
 * Gives each epoch's order of rows. With `shuffle` it is a function of seed and epoch alone, so that an epoch can be
 * entered anywhere; without, it is the order of the data.
 */
export class Batches {
  readonly rows: number;
  readonly steps_per_epoch: number;
  readonly #plan: BatchPlan;
  readonly #permuter: Permuter;
  /** Whether the numbers of the rows are their places. */
  readonly #isWhole: boolean;
  /** The epochs that lie in the buffer, end to end; without `shuffle` all are the first. */
  #first = 0;
  #epochs = 0;
  #buffer = new Uint32Array(0);

  constructor(plan: BatchPlan) {
    this.#plan = plan;
    this.rows = plan.rows.length;
    this.#permuter = new Permuter(this.rows);
    this.#isWhole = plan.rows.every((row, place) => row === place);
    this.steps_per_epoch = Math.ceil(this.rows / plan.batch_size);
  }

  /** Rows of one batch, by the 0-based number of its step in the epoch; the last may be short. */
  batchRows(step: number): number {
    return Math.min(this.#plan.batch_size, this.rows - step * this.#plan.batch_size);
  }

  /**
   * The rows of steps [from, to) of an epoch, valid until the next call.
   * @param epoch 0-based
   */
  part(epoch: number, from: number, to: number): Uint32Array {
    const { batch_size } = this.#plan;
    return this.whole(epoch, 1).subarray(from * batch_size, Math.min(to * batch_size, this.rows));
  }

  /** The rows of `epochs` whole epochs, one epoch after the other, valid until the next call. */
  whole(epoch: number, epochs: number): Uint32Array {
    const first = this.#plan.shuffle ? epoch : 0;
    if (first !== this.#first) this.#epochs = 0;
    this.#first = first;
    const length = epochs * this.rows;
    if (this.#buffer.length < length) {
      this.#buffer = new Uint32Array(length);
      this.#epochs = 0;
    }
    for (; this.#epochs < epochs; this.#epochs++) {
      const start = this.#epochs * this.rows;
      this.#write(first + this.#epochs, this.#buffer.subarray(start, start + this.rows));
    }
    return this.#buffer.subarray(0, length);
  }

  #write(epoch: number, order: Uint32Array): void {
    const { rows, shuffle, seed } = this.#plan;
    if (!shuffle) {
      order.set(rows);
      return;
    }
    const places = this.#permuter.order(seed, 'shuffle', epoch);
    if (this.#isWhole) order.set(places);
    else for (let i = 0; i < places.length; i++) order[i] = rows[places[i]];
  }
}
