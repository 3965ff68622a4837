/** Follows a run and says when a step is to be looked at. */
import type { Data, FloatArray, Plan } from '../engine/backend.ts';
import { type Frame, LayerProbe, type ObservedStep } from './layer-statistics.ts';
import type { RunRequest } from './request.ts';
import { samplingSchedule } from './sampled-steps.ts';

export class StepSampler {
  readonly #probe: LayerProbe;
  /** Ascending. */
  readonly #steps: readonly number[];

  /** @param steps that the whole run can have */
  constructor(plan: Plan, request: RunRequest, data: Data, steps: number) {
    const schedule = samplingSchedule({ plan, optimizer: request.optimizer, batch_size: request.batch_size, steps });
    this.#probe = new LayerProbe(plan, request, data, schedule.rows);
    this.#steps = schedule.steps;
  }

  /** How many steps can follow the given one at once: up to the next sampled step, or that one alone. */
  stepsToNext(done: number): number {
    const next = this.#steps[this.#index(done + 1)];
    return next === undefined ? Number.POSITIVE_INFINITY : Math.max(1, next - 1 - done);
  }

  isDue(step: number): boolean {
    return this.#steps[this.#index(step)] === step;
  }

  /** To be called before a step that is due; false when `isWanted` broke it off: the step is due all the same. */
  begin(observed: ObservedStep, isWanted: () => boolean): boolean {
    return this.#probe.begin(observed, isWanted);
  }

  /**
   * To be called after it.
   * @param after the parameters; overwritten
   */
  end(after: FloatArray): Frame {
    const look = this.#probe.end(after);
    return { number: this.#index(look.step) + 1, ...look };
  }

  /** Of the first sampled step that is not below the given one. */
  #index(step: number): number {
    let [low, high] = [0, this.#steps.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#steps[middle] < step) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
