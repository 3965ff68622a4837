/**
 * Softmax and log-softmax over one row, and their vector–Jacobian products.
 *
 * A row is the `units` entries from index `start`. Everything is taken relative to the largest z, so that nothing
 * overflows. 1 − a cancels only where a > ½, which holds for one unit at most, the dominant one; there it is summed
 * from the others. All sums run with the unit's index ascending.
 */
import type { Row } from './activations.ts';
import type { Arithmetic } from './arithmetic.ts';
import { expm1NonPositive, expNonPositive, log1pPositive, log1pUnit } from './math/elementary.ts';

/** The largest entry of a row. A NaN may be passed over: what is made of the row's differences to it is NaN then. */
export function rowMaximum<T, M>(o: Arithmetic<T, M>, z: Row<T>, start: number, units: number): T {
  let largest = z[start];
  for (let k = start + 1; k < start + units; k++) largest = o.select(o.less(largest, z[k]), z[k], largest);
  return largest;
}

/** Whether this output is above ½, as at most one of a row is. */
export function isDominant<T, M>(o: Arithmetic<T, M>, a: T): M {
  return o.less(o.constant(0.5), a);
}

/** The probability outside the dominant output: Σ of the outputs that are at most ½. */
export function restOfRow<T, M>(o: Arithmetic<T, M>, a: Row<T>, start: number, units: number): T {
  const zero = o.constant(0);
  let rest = zero;
  for (let k = start; k < start + units; k++) rest = o.add(rest, o.select(isDominant(o, a[k]), zero, a[k]));
  return rest;
}

/** 1 − a without cancellation; `rest` is restOfRow. */
export function complementOf<T, M>(o: Arithmetic<T, M>, a: T, rest: T): T {
  return o.select(isDominant(o, a), rest, o.sub(o.constant(1), a));
}

/** a_k = e^(z_k − max z) / Σ_i e^(z_i − max z) */
export function softmaxForward<T, M>(o: Arithmetic<T, M>, z: Row<T>, a: Row<T>, start: number, units: number): void {
  const largest = rowMaximum(o, z, start, units);
  if (units === 2) expOfTwo(o, z, a, largest, start);
  else for (let k = start; k < start + units; k++) a[k] = expNonPositive(o, o.sub(z[k], largest));
  let sum = o.constant(0);
  for (let k = start; k < start + units; k++) sum = o.add(sum, a[k]);
  const reciprocal = o.div(o.constant(1), sum);
  for (let k = start; k < start + units; k++) a[k] = o.mul(a[k], reciprocal);
}

/** e^(z_k − max z) of two units by one exponential: the other is e^0 = 1, or NaN where the largest z is infinite. */
function expOfTwo<T, M>(o: Arithmetic<T, M>, z: Row<T>, a: Row<T>, largest: T, start: number): void {
  const below = expOfSmaller(o, z, largest, start);
  const top = o.add(o.constant(1), o.sub(largest, largest));
  const second = o.less(z[start], z[start + 1]);
  a[start] = o.select(second, below, top);
  a[start + 1] = o.select(second, top, below);
}

/** e^(min z − max z) of two units; NaN where one of them is NaN. */
function expOfSmaller<T, M>(o: Arithmetic<T, M>, z: Row<T>, largest: T, start: number): T {
  const [first, second] = [z[start], z[start + 1]];
  return expNonPositive(o, o.sub(o.select(o.less(first, second), first, second), largest));
}

/**
 * dz_k = a_k·(g_k − Σ_i a_i g_i). The same constant may be taken off every g; taking off that of the dominant output
 * leaves nothing to cancel when it is nearly 1.
 */
export function softmaxBackward<T, M>(
  o: Arithmetic<T, M>,
  a: Row<T>,
  gradient: Row<T>,
  start: number,
  units: number,
): void {
  const zero = o.constant(0);
  let dominant = zero;
  for (let k = start; k < start + units; k++) {
    dominant = o.add(dominant, o.select(isDominant(o, a[k]), gradient[k], zero));
  }
  let mean = zero;
  for (let k = start; k < start + units; k++) {
    gradient[k] = o.sub(gradient[k], dominant);
    mean = o.mulAdd(a[k], gradient[k], mean);
  }
  for (let k = start; k < start + units; k++) gradient[k] = o.mul(a[k], o.sub(gradient[k], mean));
}

/**
 * log Σ_i e^(z_i − max z), exact to its own size when one z stands out: log1p of everything but one largest term.
 * The exponentials are those of `softmaxForward`, so that compiled code shares them.
 */
export function logSumOfShifted<T, M>(o: Arithmetic<T, M>, z: Row<T>, largest: T, start: number, units: number): T {
  if (units === 2) return log1pUnit(o, expOfSmaller(o, z, largest, start));
  const zero = o.constant(0);
  let rest = zero;
  let ties = o.constant(-1);
  for (let k = start; k < start + units; k++) {
    // A NaN counts as below, so that it is not lost.
    const top = o.lessOrEqual(largest, z[k]);
    rest = o.add(rest, o.select(top, zero, expNonPositive(o, o.sub(z[k], largest))));
    ties = o.add(ties, o.select(top, o.constant(1), zero));
  }
  return log1pPositive(o, o.add(rest, ties));
}

/** log Σ_i e^(z_i) */
export function logSumExp<T, M>(o: Arithmetic<T, M>, z: Row<T>, start: number, units: number): T {
  const largest = rowMaximum(o, z, start, units);
  return o.add(largest, logSumOfShifted(o, z, largest, start, units));
}

/** a_k = z_k − log Σ_i e^(z_i) */
export function logSoftmaxForward<T, M>(o: Arithmetic<T, M>, z: Row<T>, a: Row<T>, start: number, units: number): void {
  const largest = rowMaximum(o, z, start, units);
  const logSum = logSumOfShifted(o, z, largest, start, units);
  for (let k = start; k < start + units; k++) a[k] = o.sub(o.sub(z[k], largest), logSum);
}

/** dz_k = g_k − p_k·Σ_i g_i = g_k·(1 − p_k) − p_k·(Σ_i g_i − g_k), p = e^a */
export function logSoftmaxBackward<T, M>(
  o: Arithmetic<T, M>,
  a: Row<T>,
  gradient: Row<T>,
  start: number,
  units: number,
): void {
  let sum = o.constant(0);
  for (let k = start; k < start + units; k++) sum = o.add(sum, gradient[k]);
  for (let k = start; k < start + units; k++) {
    const own = o.mul(gradient[k], o.neg(expm1NonPositive(o, a[k])));
    gradient[k] = o.sub(own, o.mul(expNonPositive(o, a[k]), o.sub(sum, gradient[k])));
  }
}
