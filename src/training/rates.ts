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
import { defaultMonitor } from './monitor.ts';
import type { EpochPoint, LearningRateChange, RunRequest } from './request.ts';

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
  next(completed: number, count: number): Float64Array {
    const rates = new Float64Array(count);
    for (let i = 0; i < count; i++) {
      const repeats = i > 0 && this.#sameAsBefore(completed + i);
      rates[i] = repeats ? rates[i - 1] : this.#rate(completed + i);
    }
    return rates;
  }

  #rate(completed: number): number {
    const epoch = Math.floor(completed / this.#stepsPerEpoch);
    return learningRate(this.#base(completed + 1), this.#schedules, { step: completed, epoch }, this.plateaus);
  }

  #base(step: number): number {
    return this.changes.findLast((change) => change.first_step <= step)?.learning_rate ?? this.#initial;
  }

  /** Saves evaluating the schedules for every step of an epoch whose rate cannot move. */
  #sameAsBefore(completed: number): boolean {
    if (this.changes.some((change) => change.first_step === completed + 1)) return false;
    if (this.#schedules.every((schedule) => schedule.entry.monitors)) return true;
    return (
      completed % this.#stepsPerEpoch !== 0 &&
      this.#schedules.every((schedule) => schedule.unit === 'epoch' || schedule.entry.monitors)
    );
  }

  /**
   * Tells the plateau schedules an epoch's values. They listen once per epoch, because their series are measured then.
   * @returns the factors of the reductions that this has brought
   */
  observe(point: EpochPoint): number[] {
    const before = this.plateaus;
    this.plateaus = this.#schedules.map(({ entry, options, start, monitor }, i) => {
      if (!entry.monitors || point.epoch <= start) return before[i];
      return updatePlateau(options, before[i], point.values[monitor ?? this.#defaultMonitor] ?? Number.NaN);
    });
    return this.#schedules
      .filter((_, i) => this.plateaus[i].reductions > before[i].reductions)
      .map(({ options }) => Number(options.factor));
  }
}
