/** Losses of the likelihood family on softmax outputs, from the pre-activations: no logarithm of a rounded probability. */

import type { Arithmetic } from './arithmetic.ts';
import { expm1NonPositive, expNonPositive, expOfMinusAbs, log, log1p, log1pUnit } from './math/elementary.ts';
import { type Likelihood, likelihoodTerm, weighted } from './math/likelihood.ts';
import { type OutputLoss, type OutputRow, target } from './output-row.ts';
import { complementOf, isDominant, logSumOfShifted, restOfRow, rowMaximum } from './softmax.ts';

/** @param labels whether the row's target is a label */
export function softmaxLikelihood(terms: Likelihood, labels: boolean): OutputLoss {
  if (!terms.complement) {
    return {
      value: (o, row) => value(o, row, terms, labels),
      gradient: (o, row) => (row.units === 2 ? plainGradientOfTwo(o, row, labels) : plainGradient(o, row, labels)),
    };
  }
  return {
    value: (o, row) => (row.units === 2 ? twoClassLoss(o, row, labels) : value(o, row, terms, labels)),
    gradient: (o, row) => (row.units === 2 ? twoClassGradient(o, row, labels) : complementGradient(o, row, labels)),
  };
}

/** −log a_k = (max z − z_k) + log Σ e^(z − max z) */
function value<T, M>(o: Arithmetic<T, M>, row: OutputRow<T>, terms: Likelihood, labels: boolean): T {
  const { z, a, start, units } = row;
  const largest = rowMaximum(o, z, start, units);
  const logSum = logSumOfShifted(o, z, largest, start, units);
  const dominantComplement = terms.complement ? minusLogRest(o, row, largest, logSum) : logSum;
  let sum = o.constant(0);
  for (let k = 0; k < units; k++) {
    const output = a[start + k];
    const minusLog = o.add(o.sub(largest, z[start + k]), logSum);
    const minusLogComplement = terms.complement
      ? o.select(isDominant(o, output), dominantComplement, o.neg(log1p(o, o.neg(output))))
      : minusLog;
    sum = o.add(sum, likelihoodTerm(o, terms, output, target(o, row, k, labels), minusLog, minusLogComplement));
  }
  return sum;
}

/** −log(1 − a) of the dominant unit: minus the log-sum-exp of all others, which has a maximum of its own. */
function minusLogRest<T, M>(o: Arithmetic<T, M>, row: OutputRow<T>, largest: T, logSum: T): T {
  const runnerUp = largestOfRest(o, row);
  return o.sub(o.add(o.sub(largest, runnerUp), logSum), log(o, sumOfRest(o, row, runnerUp)));
}

/** The largest z outside the dominant unit; −Infinity when there is no other. */
function largestOfRest<T, M>(o: Arithmetic<T, M>, { z, a, start, units }: OutputRow<T>): T {
  let largest = o.constant(-Infinity);
  for (let k = start; k < start + units; k++) {
    largest = o.maximum(largest, o.select(isDominant(o, a[k]), o.constant(-Infinity), z[k]));
  }
  return largest;
}

/** e^(z_k − runnerUp) outside the dominant unit, where it is taken as 0. */
function shareOfRest<T, M>(o: Arithmetic<T, M>, row: OutputRow<T>, k: number, runnerUp: T): T {
  const { z, a } = row;
  const shifted = o.minimum(o.sub(z[k], runnerUp), o.constant(0));
  return o.select(isDominant(o, a[k]), o.constant(0), expNonPositive(o, shifted));
}

function sumOfRest<T, M>(o: Arithmetic<T, M>, row: OutputRow<T>, runnerUp: T): T {
  let sum = o.constant(0);
  for (let k = row.start; k < row.start + row.units; k++) sum = o.add(sum, shareOfRest(o, row, k, runnerUp));
  return sum;
}

/**
 * dz_k = a_k·Σ_i y_i − y_k = a_k·(Σ_i y_i − y_k) − y_k·(1 − a_k).
 * A linear term of the loss adds nothing: the outputs always sum to 1.
 */
function plainGradient<T, M>(o: Arithmetic<T, M>, row: OutputRow<T>, labels: boolean): void {
  const { a, gradient, start, units } = row;
  const rest = restOfRow(o, a, start, units);
  let sum = o.constant(0);
  for (let k = 0; k < units; k++) sum = o.add(sum, target(o, row, k, labels));
  for (let k = 0; k < units; k++) {
    const y = target(o, row, k, labels);
    const output = a[start + k];
    const pull = o.mul(y, complementOf(o, output, rest));
    gradient[start + k] = o.sub(o.mul(output, o.sub(sum, y)), pull);
  }
}

/** The same for two units, each the complement of the other: dz₀ = a₀·y₁ − a₁·y₀ = −dz₁. */
function plainGradientOfTwo<T, M>(o: Arithmetic<T, M>, row: OutputRow<T>, labels: boolean): void {
  const { a, gradient, start } = row;
  const push = o.mul(a[start], target(o, row, 1, labels));
  const pull = o.mul(a[start + 1], target(o, row, 0, labels));
  gradient[start] = o.sub(push, pull);
  gradient[start + 1] = o.sub(pull, push);
}

