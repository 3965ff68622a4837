/** Units that saturate: exponentially below 0 (elu, selu), or like 1/z on both sides (softsign). */
import type { Arithmetic } from '../arithmetic.ts';
import { exp, expm1 } from './exponential.ts';

/** z > 0 ? z : alpha·(e^z − 1) */
export function exponentialUnit<T, M>(o: Arithmetic<T, M>, z: T, alpha: T): T {
  const zero = o.constant(0);
  return o.select(o.less(zero, z), z, o.mul(alpha, expm1(o, o.minimum(z, zero))));
}

/**
 * alpha·e^z below 0. Float64 evaluates it afresh; float32 takes a + alpha, as for the derivatives of tanh and sigmoid,
 * where the reuse saves the exponential and costs an absolute error of one rounding of a.
 */
export function exponentialUnitSlope<T, M>(o: Arithmetic<T, M>, z: T, a: T, alpha: T): T {
  const below = o.precision === 'float64' ? o.mul(alpha, exp(o, o.minimum(z, o.constant(0)))) : o.add(a, alpha);
  return o.select(o.less(o.constant(0), z), o.constant(1), below);
}

/** Beyond it softsign rounds to ±1; ±Infinity / Infinity would not. */
const SOFTSIGN_END = 2 ** 60;

/** z / (1 + |z|) */
export function softsign<T, M>(o: Arithmetic<T, M>, z: T): T {
  const end = o.constant(SOFTSIGN_END);
  const bounded = o.minimum(o.maximum(z, o.neg(end)), end);
  return o.div(bounded, o.add(o.constant(1), o.abs(bounded)));
}

/** 1 / (1 + |z|)² */
export function softsignSlope<T, M>(o: Arithmetic<T, M>, z: T): T {
  const reciprocal = o.div(o.constant(1), o.add(o.constant(1), o.abs(z)));
  return o.mul(reciprocal, reciprocal);
}
