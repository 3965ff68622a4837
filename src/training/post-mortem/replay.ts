/** A finished run once more: from a checkpoint, or its start, to any step, held against what was recorded of it. */
import { decodeCheckpoint } from '../checkpoint.ts';
import type { Advance, RunRequest } from '../request.ts';
import { type CreateBackend, Run } from '../run.ts';

/** The losses of consecutive steps, as they were recorded. */
export interface RecordedLosses {
  /** 1-based. */
  readonly first_step: number;
  readonly losses: Float64Array;
}

/** A run to be replayed: its request, with the changes of its learning rate, and where to begin. */
export interface ReplayRequest {
  readonly request: RunRequest;
  /** Bytes of a checkpoint; null: the initial parameters. */
  readonly checkpoint: Uint8Array | null;
  readonly recorded: RecordedLosses;
}

/** What a replay was and how it compares with the run. */
export interface ReplayReport {
  /** Steps behind the state that it began with. */
  readonly from_step: number;
  /** Steps that were trained again. */
  readonly steps: number;
  /** Those of them whose loss was compared with the recorded one. */
  readonly compared: number;
  /** Whether every compared loss had the recorded bits; null where there was none to compare. */
  readonly bit_identical: boolean | null;
}

/** The replay came to another end than the run: it was not computed as the run was. */
export class ReplayError extends Error {
  readonly code = 'replay_differs';
}

export class Replay {
  readonly run: Run;
  readonly #recorded: RecordedLosses;
  readonly #from: number;
  #steps = 0;
  #compared = 0;
  #different = 0;

  /** @throws {CheckpointError} when the checkpoint is damaged or of another run */
  constructor({ request, checkpoint, recorded }: ReplayRequest, create?: CreateBackend) {
    // What is looked at in passing changes no numbers, and has been told.
    const unwatched = { ...request, statistics: undefined };
    this.run = new Run(unwatched, checkpoint === null ? null : decodeCheckpoint(checkpoint), create);
    this.#recorded = recorded;
    this.#from = this.run.cursor.step;
  }

  get report(): ReplayReport {
    const bit_identical = this.#compared === 0 ? null : this.#different === 0;
    return { from_step: this.#from, steps: this.#steps, compared: this.#compared, bit_identical };
  }

  /** Trains until so many steps of the run are done. */
  to(step: number): void {
    while (this.run.cursor.step < step) this.advance(step - this.run.cursor.step);
  }

  /**
   * Trains at most so many steps.
   * @throws {ReplayError} when the replay has ended before a step that the run has reached
   */
  advance(steps: number): Advance {
    if (this.run.end !== null) {
      throw new ReplayError(`the replay ended at step ${this.run.cursor.step}, where the run went on`);
    }
    const advance = this.run.advance(steps);
    this.#compare(advance);
    return advance;
  }

  #compare({ steps: { first_step, losses } }: Advance): void {
    this.#steps += losses.length;
    for (let i = 0; i < losses.length; i++) {
      const at = first_step + i - this.#recorded.first_step;
      if (at < 0 || at >= this.#recorded.losses.length) continue;
      this.#compared += 1;
      if (!Object.is(losses[i], this.#recorded.losses[at])) this.#different += 1;
    }
  }
}
