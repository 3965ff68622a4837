/** How far right numbers may be from ours: what rounding, float32 and another order of operations can do, and no more. */
import type { FloatArray } from '../backend.ts';
import type { Pass } from '../reference/pass.ts';
import { type Exercise, type Hypothesis, literalPass, passUnder, predicted, singlePrecision } from './hypotheses.ts';
import type { Observed, Reading } from './observations.ts';
import { roundingError, type SentPrecision } from './precision.ts';

const epsilon32 = 2 ** -23;
/** A float64 computation errs by this part of what the same computation in float32 errs. */
const float64PerFloat32 = 2 ** -29;
/** Other code rounds elsewhere than we do; our own float32 deviation is one sample of the noise, this is the margin. */
export const noiseMargin = 32;
/** Where our deviation happens to be 0: units of the last place of the largest value. */
const leastUnits = 64;

/**
 * Noise of each tensor in the precision that the client may have used:
 * margin · largest deviation of float32 from float64, and at least 64 units in the last place of the largest value.
 */
export function noiseUnder(
  exercise: Exercise,
  hypothesis: Hypothesis,
  pass: Pass,
  { tensors }: Reading,
  { kind }: SentPrecision,
): readonly number[] {
  const single = singlePrecision(exercise);
  const others = [passUnder(single, hypothesis)];
  const literal = hypothesis.length === 0 ? literalPass(single) : null;
  if (literal !== null) others.push(literal);
  const scale = kind === 'float64' ? float64PerFloat32 : 1;
  return tensors.map((observed) => {
    const exact = predicted(pass, exercise, observed);
    const deviation = Math.max(...others.map((other) => deviationOf(exact, predicted(other, single, observed))));
    return scale * (noiseMargin * deviation + leastUnits * epsilon32 * largest(exact));
  });
}

/** Where float32 overflows it says nothing about the noise. */
function deviationOf(exact: FloatArray, other: FloatArray): number {
  let deviation = 0;
  for (let i = 0; i < exact.length; i++) {
    const difference = Math.abs(exact[i] - other[i]);
    if (Number.isFinite(difference)) deviation = Math.max(deviation, difference);
  }
  return deviation;
}

const largest = (values: FloatArray): number => {
  let most = 0;
  for (const value of values) if (Number.isFinite(value)) most = Math.max(most, Math.abs(value));
  return most;
};

/** A tensor as sent against what a hypothesis predicts for it. */
export interface Comparison {
  readonly observed: Observed;
  readonly expected: FloatArray;
  /** The largest |difference| / tolerance; at most 1 is equality. */
  readonly excess: number;
  /** Flat index where it is found. */
  readonly worst: number;
}

/** Compares one tensor; NaN differs from everything but NaN. */
export function compare(observed: Observed, expected: FloatArray, noise: number, precision: SentPrecision): Comparison {
  let [excess, worst] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    const allowed = noise + roundingError(observed.values[i], precision);
    // NaN equals NaN, and Infinity itself.
    const difference = Object.is(observed.values[i], expected[i]) ? 0 : Math.abs(observed.values[i] - expected[i]);
    const ratio = difference === 0 ? 0 : difference / allowed;
    if (ratio <= excess) continue;
    worst = i;
    excess = Number.isNaN(ratio) ? Number.POSITIVE_INFINITY : ratio;
    if (excess === Number.POSITIVE_INFINITY) break;
  }
  return { observed, expected, excess, worst };
}

const square = (x: number) => x * x;

/** ‖yours − expected‖₂ / max(‖yours‖₂, ‖expected‖₂), of changes from `base` where there is one. */
export function relativeError(
  pairs: readonly { readonly yours: FloatArray; readonly expected: FloatArray; readonly base: FloatArray | null }[],
): number {
  let [gap, mine, theirs] = [0, 0, 0];
  for (const { yours, expected, base } of pairs) {
    for (let i = 0; i < yours.length; i++) {
      // The same on both sides, and no number to measure by.
      if (!Number.isFinite(yours[i]) && Object.is(yours[i], expected[i])) continue;
      const start = base === null ? 0 : base[i];
      gap += square(yours[i] - expected[i]);
      mine += square(yours[i] - start);
      theirs += square(expected[i] - start);
    }
  }
  if (gap === 0) return 0;
  const error = Math.sqrt(gap / Math.max(mine, theirs));
  return Number.isNaN(error) ? Number.POSITIVE_INFINITY : error;
}
