/** What a run has brought since its last report. The arrays of what is added belong to it from then on. */
import { free } from '../engine/free.ts';
import { joinColumns, takeJoined } from './columns.ts';
import { takeJoinedEpochs } from './epoch-points.ts';
import type { Frame } from './layer-statistics.ts';
import type { Progress } from './protocol.ts';
import type { Advance, EpochPoints, RunNote, StepPoints } from './request.ts';

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

  /** Hands out everything and starts anew; the arrays have memories of their own, fit to be transferred. */
  drain(): Pick<Progress, 'steps' | 'epochs' | 'frames' | 'notes'> {
    const parts = this.#steps;
    const learning_rates = joinColumns(
      parts.map(({ losses, learning_rates }) => ({ values: learning_rates, count: losses.length })),
    );
    free(...parts.map(({ learning_rates }) => learning_rates));
    const steps: StepPoints = {
      first_step: parts[0]?.first_step ?? 1,
      losses: takeJoined(parts.map(({ losses }) => losses)),
      learning_rates,
    };
    const epochs = takeJoinedEpochs(this.#epochs);
    const drained = { steps, epochs, frames: this.#frames, notes: this.#notes };
    this.#steps = [];
    this.#epochs = [];
    this.#frames = [];
    this.#notes = [];
    this.#points = 0;
    return drained;
  }
}
