/** What a run has brought since its last report. */
import { joinEpochs, joinFloats } from './epoch-points.ts';
import type { Frame } from './layer-statistics.ts';
import type { Progress } from './protocol.ts';
import type { EpochPoints, RunNote, StepPoints } from './request.ts';
import type { Advance } from './run.ts';

export class HistoryBuffer {
  #steps: StepPoints[] = [];
  #epochs: EpochPoints[] = [];
  #frames: Frame[] = [];
  #notes: RunNote[] = [];
  #points = 0;

  /** Step points in the buffer. */
  get points(): number {
    return this.#points;
  }

  get isEmpty(): boolean {
    return this.#points === 0 && this.#notes.length === 0;
  }

  add({ steps, epochs, frames, notes }: Advance): void {
    if (steps.losses.length > 0) this.#steps.push(steps);
    this.#points += steps.losses.length;
    if (epochs.steps.length > 0) this.#epochs.push(epochs);
    this.#frames.push(...frames);
    this.#notes.push(...notes);
  }

  note(note: RunNote): void {
    this.#notes.push(note);
  }

  /** Hands out everything and starts anew; the arrays are fresh copies, fit to be transferred. */
  drain(): Pick<Progress, 'steps' | 'epochs' | 'frames' | 'notes'> {
    const steps: StepPoints = {
      first_step: this.#steps[0]?.first_step ?? 1,
      losses: joinFloats(this.#steps.map(({ losses }) => losses)),
      learning_rates: shortened(joinFloats(this.#steps.map(({ learning_rates }) => learning_rates))),
    };
    const drained = { steps, epochs: joinEpochs(this.#epochs), frames: this.#frames, notes: this.#notes };
    this.#steps = [];
    this.#epochs = [];
    this.#frames = [];
    this.#notes = [];
    this.#points = 0;
    return drained;
  }
}

/** A single number where all are the same, as learning rates mostly are. A plain loop: there can be a million of them. */
function shortened(values: Float64Array<ArrayBuffer>): Float64Array<ArrayBuffer> {
  for (let i = 1; i < values.length; i++) if (values[i] !== values[0]) return values;
  return values.slice(0, 1);
}
