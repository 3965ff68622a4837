/** The terms of the losses that take logarithms of probabilities or rates. */
import type { Arithmetic } from '../arithmetic.ts';
import { expm1NonPositive } from './exponential.ts';
import { log, log1pUnit } from './logarithm.ts';
import { expOfMinusAbs } from './logistic.ts';

/**
 * A loss of the likelihood family, as data: per output
 * linear·a − y·log a − [complement]·(1 − y)·log(1 − a) + [entropy]·y·log y, with 0·log 0 = 0.
 * Back ends take the logarithms from the pre-activation instead of the output (output-loss.ts).
 */
export interface Likelihood {
  readonly linear: 0 | 1;
  readonly complement: boolean;
  readonly entropy: boolean;
}

/** weight·x, and 0 where the weight is 0 whatever x is. */
export function weighted<T, M>(o: Arithmetic<T, M>, weight: T, x: T): T {
  return o.select(o.equal(weight, o.constant(0)), o.constant(0), o.mul(weight, x));
}

/** The term of one output, from minus the logarithms of a and of 1 − a. */
export function likelihoodTerm<T, M>(
  o: Arithmetic<T, M>,
  terms: Likelihood,
  a: T,
  y: T,
  minusLog: T,
  minusLogComplement: T,
): T {
  const information = terms.entropy ? o.add(minusLog, log(o, y)) : minusLog;
  const certain = weighted(o, y, information);
  const both = terms.complement ? o.add(certain, weighted(o, o.sub(o.constant(1), y), minusLogComplement)) : certain;
  return terms.linear === 1 ? o.add(a, both) : both;
}

/** The term of one output from the output itself; back ends have better ways for the outputs of a known activation. */
export function likelihoodOfOutput<T, M>(o: Arithmetic<T, M>, terms: Likelihood, a: T, y: T): T {
  const minusLogComplement = terms.complement ? o.neg(log(o, o.sub(o.constant(1), a))) : a;
  return likelihoodTerm(o, terms, a, y, o.neg(log(o, a)), minusLogComplement);
}

/** d/da of the same: linear − y/a + [complement]·(1 − y)/(1 − a) */
export function likelihoodSlope<T, M>(o: Arithmetic<T, M>, terms: Likelihood, a: T, y: T): T {
  const one = o.constant(1);
  const attraction = o.div(y, a);
  const linear = o.sub(o.constant(terms.linear), attraction);
  return terms.complement ? o.add(linear, o.div(o.sub(one, y), o.sub(one, a))) : linear;
}

/** Binary cross-entropy of sigmoid(z): y·softplus(−z) + (1 − y)·softplus(z) = |z|·(z < 0 ? y : 1 − y) + log1p(e^−|z|). */
export function logisticLoss<T, M>(o: Arithmetic<T, M>, z: T, y: T): T {
  const wrong = o.select(o.less(z, o.constant(0)), y, o.sub(o.constant(1), y));
  return o.add(weighted(o, wrong, o.abs(z)), log1pUnit(o, expOfMinusAbs(o, z)));
}

/** Where e^−|z| is close enough to 1 for 1 − e^−|z| to be the better half of sigmoid(z) − y. */
const NEAR_HALF = 0.7;

/**
 * Its derivative sigmoid(z) − y = ((1 − y)·e^z − y) / (1 + e^z), in e = e^−|z| and without cancellation at y = 0, ½, 1:
 * for z ≥ 0 it is p·((1 − y) − y·e), p = 1/(1 + e), or near 0, in float64, p·((1 − 2y) + y·(1 − e)).
 */
export function logisticSlope<T, M>(o: Arithmetic<T, M>, z: T, y: T): T {
  const one = o.constant(1);
  const e = expOfMinusAbs(o, z);
  const p = o.div(one, o.add(one, e));
  const other = o.sub(one, y);
  const negative = o.less(z, o.constant(0));
  const lead = o.select(negative, o.neg(y), other);
  const trail = o.select(negative, other, o.neg(y));
  const far = o.mulAdd(e, trail, lead);
  if (o.precision === 'float32') return o.mul(p, far);
  const near = o.mulAdd(expm1NonPositive(o, o.neg(o.abs(z))), trail, o.sub(other, y));
  return o.mul(p, o.select(o.less(o.abs(z), o.constant(NEAR_HALF)), near, far));
}
