/** What a run has brought since its last report. */
import type { Progress } from './protocol.ts';
import type { EpochPoint, RunNote, StepPoints } from './request.ts';
import type { Advance } from './run.ts';

export class HistoryBuffer {
  #steps: StepPoints[] = [];
  #epochs: EpochPoint[] = [];
  #notes: RunNote[] = [];
  #points = 0;

  /** Step points in the buffer. */
  get points(): number {
    return this.#points;
  }

  get isEmpty(): boolean {
    return this.#points === 0 && this.#notes.length === 0;
  }

  add({ steps, epochs, notes }: Advance): void {
    if (steps.losses.length > 0) this.#steps.push(steps);
    this.#points += steps.losses.length;
    for (const point of epochs) this.#epochs.push(point);
    this.#notes.push(...notes);
  }

  note(note: RunNote): void {
    this.#notes.push(note);
  }

  /** Hands out everything and starts anew; the arrays are fresh copies, fit to be transferred. */
  drain(): Pick<Progress, 'steps' | 'epochs' | 'notes'> {
    const steps: StepPoints = {
      first_step: this.#steps[0]?.first_step ?? 1,
      losses: joined(this.#steps.map(({ losses }) => losses)),
      learning_rates: shortened(joined(this.#steps.map(({ learning_rates }) => learning_rates))),
    };
    const drained = { steps, epochs: this.#epochs, notes: this.#notes };
    this.#steps = [];
    this.#epochs = [];
    this.#notes = [];
    this.#points = 0;
    return drained;
  }
}

function joined(parts: readonly Float64Array[]): Float64Array<ArrayBuffer> {
  const whole = new Float64Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

/** A single number where all are the same, as learning rates mostly are. */
function shortened(values: Float64Array<ArrayBuffer>): Float64Array<ArrayBuffer> {
  return values.every((value) => value === values[0]) ? values.slice(0, 1) : values;
}
