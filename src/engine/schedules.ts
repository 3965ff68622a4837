/**
 * The learning-rate schedules: pure functions of the number of completed units (steps or epochs), applied in order.
 *
 * Formulas are PyTorch's closed forms; γ^n is computed by squaring, so that the same bytes come out from whichever
 * step a run is resumed. `reduce_on_plateau` alone remembers something; its state is explicit (`PlateauState`).
 */
import { cosPi } from './math/elementary.ts';
import { float64 } from './math/float64.ts';
import {
  type AnyOptions,
  type NumberOption,
  type OptionTable,
  type OptionValues,
  resolve,
  type Spec,
} from './options.ts';

/** What a schedule counts. */
export const scheduleUnits = ['step', 'epoch'] as const;
export type ScheduleUnit = (typeof scheduleUnits)[number];

export interface Schedule<Options = AnyOptions> {
  readonly formula: string;
  readonly description: string;
  readonly options: OptionTable;
  /** Whether it listens to a monitored value and so needs a `PlateauState`. */
  readonly monitors: boolean;
  /** The rate that becomes of `rate` after n completed units; `reductions` counts a plateau's. */
  rate(options: Options, rate: number, n: number, reductions: number): number;
}

/** Options that every schedule has besides its own and `unit`. */
export const timingOptions = {
  start: {
    type: 'number',
    default: 0,
    integer: true,
    minimum: 0,
    description: 'Completed units before which the schedule stands at its beginning.',
  },
} as const satisfies OptionTable;

const count = (description: string): NumberOption & { default?: never } => ({
  type: 'number',
  integer: true,
  minimum: 1,
  description,
});
const gamma = (initial: number): NumberOption & { default: number } => ({
  type: 'number',
  default: initial,
  exclusive_minimum: 0,
  description: 'Factor on the learning rate.',
});

const stepOptions = { step_size: count('Units between two reductions.'), gamma: gamma(0.1) } as const;
const exponentialOptions = { gamma: gamma(0.99) } as const;
const cosineOptions = {
  t_max: count('Units until the lowest rate.'),
  eta_min: { type: 'number', default: 0, minimum: 0, description: 'The lowest rate.' },
} as const satisfies OptionTable;
const warmupOptions = {
  start_factor: {
    type: 'number',
    default: 1 / 3,
    exclusive_minimum: 0,
    maximum: 1,
    description: 'Factor at the start.',
  },
  total_iters: { ...count('Units until the full rate.'), default: 5 },
} as const satisfies OptionTable;
const oneCycleOptions = {
  total_steps: count('Units of the whole cycle.'),
  pct_start: {
    type: 'number',
    default: 0.3,
    exclusive_minimum: 0,
    exclusive_maximum: 1,
    description: 'Share of the cycle spent rising.',
  },
  div_factor: { type: 'number', default: 25, minimum: 1, description: 'The first rate is the peak divided by this.' },
  final_div_factor: {
    type: 'number',
    default: 1e4,
    minimum: 1,
    description: 'The last rate is the first divided by this.',
  },
} as const satisfies OptionTable;
const plateauOptions = {
  factor: {
    type: 'number',
    default: 0.1,
    exclusive_minimum: 0,
    exclusive_maximum: 1,
    description: 'Factor of each reduction.',
  },
  patience: {
    type: 'number',
    default: 10,
    integer: true,
    minimum: 0,
    description: 'Units without improvement that are tolerated.',
  },
  threshold: {
    type: 'number',
    default: 1e-4,
    minimum: 0,
    description: 'Relative change that counts as an improvement.',
  },
  cooldown: {
    type: 'number',
    default: 0,
    integer: true,
    minimum: 0,
    description: 'Units after a reduction in which none is counted as bad.',
  },
  min_lr: { type: 'number', default: 0, minimum: 0, description: 'The rate is never reduced below this.' },
  maximize: {
    type: 'boolean',
    default: false,
    description: 'Whether the monitored value should rise, as accuracy does.',
  },
} as const satisfies OptionTable;

/** Ties the entry's function to its own options. */
const schedule = <O extends OptionTable>(entry: Omit<Schedule<OptionValues<O>>, 'options'> & { readonly options: O }) =>
  entry;

/** base^n for an integer n ≥ 0, by squaring: at most 2·log2(n) roundings, the same ones for the same n. */
export function integerPower(base: number, n: number): number {
  let power = 1;
  let square = base;
  for (let rest = n; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) power *= square;
    square *= square;
  }
  return power;
}

/** From `from` at share 0 to `to` at share 1 along half a cosine. */
function cosineAnneal(from: number, to: number, share: number): number {
  return to + ((from - to) * (1 + cosPi(float64, share))) / 2;
}

