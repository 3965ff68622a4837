/**
 * The way back to the state before a block of steps. Copying the state of a large network costs as much as a good part of
 * a step, so it is copied before every few blocks only; from there the blocks since are done again, which gives the same
 * bits. What has to be kept of a block for that are its rows and learning rates.
 */
import type { TrainingBlock } from '../backend.ts';
import { Batches } from './batches.ts';
import type { Program, StepRange } from './program.ts';

/** Going back repeats at most so many blocks, each of some 20 ms. */
export const MAX_BLOCKS = 16;

/** Rows and learning rates of a block cost as many copied numbers. */
const numbersIn = ({ order, learning_rates }: TrainingBlock): number => order.length + 2 * learning_rates.length;

export class Lookback {
  readonly #program: Program;
  readonly #batchSize: number;
  /** What has been trained since the state was saved; null when it has to be saved before the next block. */
  #since: StepRange[] | null = null;

  constructor(program: Program, batchSize: number) {
    this.#program = program;
    this.#batchSize = batchSize;
  }

  /** To be called before steps are run. */
  prepare(block: TrainingBlock): void {
    // A step that can be abandoned is rolled back while somebody waits for it.
    const { abandons, stateNumbers } = this.#program;
    const cheap = !abandons && numbersIn(block) <= stateNumbers / MAX_BLOCKS;
    if (cheap && this.#since !== null && this.#since.length < MAX_BLOCKS) return;
    this.#program.save();
    this.#since = [];
  }

  /** To be called after steps that stay. */
  keep({ block, first, end }: StepRange): void {
    if (numbersIn(block) > this.#program.stateNumbers / MAX_BLOCKS) {
      this.forget();
      return;
    }
    // The arrays belong to the caller.
    const copy = { ...block, order: block.order.slice(), learning_rates: block.learning_rates.slice() };
    const kept = { ...copy, control: undefined };
    this.#since?.push({ block: kept, batches: new Batches(kept, this.#batchSize), first, end, alone: true });
  }

  /** To be called when the state has changed otherwise. */
  forget(): void {
    this.#since = null;
  }

  /** Back to the state before the steps that were run last. */
  goBack(): void {
    this.#program.rollBack();
    for (const range of this.#since ?? []) this.#program.run(range, new Float64Array(range.end));
  }
}
