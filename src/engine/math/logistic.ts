/** The family of the logistic function, each from one e^−|x| so that nothing overflows and nothing cancels. */
import type { Arithmetic } from '../arithmetic.ts';
import { expm1NonPositive, expNonPositive } from './exponential.ts';
import { log, log1pUnit } from './logarithm.ts';
import { polynomial } from './polynomial.ts';

/** e^−|x| */
export function expOfMinusAbs<T, M>(o: Arithmetic<T, M>, x: T): T {
  return expNonPositive(o, o.neg(o.abs(x)));
}

/** 1 / (1 + e^−x): q = e^x / (1 + e^x) below 0, and well below 0 e^x − e^x·q, where the rounding of 1 + e^x would count. */
export function sigmoid<T, M>(o: Arithmetic<T, M>, x: T): T {
  const e = expOfMinusAbs(o, x);
  const one = o.constant(1);
  const quotient = o.div(o.select(o.less(x, o.constant(0)), e, one), o.add(one, e));
  return o.select(o.less(x, o.constant(-0.7)), o.mulAdd(o.neg(e), quotient, e), quotient);
}

/** sigmoid(x)·sigmoid(−x), its derivative: e / (1 + e)² with e = e^−|x|. */
export function sigmoidSlope<T, M>(o: Arithmetic<T, M>, x: T): T {
  const e = expOfMinusAbs(o, x);
  const reciprocal = o.div(o.constant(1), o.add(o.constant(1), e));
  return o.mul(o.mul(e, reciprocal), reciprocal);
}

/** log(1 + e^x) = max(x, 0) + log1p(e^−|x|), without PyTorch's threshold. */
export function softplus<T, M>(o: Arithmetic<T, M>, x: T): T {
  return o.add(o.maximum(x, o.constant(0)), log1pUnit(o, expOfMinusAbs(o, x)));
}

/** log sigmoid(x) = −softplus(−x) */
export function log_sigmoid<T, M>(o: Arithmetic<T, M>, x: T): T {
  return o.sub(o.minimum(x, o.constant(0)), log1pUnit(o, expOfMinusAbs(o, x)));
}

/** tanh r = r + r³·R(r²) for |r| < 0.55, minimax of degree 3 (4.5e-8 of r³, far below an ulp of float32). */
const tanhCoefficients = [-0.33333108, 0.13323501, -0.05281535, 0.01666871];

/** From here on tanh is above ½, so that 1 − 2e / (1 + e) loses nothing. */
const TANH_FAR = 0.55;

/**
 * tanh |x| = 1 − 2e / (1 + e) with e = e^(−2|x|) far from 0. Near 0, −t / (2 + t) with t = e − 1 in float64 and a
 * polynomial in float32, where the rounding of 2 + t would show. The sign is put back at the end.
 */
export function tanh<T, M>(o: Arithmetic<T, M>, x: T): T {
  const magnitude = o.abs(x);
  const twice = o.mul(magnitude, o.constant(-2));
  const far = o.less(o.constant(TANH_FAR), magnitude);
  const result = o.precision === 'float64' ? tanhByExpm1(o, twice, far) : tanhByExp(o, magnitude, twice, far);
  return o.select(o.less(x, o.constant(0)), o.neg(result), result);
}

function tanhByExpm1<T, M>(o: Arithmetic<T, M>, twice: T, far: M): T {
  const t = expm1NonPositive(o, twice);
  const e = o.add(t, o.constant(1));
  // Subtracted and not negated: tanh 0 is 0 and not −0.
  const quotient = o.div(o.select(far, o.add(e, e), o.sub(o.constant(0), t)), o.add(o.constant(1), e));
  return o.select(far, o.sub(o.constant(1), quotient), quotient);
}

function tanhByExp<T, M>(o: Arithmetic<T, M>, magnitude: T, twice: T, far: M): T {
  const e = expNonPositive(o, twice);
  const large = o.sub(o.constant(1), o.div(o.add(e, e), o.add(o.constant(1), e)));
  const near = o.minimum(magnitude, o.constant(TANH_FAR));
  const square = o.mul(near, near);
  const small = o.mulAdd(o.mul(square, near), polynomial(o, square, tanhCoefficients), near);
  return o.select(far, large, small);
}

/** 1 − tanh² x = 4e / (1 + e)² with e = e^(−2|x|). */
export function tanhSlope<T, M>(o: Arithmetic<T, M>, x: T): T {
  return o.mul(o.constant(4), sigmoidSlope(o, o.mul(x, o.constant(2))));
}

/** Below it softplus(z) = e^z to the last bit, so that its logarithm is z and the logarithm's slope 1. */
const SOFTPLUS_IS_EXP = -40;

/** log softplus(z) */
export function logSoftplus<T, M>(o: Arithmetic<T, M>, z: T): T {
  const end = o.constant(SOFTPLUS_IS_EXP);
  return o.select(o.less(z, end), z, log(o, softplus(o, o.maximum(z, end))));
}

/** σ(z) / softplus(z) */
export function logSoftplusSlope<T, M>(o: Arithmetic<T, M>, z: T): T {
  const bounded = o.maximum(z, o.constant(SOFTPLUS_IS_EXP));
  return o.div(sigmoid(o, bounded), softplus(o, bounded));
}
