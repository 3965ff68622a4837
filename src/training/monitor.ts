/** Watching one series of a run: the best value so far, early stopping and targets. */
import type { MonitorState } from './checkpoint.ts';
import { better, type MetricSpec, seriesName } from './metrics.ts';
import type { EarlyStopping, RunRequest, Target } from './request.ts';

export type Direction = 'min' | 'max';

/** The direction that is better for a series: a metric's own, and down for losses. */
export function directionOf(series: string, metrics: readonly MetricSpec[]): Direction {
  const spec = metrics.find((metric) => seriesName(metric) === series);
  return spec !== undefined && better(spec) === 'higher' ? 'max' : 'min';
}

/** What a run watches unless it says otherwise. */
export function defaultMonitor(request: Pick<RunRequest, 'validation'>): string {
  return request.validation === undefined ? 'loss' : 'validation_loss';
}

export interface Watch {
  readonly monitor: string;
  readonly direction: Direction;
  readonly min_delta: number;
}

export function watchOf(request: RunRequest): Watch {
  const stopping: Partial<EarlyStopping> = request.early_stopping ?? {};
  const monitor = stopping.monitor ?? defaultMonitor(request);
  return {
    monitor,
    direction: stopping.mode ?? directionOf(monitor, request.metrics),
    min_delta: stopping.min_delta ?? 0,
  };
}

/** The best value of a series so far, and how long it has been the best. */
export class Monitor {
  readonly #watch: Watch;
  /** Plain numbers: a tiny network ends a million epochs a second. */
  #hasBest = false;
  #value = 0;
  #epoch = 0;
  #step = 0;
  #waited = 0;

  constructor(watch: Watch) {
    this.#watch = watch;
  }

  get state(): MonitorState {
    const { monitor } = this.#watch;
    const best = this.#hasBest ? { monitor, value: this.#value, epoch: this.#epoch, step: this.#step } : null;
    return { best, waited: this.#waited };
  }

  restore({ best, waited }: MonitorState): void {
    this.#hasBest = best !== null;
    this.#waited = waited;
    if (best !== null) this.#take(best.value, best.epoch, best.step);
  }

  /**
   * One more epoch: a value better than the best by more than `min_delta` is the new best. NaN never is.
   * @returns whether it is
   */
  observe(value: number, epoch: number, step: number): boolean {
    this.observeAll(epoch, [step], [value]);
    return this.#waited === 0;
  }

  /** One epoch after the other, from the given one on. */
  observeAll(firstEpoch: number, steps: ArrayLike<number>, values: ArrayLike<number>): void {
    const { direction, min_delta } = this.#watch;
    // Turned over where up is better, so that there is one comparison.
    const sign = direction === 'min' ? 1 : -1;
    let bound = this.#hasBest ? sign * this.#value - min_delta : Number.POSITIVE_INFINITY;
    let best = -1;
    for (let i = 0; i < values.length; i++) {
      const value = sign * values[i];
      // x − x is 0 for every finite x.
      if (!(value < bound) || value - value !== 0) continue;
      bound = value - min_delta;
      best = i;
    }
    if (best >= 0) this.#take(values[best], firstEpoch + best, steps[best]);
    this.#waited = best >= 0 ? values.length - 1 - best : this.#waited + values.length;
  }

  #take(value: number, epoch: number, step: number): void {
    this.#hasBest = true;
    this.#value = value;
    this.#epoch = epoch;
    this.#step = step;
  }
}

export function isReached(
  target: Target,
  metrics: readonly MetricSpec[],
  values: Readonly<Record<string, number>>,
): boolean {
  const value = values[target.monitor] ?? Number.NaN;
  const direction = target.mode ?? directionOf(target.monitor, metrics);
  return direction === 'min' ? value <= target.value : value >= target.value;
}

/** Whether the end of an epoch can change what comes after it, or measures something. */
export function looksAtEpochs(request: RunRequest, rates: { readonly monitors: boolean }): boolean {
  const { early_stopping, target, metrics, validation } = request;
  const decides = early_stopping !== undefined || target !== undefined || rates.monitors;
  return decides || validation !== undefined || metrics.length > 0;
}
