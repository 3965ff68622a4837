/** The learning rate of every step: the optimizer's rate, changes asked for under way, then the schedules. */
import { resolveOptimizer } from '../engine/optimizers.ts';
import {
  initialPlateau,
  learningRate,
  type PlannedSchedule,
  type PlateauState,
  resolveSchedules,
  updatePlateau,
} from '../engine/schedules.ts';
import type { Column } from './columns.ts';
import { defaultMonitor } from './monitor.ts';
import type { LearningRateChange, RunRequest } from './request.ts';

/** Learning rates of consecutive steps. */
export interface Rates {
  /** One per step. */
  readonly each: Float64Array;
  readonly column: Column;
}

export class LearningRates {
  plateaus: readonly PlateauState[];
  /** In order of their steps. */
  changes: readonly LearningRateChange[];
  /** Whether a rate can depend on what was measured at the end of an epoch. */
  readonly monitors: boolean;
  readonly #initial: number;
  readonly #schedules: readonly PlannedSchedule[];
  readonly #defaultMonitor: string;
  readonly #stepsPerEpoch: number;
  #same = new Float64Array(0);

  constructor(request: RunRequest, stepsPerEpoch: number) {
    this.#initial = Number(resolveOptimizer(request.optimizer).options.learning_rate);
    this.#schedules = resolveSchedules(request.learning_rate_schedule);
    this.#defaultMonitor = defaultMonitor(request);
    this.#stepsPerEpoch = stepsPerEpoch;
    this.monitors = this.#schedules.some((schedule) => schedule.entry.monitors);
    this.plateaus = this.#schedules.map(() => initialPlateau);
    this.changes = request.learning_rate_changes ?? [];
  }

  /** Adds changes; of two at the same step the new one holds. */
  merge(changes: readonly LearningRateChange[]): void {
    const byStep = new Map([...this.changes, ...changes].map((change) => [change.first_step, change]));
    this.changes = [...byStep.values()].sort((a, b) => a.first_step - b.first_step);
  }

  /** The rates of `count` steps that follow `completed` steps. */
  next(completed: number, count: number): Rates {
    if (this.#constantFor(completed) >= count) return this.#constant(this.#rate(completed), count);
    const rates = new Float64Array(count);
    for (let i = 0; i < count; ) {
      const end = Math.min(count, i + this.#constantFor(completed + i));
      rates.fill(this.#rate(completed + i), i, end);
      i = end;
    }
    return { each: rates, column: rates };
  }

  /** From an array that is kept and never changed: rates mostly stay the same from block to block. */
  #constant(rate: number, count: number): Rates {
    if (this.#same.length < count || this.#same[0] !== rate)
      this.#same = new Float64Array(Math.max(2 * count, 64)).fill(rate);
    return { each: this.#same.subarray(0, count), column: this.#same.subarray(0, 1) };
  }

  #rate(completed: number): number {
    const epoch = Math.floor(completed / this.#stepsPerEpoch);
    return learningRate(this.#base(completed + 1), this.#schedules, { step: completed, epoch }, this.plateaus);
  }

  #base(step: number): number {
    return this.changes.findLast((change) => change.first_step <= step)?.learning_rate ?? this.#initial;
  }

  /** Steps from here on whose rate is the same; spares evaluating the schedules for each of them. */
  #constantFor(completed: number): number {
    const counting = this.#schedules.filter((schedule) => !schedule.entry.monitors);
    if (counting.some((schedule) => schedule.unit === 'step')) return 1;
    const toChange = (this.changes.find((change) => change.first_step > completed + 1)?.first_step ?? Infinity) - 1;
    const toEpochEnd = this.#stepsPerEpoch - (completed % this.#stepsPerEpoch);
    return Math.min(toChange - completed, counting.length === 0 ? Infinity : toEpochEnd);
  }

  /**
   * Tells the plateau schedules an epoch's values. They listen once per epoch, because their series are measured then.
   * @returns the factors of the reductions that this has brought
   */
  observe(epoch: number, values: Readonly<Record<string, number>>): number[] {
    const before = this.plateaus;
    this.plateaus = this.#schedules.map(({ entry, options, start, monitor }, i) => {
      if (!entry.monitors || epoch <= start) return before[i];
      return updatePlateau(options, before[i], values[monitor ?? this.#defaultMonitor] ?? Number.NaN);
    });
    return this.#schedules
      .filter((_, i) => this.plateaus[i].reductions > before[i].reductions)
      .map(({ options }) => Number(options.factor));
  }
}
