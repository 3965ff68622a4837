/** Functions of a residual d = a − y. */
import type { Arithmetic } from '../arithmetic.ts';
import { log1p, log1pUnit } from './logarithm.ts';
import { expOfMinusAbs, tanh } from './logistic.ts';

/** −1, 0 or 1; NaN of NaN. */
export function sign<T, M>(o: Arithmetic<T, M>, d: T): T {
  const zero = o.constant(0);
  const negative = o.select(o.less(d, zero), o.constant(-1), d);
  return o.select(o.less(zero, d), o.constant(1), negative);
}

/** d, but no farther from 0 than limit. */
export function clamp<T, M>(o: Arithmetic<T, M>, d: T, limit: T): T {
  return o.minimum(o.maximum(d, o.neg(limit)), limit);
}

/** distance ≤ delta ? distance²/2 : delta·(distance − delta/2) */
export function huber<T, M>(o: Arithmetic<T, M>, distance: T, delta: T): T {
  const half = o.constant(0.5);
  const square = o.mul(o.mul(distance, distance), half);
  const linear = o.mul(delta, o.sub(distance, o.mul(delta, half)));
  return o.select(o.lessOrEqual(distance, delta), square, linear);
}

/** log cosh d: −log(1 − tanh² d)/2 near 0, |d| + log1p(e^(−2|d|)) − log 2 elsewhere, where the other form cancels. */
export function logCosh<T, M>(o: Arithmetic<T, M>, d: T): T {
  const distance = o.abs(d);
  const one = o.constant(1);
  const t = tanh(o, o.minimum(distance, one));
  const near = o.mul(o.constant(-0.5), log1p(o, o.neg(o.mul(t, t))));
  const beyond = log1pUnit(o, expOfMinusAbs(o, o.add(distance, distance)));
  const far = o.add(distance, o.sub(beyond, o.constant(Math.LN2)));
  return o.select(o.less(distance, one), near, far);
}
