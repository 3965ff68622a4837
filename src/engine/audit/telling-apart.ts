/** A batch on which bugs that look alike on the client's data give different numbers. */
import type { Data, FloatArray, Plan } from '../backend.ts';
import { uniform } from '../prng.ts';
import type { Pass } from '../reference/pass.ts';
import { type Exercise, type Hypothesis, passUnder, predicted } from './hypotheses.ts';
import type { Observed } from './observations.ts';
import { relativeError } from './tolerance.ts';

export interface TellingBatch {
  readonly data: Data;
  /** The smallest relative distance between what any two of those that it tells apart predict. */
  readonly gap: number;
  /** The hypotheses that it tells apart: all, or as many as could be. */
  readonly apart: readonly Hypothesis[];
}

/** Inputs reach up to twice this: larger ones wake units that ordinary ones leave dead, or saturate others. */
const scales = [1, 10, 100, 0.1] as const;
const attemptsPerScale = 4;
const rows = 5;
/** Below this the batch would help nobody who sends rounded numbers. */
const leastGap = 1e-2;
/** A tensor this much smaller than another may be the rounding of what is 0. */
const negligible = 1e-9;

/**
 * The batch that tells most of the hypotheses from the first of them, and of these the one with the largest gap;
 * null when none tells any apart.
 */
export function tellingBatch(
  exercise: Exercise,
  hypotheses: readonly Hypothesis[],
  tensors: readonly Observed[],
): TellingBatch | null {
  let best: TellingBatch | null = null;
  for (const [index, scale] of scales.entries()) {
    for (let attempt = 0; attempt < attemptsPerScale; attempt++) {
      const data = randomBatch(exercise.plan, index * attemptsPerScale + attempt, scale);
      const found = toldApart({ ...exercise, data }, hypotheses, tensors);
      if (found.apart.length < 2) continue;
      const better = found.apart.length - (best?.apart.length ?? 0) || found.gap - (best?.gap ?? 0);
      if (better > 0) best = { data, ...found };
    }
    // Ordinary inputs are preferred: nobody likes to type hundreds.
    if (best?.apart.length === hypotheses.length) break;
  }
  return best;
}

/** The hypotheses that differ from all that are already told apart, beginning with the first. */
function toldApart(
  exercise: Exercise,
  hypotheses: readonly Hypothesis[],
  tensors: readonly Observed[],
): { readonly apart: readonly Hypothesis[]; readonly gap: number } {
  const apart: { readonly hypothesis: Hypothesis; readonly pass: Pass }[] = [];
  let gap = Number.POSITIVE_INFINITY;
  for (const hypothesis of hypotheses) {
    const pass = passUnder(exercise, hypothesis);
    const gaps = apart.map((other) => gapBetween(exercise, tensors, other.pass, pass));
    const smallest = Math.min(Number.POSITIVE_INFINITY, ...gaps);
    if (smallest < leastGap) continue;
    gap = Math.min(gap, smallest);
    apart.push({ hypothesis, pass });
  }
  return { apart: apart.map(({ hypothesis }) => hypothesis), gap };
}

/**
 * The relative distance in the tensor where it is largest: each is compared by itself. Tensors that are nothing but
 * rounding beside the others do not count. 0 where one leaves the finite numbers: nobody could compare them.
 */
function gapBetween(exercise: Exercise, tensors: readonly Observed[], one: Pass, other: Pass): number {
  const pairs = tensors.map((observed) => ({
    yours: predicted(one, exercise, observed),
    expected: predicted(other, exercise, observed),
    base: null,
  }));
  const sizes = pairs.map(({ yours, expected }) => Math.max(largest(yours), largest(expected)));
  const all = Math.max(...sizes);
  if (!Number.isFinite(all)) return 0;
  const counted = pairs.filter((_, i) => sizes[i] > negligible * all);
  return Math.max(0, ...counted.map((pair) => relativeError([pair])));
}

function largest(values: FloatArray): number {
  let most = 0;
  for (const value of values) most = Math.max(most, Math.abs(value));
  return most;
}

/** Inputs from −2 to 2, times the scale, and targets that the loss is defined for, with two decimals so that they can be copied by hand. */
export function randomBatch(plan: Plan, attempt: number, scale = 1): Data {
  const draw = (i: number) => uniform(attempt, 'audit', 0, i);
  const inputs = Float64Array.from({ length: rows * plan.input_size }, (_, i) => hundredths(scale * (4 * draw(i) - 2)));
  return { rows, inputs, targets: randomTargets(plan, (i) => uniform(attempt, 'audit', 1, i)) };
}

const hundredths = (value: number) => Math.round(100 * value) / 100;

function randomTargets({ loss, output_size: size }: Plan, draw: (i: number) => number): Float64Array {
  const domain = loss.entry.target_domain;
  switch (domain.kind) {
    case 'label':
      return Float64Array.from({ length: rows }, (_, row) => Math.floor(size * draw(row)));
    case 'values':
      return Float64Array.from(
        { length: rows * size },
        (_, i) => domain.values[Math.floor(domain.values.length * draw(i))],
      );
    case 'distribution':
      return Float64Array.from({ length: rows * size }, (_, i) => {
        const label = Math.floor(size * draw(Math.floor(i / size)));
        return i % size === label ? 1 : 0;
      });
    case 'interval': {
      const minimum = Math.max(domain.minimum, -2);
      const maximum = Math.min(domain.maximum, 2);
      return Float64Array.from({ length: rows * size }, (_, i) => hundredths(minimum + (maximum - minimum) * draw(i)));
    }
  }
}
