/**
 * erf, erfc and the normal distribution.
 *
 * For x ≥ 0, erfc x = e^(−x²)·G(t) / (1 + 2x) with t = (x − c)/(x + c), which folds [0, ∞) into [−1, 1) and leaves G so
 * smooth that one polynomial serves the whole range (the scaling of Shepherd and Laframboise, 1981): degree 22 for
 * float64 (2.1e-17), degree 10 for float32 (9.4e-9), both minimax by Remez. For |x| < 1, erf x = x + x·(Q(x²) − 1).
 */
import type { Arithmetic } from '../arithmetic.ts';
import { expNonPositive } from './exponential.ts';
import { type PerPrecision, polynomial } from './polynomial.ts';

interface ErrorFunctionConstants {
  /** From here on erfc rounds to 0. */
  readonly vanishes: number;
  readonly centre: number;
  /** 2^⌈p/2⌉ + 1: cuts a number of p bits into two halves whose products are exact (Veltkamp). */
  readonly splitter: number;
  /** G(t) */
  readonly scaled: readonly number[];
  /** Q(x²) − 1, so that the product with x is small against x and its rounding errors with it. */
  readonly small: readonly number[];
}

const constants: PerPrecision<ErrorFunctionConstants> = {
  float64: {
    vanishes: 28,
    centre: 3,
    splitter: 2 ** 27 + 1,
    scaled: [
      1.2530080582697296, -0.13562110612458053, -0.04756229435344914, 0.12964515870269047, -0.11927366341539408,
      0.06830802734628913, -0.023770514916731506, 0.0025293917810001666, 0.0018886903351695904, -0.0007798319772988368,
      -0.00010515961059899975, 0.00012509784493657834, 4.948510907470773e-6, -2.0095652743439785e-5,
      -7.282008430518224e-7, 3.462021532491133e-6, 3.494419955627178e-7, -6.02552569567289e-7, -1.3095639137324553e-7,
      9.01576416527077e-8, 3.2431391451395865e-8, -7.992140824315239e-9, -3.981028289453633e-9,
    ],
    small: [
      0.1283791670955126, -0.3761263890318355, 0.11283791670945253, -0.026866170643276233, 0.005223977607423621,
      -0.0008548325989705853, 0.00012055295320815185, -1.4924744670342449e-5, 1.6447517773201075e-6,
      -1.6209176697240427e-7, 1.3722979850269634e-8, -7.801195822297999e-10,
    ],
  },
  float32: {
    vanishes: 10.2,
    centre: 2,
    splitter: 2 ** 12 + 1,
    scaled: [
      1.2769784, -0.09276389, -0.16603139, 0.1640531, -0.05420486, -0.008044013, 0.008637553, 0.0012712012,
      -0.0012530637, -0.00036201152, 2.7758433e-5,
    ],
    small: [0.12837917, -0.37612626, 0.112836, -0.026854444, 0.005189535, -0.0008020841, 7.889118e-5],
  },
};

/** e^(−rate·x²) for x ≥ 0 and rate 1 or ½, without the rounding error of x², which the exponential would magnify. */
function gaussian<T, M>(o: Arithmetic<T, M>, x: T, rate: number): T {
  const spread = o.mul(x, o.constant(constants[o.precision].splitter));
  const high = o.sub(spread, o.sub(spread, x));
  // x² = high² + d with d = (x − high)(x + high); high² is exact and d below 0.06, so that four terms give e^−d.
  const rest = o.mul(o.mul(o.sub(x, high), o.add(x, high)), o.constant(rate));
  const correction = polynomial(o, rest, [1, -1, 0.5, -1 / 6]);
  return o.mul(expNonPositive(o, o.mul(o.mul(high, high), o.constant(-rate))), correction);
}

/** e^(x²)·erfc x for x ≥ 0 */
function scaledErfc<T, M>(o: Arithmetic<T, M>, x: T): T {
  const { centre, scaled } = constants[o.precision];
  const t = o.div(o.sub(x, o.constant(centre)), o.add(x, o.constant(centre)));
  return o.div(polynomial(o, t, scaled), o.mulAdd(x, o.constant(2), o.constant(1)));
}

/** erfc |x| */
function erfcOfAbs<T, M>(o: Arithmetic<T, M>, x: T): T {
  const clamped = o.minimum(o.abs(x), o.constant(constants[o.precision].vanishes));
  return o.mul(gaussian(o, clamped, 1), scaledErfc(o, clamped));
}

/** 1 − erf x, with small relative error down to the smallest results. */
export function erfc<T, M>(o: Arithmetic<T, M>, x: T): T {
  const tail = erfcOfAbs(o, x);
  return o.select(o.less(x, o.constant(0)), o.sub(o.constant(2), tail), tail);
}

/** The error function. */
export function erf<T, M>(o: Arithmetic<T, M>, x: T): T {
  const inner = o.minimum(o.abs(x), o.constant(1));
  const small = o.mulAdd(inner, polynomial(o, o.mul(inner, inner), constants[o.precision].small), inner);
  const large = o.sub(o.constant(1), erfcOfAbs(o, x));
  const magnitude = o.select(o.less(o.constant(1), o.abs(x)), large, small);
  return o.select(o.less(x, o.constant(0)), o.neg(magnitude), magnitude);
}

/** Φ(x) = erfc(−x/√2) / 2, the probability that a standard normal number is below x. */
export function normalCdf<T, M>(o: Arithmetic<T, M>, x: T): T {
  const clamped = normalArgument(o, x);
  const scaled = o.mul(scaledErfc(o, o.mul(clamped, o.constant(Math.SQRT1_2))), o.constant(0.5));
  const tail = o.mul(gaussian(o, clamped, 0.5), scaled);
  return o.select(o.less(x, o.constant(0)), tail, o.sub(o.constant(1), tail));
}

/** φ(x) = e^(−x²/2) / √(2π), the density of the standard normal distribution. */
export function normalDensity<T, M>(o: Arithmetic<T, M>, x: T): T {
  return o.mul(o.constant(0.3989422804014327), gaussian(o, normalArgument(o, x), 0.5));
}

/** |x|, cut where the normal density and its tail are 0. */
function normalArgument<T, M>(o: Arithmetic<T, M>, x: T): T {
  return o.minimum(o.abs(x), o.constant(constants[o.precision].vanishes * Math.SQRT2));
}
