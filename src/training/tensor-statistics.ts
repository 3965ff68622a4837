/** What one tensor looks like in a few numbers: for the layers' statistics over time and for post-mortems. */
import type { FloatArray } from '../engine/backend.ts';

/**
 * A class, and not an object written out where it is made: where many threads wanted the processor, the optimized code of
 * V8 13.6 has now and then let all that came from there share their numbers.
 */
export class TensorStatistics {
  /** max |x| over the finite values; 0 when there is none. */
  readonly abs_max: number;
  /** Σx/n over the n finite values; NaN when there is none. */
  readonly mean: number;
  /** √(Σ(x − mean)²/n), the population's, over the finite values; NaN when there is none. */
  readonly std: number;
  /** Share of all values that are exactly 0. */
  readonly zero_fraction: number;
  /** How many values are NaN or infinite. */
  readonly non_finite: number;

  constructor(abs_max: number, mean: number, std: number, zero_fraction: number, non_finite: number) {
    this.abs_max = abs_max;
    this.mean = mean;
    this.std = std;
    this.zero_fraction = zero_fraction;
    this.non_finite = non_finite;
  }
}

/** Brings even the largest float64 far enough down to be squared and summed. */
const downscale = 2 ** -1000;

/**
 * Statistics of the values [start, start + length) of a buffer, in one pass and in float64 whatever the buffer's type.
 *
 * mean = s + Σ(x − s)/n and std² = Σ(x − s)²/n − (Σ(x − s)/n)², with s the first finite value. Because s is one of the
 * values, n·std² ≥ (s − mean)², so that Σ(x − s)² ≤ (n + 1)·n·std²: cancellation costs at
 * most a factor n + 1. Where squares overflow, a second pass takes them scaled by a power of two.
 */
export function tensorStatistics(values: FloatArray, start = 0, length = values.length - start): TensorStatistics {
  const statistics = scan(values, start, start + length, 1);
  if (statistics.std < Infinity && Number.isFinite(statistics.mean)) return statistics;
  if (statistics.non_finite === length) return statistics;
  const { mean, std } = scan(values, start, start + length, downscale);
  const { abs_max, zero_fraction, non_finite } = statistics;
  return new TensorStatistics(abs_max, mean / downscale, std / downscale, zero_fraction, non_finite);
}

function scan(values: FloatArray, start: number, end: number, scale: number): TensorStatistics {
  // One by one: taken from an array, they would all stay boxed, which takes three times as long.
  let first = 0;
  let finite = 0;
  let zeros = 0;
  let largest = 0;
  let sum = 0;
  let squares = 0;
  for (let i = start; i < end; i++) {
    const value = values[i];
    // x − x is 0 for every finite x and NaN for the others.
    if (value - value !== 0) continue;
    if (finite === 0) first = value * scale;
    finite += 1;
    if (value === 0) zeros += 1;
    const size = Math.abs(value);
    if (size > largest) largest = size;
    const shifted = value * scale - first;
    sum += shifted;
    squares += shifted * shifted;
  }
  const shift = sum / finite;
  const std = Math.sqrt(Math.max(squares / finite - shift * shift, 0));
  const zeroFraction = end === start ? 0 : zeros / (end - start);
  return new TensorStatistics(largest, first + shift, std, zeroFraction, end - start - finite);
}
