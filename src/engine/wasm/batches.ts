/** How a block is cut: into epochs, and each epoch into batches, the last of which may be short. */
import type { TrainingBlock } from '../backend.ts';

export class Batches {
  readonly order: Uint32Array;
  readonly count: number;
  readonly #epochRows: number;
  readonly #size: number;
  readonly #perEpoch: number;

  constructor({ order, epoch_rows }: Pick<TrainingBlock, 'order' | 'epoch_rows'>, size: number) {
    this.order = order;
    this.#epochRows = epoch_rows;
    this.#size = size;
    this.#perEpoch = Math.ceil(epoch_rows / size);
    const [epochs, rest] = [Math.floor(order.length / epoch_rows), order.length % epoch_rows];
    this.count = epochs * this.#perEpoch + Math.ceil(rest / size);
  }

  /** Index into `order` of the batch's first row. */
  start(index: number): number {
    return Math.floor(index / this.#perEpoch) * this.#epochRows + (index % this.#perEpoch) * this.#size;
  }

  rows(index: number): number {
    const epochEnd = (Math.floor(index / this.#perEpoch) + 1) * this.#epochRows;
    const start = this.start(index);
    return Math.min(start + this.#size, epochEnd, this.order.length) - start;
  }

  /** How many batches from this one on, `limit` at most, have its number of rows and lie side by side in `order`. */
  equalRun(index: number, limit: number): number {
    const whole = Math.floor(this.#epochRows / this.#size);
    const endsEven = this.#epochRows % this.#size === 0 && this.order.length % this.#epochRows === 0;
    if (endsEven) return Math.min(limit, this.count - index);
    if (this.rows(index) < this.#size) return 1;
    const untilShort = whole - (index % this.#perEpoch);
    const untilEnd = Math.floor((this.order.length - this.start(index)) / this.#size);
    return Math.min(limit, untilShort, untilEnd);
  }

  /** The rows of `run` batches from this one on, which lie side by side. */
  rowsOf(index: number, run = 1): Uint32Array {
    const start = this.start(index);
    return this.order.subarray(start, start + (run - 1) * this.#size + this.rows(index + run - 1));
  }
}
