/**
 * Which steps of a run are looked at, and how closely: by number, so that a run that was interrupted looks at the same
 * ones, and so few that looking costs a small part of training however small or large the network is.
 */
import type { Plan } from '../engine/backend.ts';
import { type OptimizerSpec, resolveOptimizer } from '../engine/optimizers.ts';

/** The most frames of a run. */
export const maxFrames = 200;
/**
 * Part of the estimated training time that frames may take; what is promised is 0.03. The rest is for what the estimate
 * leaves out: code that runs once in thousands of steps finds nothing of its own in the caches.
 */
const share = 0.008;
/** What a run may spend besides, however short it is: less than it takes to create and store a job. */
const allowance = 15e6;
/** Fewer rows would call units dead that are merely rare; more tell nothing new. */
const fewestRows = 8;
const mostRows = 64;
/** A frame of more rows may cost this much of one of the fewest. */
const littleDearer = 1.25;

/** What is known of a run before it begins. */
export interface RunSize {
  readonly plan: Plan;
  readonly optimizer: OptimizerSpec;
  readonly batch_size: number;
  readonly steps: number;
}

/**
 * Estimated nanoseconds of one training step: from below, because looking must be cheap beside the fastest code.
 * 0.05 ns per parameter and row are 117 GFLOP/s for the six operations of the three products.
 */
export const stepWork = ({ plan, batch_size }: Pick<RunSize, 'plan' | 'batch_size'>): number =>
  60 + 0.05 * plan.parameter_count * batch_size;

/**
 * Estimated nanoseconds of one frame on the same machine: two copies of the state, the reference forward and back over
 * the rows, three passes over the weights, and the block cut in three. Measured on the benchmarks'
 * workloads within training: code that runs so seldom is never optimised, and takes up to four times as long as in a loop.
 */
export function frameWork({ plan, optimizer }: Pick<RunSize, 'plan' | 'optimizer'>, rows: number): number {
  const { entry, options } = resolveOptimizer(optimizer);
  const units = plan.layers.reduce((sum, layer) => sum + layer.units, 0);
  const perParameter = 75 + 12 * entry.slots(options).length + 5 * rows;
  return 320_000 + perParameter * plan.parameter_count + 200 * units * rows;
}

export interface SamplingSchedule {
  /** Rows of a batch that are carried through the reference. */
  readonly rows: number;
  /** 1-based numbers of the steps, ascending; at most `maxFrames`. */
  readonly steps: readonly number[];
}

/**
 * The schedule of a run. Wanted are half as steps in equal ratios (learning changes fastest at first) and half as steps
 * in equal distances, as many as the whole run can pay for. Taken is each as soon as the steps behind it have paid:
 * at every step s
 *     frames · frameWork ≤ share · s · stepWork + allowance.
 */
export function samplingSchedule(size: RunSize): SamplingSchedule {
  const income = share * stepWork(size);
  const purse = allowance + income * size.steps;
  const rows = Math.min(size.batch_size, affordableRows(size, purse));
  const price = frameWork(size, rows);
  const steps: number[] = [];
  for (const wanted of wantedSteps(size.steps, Math.min(maxFrames, Math.floor(purse / price)))) {
    const paidFor = Math.ceil(((steps.length + 1) * price - allowance) / income);
    const step = Math.max(wanted, paidFor, (steps.at(-1) ?? 0) + 1);
    if (step > size.steps) break;
    steps.push(step);
  }
  return { rows, steps };
}

/** As many rows as the whole run can pay for in every frame, or as make a frame of the fewest little dearer. */
function affordableRows(size: RunSize, purse: number): number {
  const [one, two] = [frameWork(size, 1), frameWork(size, 2)];
  const price = Math.max(purse / maxFrames, littleDearer * frameWork(size, fewestRows));
  return Math.min(mostRows, Math.floor(1 + (price - one) / (two - one)));
}

/** At most `count` steps up to `last`, ascending: both ends, one to four per doubling, and the rest in equal distances. */
function wantedSteps(last: number, count: number): readonly number[] {
  const doublings = last.toString(2).length;
  const dense = [4, 2, 1].find((perDoubling) => 2 * perDoubling * doublings < count);
  const wanted = new Set([...(dense === undefined ? [] : ratioSteps(last, dense)), last]);
  const rest = Math.min(count - wanted.size, last);
  for (let i = 1; i <= rest; i++) wanted.add(Math.ceil((i * last) / rest));
  return [...wanted].sort((a, b) => a - b).slice(0, count);
}

/** (d + m)/d · 2^e for m < d, the whole ones: exact, because d is a power of two. */
function ratioSteps(last: number, d: number): number[] {
  const steps: number[] = [];
  for (let power = 1; power <= last; power *= 2) {
    for (let m = 0; m < d; m++) {
      const step = ((d + m) * power) / d;
      if (Number.isInteger(step) && step <= last) steps.push(step);
    }
  }
  return steps;
}
