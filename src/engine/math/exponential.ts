/**
 * exp and expm1 without tables and without branches.
 *
 * Reduction (Cody and Waite): x = n·ln 2 + r, |r| ≤ ln 2 / 2, with ln 2 in two parts of which n·high is exact; then
 * e^r − 1 = r + r²·P(r) and e^x = 2^n·(1 + (e^r − 1)). P is the minimax polynomial (Remez) of degree 9 for float64
 * (error of e^r − 1 below 2.2e-17 relative to r) and of degree 4 for float32 (1.4e-8).
 */
import type { Arithmetic } from '../arithmetic.ts';
import { type PerPrecision, polynomial } from './polynomial.ts';

interface ExponentialConstants {
  /** Below it e^x rounds to 0, above `highest` to Infinity. */
  readonly lowest: number;
  readonly highest: number;
  /** Below it expm1 rounds to −1. */
  readonly lowestExpm1: number;
  readonly largestExponent: number;
  /** Added to the exponent while the result may still be subnormal, so that it is rounded only once. */
  readonly guardExponent: number;
  readonly ln2High: number;
  readonly ln2Low: number;
  readonly polynomial: readonly number[];
}

const constants: PerPrecision<ExponentialConstants> = {
  float64: {
    lowest: -746,
    highest: 710,
    lowestExpm1: -40,
    largestExponent: 1023,
    guardExponent: 512,
    ln2High: 0.6931471803691238,
    ln2Low: 1.9082149292705877e-10,
    polynomial: [
      0.5000000000000002, 0.16666666666666682, 0.041666666666600946, 0.00833333333331731, 0.0013888888925544958,
      0.00019841269897702545, 2.4801511190820426e-5, 2.7557232293574534e-6, 2.762403003898482e-7, 2.5113211105640416e-8,
    ],
  },
  float32: {
    lowest: -104,
    highest: 89,
    lowestExpm1: -20,
    largestExponent: 127,
    guardExponent: 64,
    ln2High: 0.693359375,
    ln2Low: -0.00021219444,
    polynomial: [0.5, 0.16666543, 0.04166628, 0.00836659, 0.0013946472],
  },
};

/** n of the reduction: the nearest integer to x / ln 2. */
function quotient<T, M>(o: Arithmetic<T, M>, x: T): T {
  return o.nearest(o.mul(x, o.constant(Math.LOG2E)));
}

/** e^r − 1 of the remainder r = x − n·ln 2. */
function remainderExpm1<T, M>(o: Arithmetic<T, M>, x: T, n: T): T {
  const { ln2High, ln2Low, polynomial: coefficients } = constants[o.precision];
  const coarse = o.mulAdd(n, o.constant(-ln2High), x);
  const r = o.mulAdd(n, o.constant(-ln2Low), coarse);
  return o.mulAdd(o.mul(r, r), polynomial(o, r, coefficients), r);
}

/** e^x; 0 and Infinity beyond the range, subnormal results included. Below 1 ulp in float64, 1.1 ulp in float32. */
export function exp<T, M>(o: Arithmetic<T, M>, x: T): T {
  const { lowest, highest } = constants[o.precision];
  const clamped = o.minimum(o.maximum(x, o.constant(lowest)), o.constant(highest));
  const n = quotient(o, clamped);
  const significand = o.add(o.constant(1), remainderExpm1(o, clamped, n));
  // 2^n itself can be subnormal or too large, its halves are not; the first product is exact.
  const half = o.nearest(o.mul(n, o.constant(0.5)));
  return o.scale(o.scale(significand, half), o.sub(n, half));
}

/** e^x for x ≤ 0, the cheaper form that every bounded function here is built from. */
export function expNonPositive<T, M>(o: Arithmetic<T, M>, x: T): T {
  const { lowest, guardExponent } = constants[o.precision];
  const clamped = o.maximum(x, o.constant(lowest));
  const n = quotient(o, clamped);
  const significand = o.add(o.constant(1), remainderExpm1(o, clamped, n));
  const guarded = o.scale(significand, o.add(n, o.constant(guardExponent)));
  return o.mul(guarded, o.constant(2 ** -guardExponent));
}

/** e^x − 1, accurate near 0; −1 and Infinity at the ends. */
export function expm1<T, M>(o: Arithmetic<T, M>, x: T): T {
  const { lowestExpm1, highest, largestExponent } = constants[o.precision];
  const clamped = o.minimum(o.maximum(x, o.constant(lowestExpm1)), o.constant(highest));
  const n = quotient(o, clamped);
  const fraction = remainderExpm1(o, clamped, n);
  // 2^n·(e^r − 1) + (2^n − 1), the last doubling kept for the end lest 2^n overflow before the sum does.
  const exponent = o.minimum(n, o.constant(largestExponent));
  const power = o.scale(o.constant(1), exponent);
  const sum = o.mulAdd(power, fraction, o.sub(power, o.constant(1)));
  return o.scale(sum, o.sub(n, exponent));
}

/** e^x − 1 for x ≤ 0. */
export function expm1NonPositive<T, M>(o: Arithmetic<T, M>, x: T): T {
  const clamped = o.maximum(x, o.constant(constants[o.precision].lowestExpm1));
  const n = quotient(o, clamped);
  const power = o.scale(o.constant(1), n);
  return o.mulAdd(power, remainderExpm1(o, clamped, n), o.sub(power, o.constant(1)));
}