export const schedules = {
  step: schedule({
    formula: 'η·γ^⌊n/step_size⌋',
    description: 'Multiplies the rate by gamma every step_size units (StepLR).',
    options: stepOptions,
    monitors: false,
    rate: ({ step_size, gamma }, rate, n) => rate * integerPower(gamma, Math.floor(n / step_size)),
  }),
  exponential: schedule({
    formula: 'η·γ^n',
    description: 'Multiplies the rate by gamma every unit (ExponentialLR).',
    options: exponentialOptions,
    monitors: false,
    rate: ({ gamma }, rate, n) => rate * integerPower(gamma, n),
  }),
  cosine: schedule({
    formula: 'η_min + (η − η_min)·(1 + cos(π·min(n, t_max)/t_max))/2',
    description: 'Falls along half a cosine and stays at the bottom (CosineAnnealingLR, closed form).',
    options: cosineOptions,
    monitors: false,
    rate: ({ t_max, eta_min }, rate, n) => cosineAnneal(rate, eta_min, Math.min(n, t_max) / t_max),
  }),
  linear_warmup: schedule({
    formula: 'η·(start_factor + (1 − start_factor)·min(n, total_iters)/total_iters)',
    description: 'Rises in a straight line to the full rate (LinearLR).',
    options: warmupOptions,
    monitors: false,
    rate: ({ start_factor, total_iters }, rate, n) =>
      rate * (start_factor + ((1 - start_factor) * Math.min(n, total_iters)) / total_iters),
  }),
  one_cycle: schedule({
    formula: 'η/div_factor → η over pct_start of the cycle → η/(div_factor·final_div_factor), both along half a cosine',
    description:
      'Up once and down once (OneCycleLR, two phases). The learning rate handed in is the peak, PyTorch calls it max_lr; momentum is not cycled.',
    options: oneCycleOptions,
    monitors: false,
    rate: oneCycleRate,
  }),
  reduce_on_plateau: schedule({
    formula: 'η ← max(η·factor, min_lr) after more than `patience` units without improvement',
    description: 'Reduces the rate when the monitored value stops improving (ReduceLROnPlateau, relative threshold).',
    options: plateauOptions,
    monitors: true,
    rate: ({ factor, min_lr }, rate, _n, reductions) => {
      let reduced = rate;
      for (let i = 0; i < reductions && reduced > min_lr; i++) reduced = Math.max(reduced * factor, min_lr);
      return reduced;
    },
  }),
} as const satisfies Record<string, Schedule>;

/** PyTorch's phases: up until step pct_start·total − 1, down until step total − 1, then constant. */
function oneCycleRate(options: OptionValues<typeof oneCycleOptions>, peak: number, n: number): number {
  const first = peak / options.div_factor;
  const top = options.pct_start * options.total_steps - 1;
  const last = options.total_steps - 1;
  if (n <= top) return cosineAnneal(first, peak, n / top);
  return cosineAnneal(peak, first / options.final_div_factor, last > top ? Math.min((n - top) / (last - top), 1) : 1);
}

export type ScheduleName = keyof typeof schedules;

/** What every schedule may say besides its own options. */
type Timing = {
  /** What n counts; `step` unless given. */
  readonly unit?: ScheduleUnit | undefined;
  readonly start?: number | undefined;
  /** reduce_on_plateau only: the name of the monitored series, `validation_loss` or `loss` unless given. */
  readonly monitor?: string | undefined;
};
type NamedSchedule = Exclude<Spec<typeof schedules>, string>;
export type ScheduleSpec = ScheduleName | (NamedSchedule & Timing);

export interface PlannedSchedule {
  readonly name: string;
  readonly entry: Schedule;
  readonly options: Readonly<Record<string, number | boolean>>;
  readonly unit: ScheduleUnit;
  readonly start: number;
  readonly monitor: string | null;
}

/** What a plateau schedule remembers; plain data, so that a checkpoint can hold it. */
export interface PlateauState {
  /** Best monitored value so far; null before the first. */
  readonly best: number | null;
  readonly bad_units: number;
  readonly cooldown_left: number;
  readonly reductions: number;
}

export const initialPlateau: PlateauState = { best: null, bad_units: 0, cooldown_left: 0, reductions: 0 };

/** One spec or a list of them, in order, with defaults filled in. */
export function resolveSchedules(
  specs: ScheduleSpec | readonly ScheduleSpec[] | undefined,
): readonly PlannedSchedule[] {
  const list = specs === undefined ? [] : Array.isArray(specs) ? specs : [specs];
  return (list as readonly ScheduleSpec[]).map((spec) => {
    const timing: Timing = typeof spec === 'string' ? {} : spec;
    const resolved = resolve<Schedule>(schedules, spec);
    return { ...resolved, unit: timing.unit ?? 'step', start: timing.start ?? 0, monitor: timing.monitor ?? null };
  });
}

/**
 * The learning rate of the next step: the schedules applied in order to `base`.
 * @param completed steps and epochs completed so far, 0 and 0 before the first step
 * @param plateaus one state per schedule (those that do not monitor ignore theirs); absent means untouched
 */
export function learningRate(
  base: number,
  planned: readonly PlannedSchedule[],
  completed: { readonly step: number; readonly epoch: number },
  plateaus: readonly PlateauState[] = [],
): number {
  let rate = base;
  for (const [i, { entry, options, unit, start }] of planned.entries()) {
    const n = Math.max(completed[unit] - start, 0);
    rate = entry.rate(options, rate, n, plateaus[i]?.reductions ?? 0);
  }
  return rate;
}

/**
 * Tells a plateau schedule the monitored value of one more unit.
 * A better value is below best·(1 − threshold), or above best·(1 + threshold) when maximizing. NaN is never better.
 */
export function updatePlateau(
  options: Readonly<Record<string, number | boolean>>,
  state: PlateauState,
  value: number,
): PlateauState {
  const { patience, threshold, cooldown, maximize } = options as OptionValues<typeof plateauOptions>;
  const better = isBetter(value, state.best, threshold, maximize);
  const best = better ? value : state.best;
  // In PyTorch's order: count, then let the cool-down forgive, then reduce.
  let bad_units = better ? 0 : state.bad_units + 1;
  let cooldown_left = state.cooldown_left;
  if (cooldown_left > 0) {
    cooldown_left -= 1;
    bad_units = 0;
  }
  if (bad_units <= patience) return { best, bad_units, cooldown_left, reductions: state.reductions };
  return { best, bad_units: 0, cooldown_left: cooldown, reductions: state.reductions + 1 };
}

function isBetter(value: number, best: number | null, threshold: number, maximize: boolean): boolean {
  if (best === null) return !Number.isNaN(value);
  return maximize ? value > best * (1 + threshold) : value < best * (1 - threshold);
}
