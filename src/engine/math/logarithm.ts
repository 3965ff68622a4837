/**
 * log and log1p without tables and without branches.
 *
 * x = 2^k·(1 + f) with 1 + f in [√½, √2]; then log x = k·ln 2 + log(1 + f), ln 2 in two parts.
 * float64: with s = f/(2 + f), log(1 + f) = f − (f²/2 − s·(f²/2 + s²·L(s²))), L minimax of degree 6 (error 3.1e-16
 * relative to a term that is at most 1.5 % of the result). float32: log(1 + f) = f − f²/2 + f³·P(f), P minimax of
 * degree 7 (5.9e-9), which needs no division.
 */
import type { Arithmetic } from '../arithmetic.ts';
import { expm1NonPositive, expNonPositive } from './exponential.ts';
import { type PerPrecision, polynomial } from './polynomial.ts';

interface LogarithmConstants {
  readonly ln2High: number;
  readonly ln2Low: number;
  readonly smallestNormal: number;
  /** Power of two that makes every subnormal number normal. */
  readonly liftExponent: number;
  readonly polynomial: readonly number[];
}

const constants: PerPrecision<LogarithmConstants> = {
  float64: {
    ln2High: 0.6931471803691238,
    ln2Low: 1.9082149292705877e-10,
    smallestNormal: 2 ** -1022,
    liftExponent: 54,
    polynomial: [
      0.666666666666667, 0.3999999999989789, 0.2857142862665096, 0.2222221103180627, 0.18182896204008372,
      0.15331497879664427, 0.1461909557132094,
    ],
  },
  float32: {
    ln2High: 0.693359375,
    ln2Low: -0.00021219444,
    smallestNormal: 2 ** -126,
    liftExponent: 24,
    polynomial: [0.33333316, -0.2500081, 0.20002295, -0.166245, 0.14180958, -0.13129094, 0.1288348, -0.07860937],
  },
};

/** k·ln 2 + log(1 + f) for 1 + f in [√½, √2]. */
function assemble<T, M>(o: Arithmetic<T, M>, k: T, f: T): T {
  const { ln2High, ln2Low, polynomial: coefficients } = constants[o.precision];
  const halfSquare = o.mul(o.mul(f, f), o.constant(0.5));
  const low = o.mul(k, o.constant(ln2Low));
  let correction: T;
  if (o.precision === 'float64') {
    const s = o.div(f, o.add(f, o.constant(2)));
    const w = o.mul(s, s);
    const series = o.mul(w, polynomial(o, w, coefficients));
    correction = o.sub(halfSquare, o.mulAdd(s, o.add(halfSquare, series), low));
  } else {
    const cube = o.mul(o.mul(f, f), f);
    correction = o.sub(halfSquare, o.mulAdd(cube, polynomial(o, f, coefficients), low));
  }
  return o.mulAdd(k, o.constant(ln2High), o.sub(f, correction));
}

/** The limits: log 0 = −Infinity, log of a negative number or NaN = NaN, log Infinity = Infinity. */
function withLimits<T, M>(o: Arithmetic<T, M>, x: T, inside: T): T {
  const atMost = o.select(o.equal(x, o.constant(0)), o.constant(-Infinity), o.constant(Number.NaN));
  const above = o.select(o.less(x, o.constant(Infinity)), inside, x);
  return o.select(o.less(o.constant(0), x), above, atMost);
}

/** log x, subnormal x included; below 1 ulp in float64 and float32. */
export function log<T, M>(o: Arithmetic<T, M>, x: T): T {
  const { smallestNormal, liftExponent } = constants[o.precision];
  const subnormal = o.less(x, o.constant(smallestNormal));
  const lifted = o.select(subnormal, o.mul(x, o.constant(2 ** liftExponent)), x);
  const lift = o.select(subnormal, o.constant(liftExponent), o.constant(0));
  const mantissa = o.mantissa(lifted);
  const upper = o.less(o.constant(Math.SQRT2), mantissa);
  const f = o.sub(o.select(upper, o.mul(mantissa, o.constant(0.5)), mantissa), o.constant(1));
  const carry = o.select(upper, o.constant(1), o.constant(0));
  return withLimits(o, x, assemble(o, o.sub(o.add(o.exponent(lifted), carry), lift), f));
}

/** log(1 + x) for x in [0, 1]: no exponent to take apart and no rounding before the polynomial. */
export function log1pUnit<T, M>(o: Arithmetic<T, M>, x: T): T {
  const upper = o.less(o.constant(Math.SQRT2 - 1), x);
  const f = o.select(upper, o.mul(o.sub(x, o.constant(1)), o.constant(0.5)), x);
  return assemble(o, o.select(upper, o.constant(1), o.constant(0)), f);
}

/** log(1 + x) for x ≥ −1, accurate near 0. */
export function log1p<T, M>(o: Arithmetic<T, M>, x: T): T {
  const sum = o.add(o.constant(1), x);
  return withLimits(o, sum, log1pInside(o, x, sum, o.constant(-60)));
}

/** log(1 + x) for x from 0 to 2^60: as `log1p` without its limits. */
export function log1pPositive<T, M>(o: Arithmetic<T, M>, x: T): T {
  return log1pInside(o, x, o.add(o.constant(1), x), null);
}

/** `sum` = 1 + x, positive and finite, as rounded; what that lost is not followed below 2^lowest of x. */
function log1pInside<T, M>(o: Arithmetic<T, M>, x: T, sum: T, lowest: T | null): T {
  const mantissa = o.mantissa(sum);
  const upper = o.less(o.constant(Math.SQRT2), mantissa);
  const carry = o.select(upper, o.constant(1), o.constant(0));
  const k = o.add(o.exponent(sum), carry);
  const f = o.sub(o.select(upper, o.mul(mantissa, o.constant(0.5)), mantissa), o.constant(1));
  // What rounding 1 + x lost, brought to the scale of f. Beyond 2^60 nothing of it is left.
  const small = o.less(x, o.constant(1));
  const lost = o.select(small, o.sub(x, o.sub(sum, o.constant(1))), o.sub(o.constant(1), o.sub(sum, x)));
  const shift = lowest === null ? o.neg(k) : o.maximum(o.neg(k), lowest);
  return assemble(o, k, o.add(f, o.scale(lost, shift)));
}

/** log(1 − e^−|x|); −Infinity at 0. Near 0 from expm1, elsewhere from log1p, so that neither end cancels. */
export function log1mexp<T, M>(o: Arithmetic<T, M>, x: T): T {
  const t = o.neg(o.abs(x));
  const near = log(o, o.neg(expm1NonPositive(o, t)));
  const far = log1p(o, o.neg(expNonPositive(o, t)));
  return o.select(o.less(o.constant(-Math.LN2), t), near, far);
}