/**
 * Binary cross-entropy through the full Jacobian: dz_j = h_j − a_j·Σ_k h_k with h_k = a_k·dLoss/da_k =
 * (a_k − y_k) / (1 − a_k). Only the dominant unit's h_t can be large; a_j·h_t is then written with the share
 * q_j = a_j / (1 − a_t) of unit j among the others, and dz_t with its h_t taken out of the sum:
 * dz_j = h_j − a_j·(H − y_t) − q_j·(1 − y_t)·a_t and dz_t = (1 − y_t)·a_t − y_t·(1 − a_t) − a_t·H, H = Σ_(k ≠ t) h_k.
 * Without a dominant unit, c·a_k is taken off every h_k, which changes no dz and lets equal outputs cancel exactly.
 */
function complementGradient<T, M>(o: Arithmetic<T, M>, row: OutputRow<T>, labels: boolean): void {
  const { a, gradient, start, units } = row;
  const zero = o.constant(0);
  const one = o.constant(1);
  const highest = rowMaximum(o, a, start, units);
  const offset = o.select(isDominant(o, highest), zero, o.div(one, o.sub(one, highest)));
  let attraction = zero;
  let pressure = zero;
  let others = zero;
  for (let k = 0; k < units; k++) {
    const y = target(o, row, k, labels);
    const output = a[start + k];
    const dominant = isDominant(o, output);
    attraction = o.add(attraction, o.select(dominant, y, zero));
    pressure = o.add(pressure, o.select(dominant, o.mul(o.sub(one, y), output), zero));
    others = o.add(others, o.select(dominant, zero, slopeTimesOutput(o, output, y, offset)));
  }
  const rest = restOfRow(o, a, start, units);
  const runnerUp = largestOfRest(o, row);
  const perShare = o.div(pressure, sumOfRest(o, row, runnerUp));
  const common = o.sub(others, attraction);
  for (let k = 0; k < units; k++) {
    const y = target(o, row, k, labels);
    const output = a[start + k];
    const slope = slopeTimesOutput(o, output, y, offset);
    const share = o.mul(shareOfRest(o, row, start + k, runnerUp), perShare);
    const ordinary = o.sub(o.sub(slope, o.mul(output, common)), share);
    const push = o.sub(o.mul(o.sub(one, y), output), o.mul(y, rest));
    const atDominant = o.sub(push, o.mul(output, others));
    gradient[start + k] = o.select(isDominant(o, output), atDominant, ordinary);
  }
}

/** (a − y) / (1 − a) − offset·a, for an output that is at most ½. */
function slopeTimesOutput<T, M>(o: Arithmetic<T, M>, a: T, y: T, offset: T): T {
  const inverse = o.div(o.constant(1), o.sub(o.constant(1), a));
  return o.sub(o.mul(o.sub(a, y), inverse), o.mul(offset, a));
}

/** Two units are one logistic function of d = z₀ − z₁: loss = |d|·(d < 0 ? y₀ + 1 − y₁ : y₁ + 1 − y₀) + 2·log1p(e^−|d|). */
function twoClassLoss<T, M>(o: Arithmetic<T, M>, row: OutputRow<T>, labels: boolean): T {
  const difference = o.sub(row.z[row.start], row.z[row.start + 1]);
  const lean = o.sub(target(o, row, 0, labels), target(o, row, 1, labels));
  const wrong = o.add(o.constant(1), o.select(o.less(difference, o.constant(0)), lean, o.neg(lean)));
  const beyond = log1pUnit(o, expOfMinusAbs(o, difference));
  return o.add(weighted(o, wrong, o.abs(difference)), o.add(beyond, beyond));
}

/** dz₀ = tanh(d/2) − (y₀ − y₁) = −dz₁, as ((1 − s) − e·(1 + s)) / (1 + e) with e = e^−|d| and s turned to d's side. */
function twoClassGradient<T, M>(o: Arithmetic<T, M>, row: OutputRow<T>, labels: boolean): void {
  const one = o.constant(1);
  const difference = o.sub(row.z[row.start], row.z[row.start + 1]);
  const lean = o.sub(target(o, row, 0, labels), target(o, row, 1, labels));
  const negative = o.less(difference, o.constant(0));
  const side = o.select(negative, o.neg(lean), lean);
  const e = expOfMinusAbs(o, difference);
  const sum = o.add(one, e);
  let numerator = o.sub(o.sub(one, side), o.mul(e, o.add(one, side)));
  if (o.precision === 'float64') {
    // Where e is near 1 the same number is (1 − e) − s·(1 + e), the first part by expm1.
    const near = o.sub(o.neg(expm1NonPositive(o, o.neg(o.abs(difference)))), o.mul(side, sum));
    numerator = o.select(o.less(o.constant(0.5), e), near, numerator);
  }
  const slope = o.div(numerator, sum);
  row.gradient[row.start] = o.select(negative, o.neg(slope), slope);
  row.gradient[row.start + 1] = o.select(negative, slope, o.neg(slope));
}
