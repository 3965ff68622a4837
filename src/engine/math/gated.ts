/**
 * The activations that are an argument times a gate, and their derivatives, for arguments of any size.
 *
 * Where the gate vanishes the argument is cut (at a point where the product is 0 already), because −Infinity·0 is not 0;
 * where the derivative has a product of the argument and the gate's slope, both sides are.
 */
import type { Arithmetic } from '../arithmetic.ts';
import { normalCdf, normalDensity } from './error-function.ts';
import { expOfMinusAbs, sigmoid, sigmoidSlope } from './logistic.ts';

/** Beyond it e^−|z| is 0 in float64, so that sigmoid and mish are at their limits. */
const LOGISTIC_END = 800;
/** Beyond it Φ and φ are at their limits. */
const NORMAL_END = 40;
/** Beyond it √(8/π)·(z + 0.044715 z³) is past LOGISTIC_END. */
const CUBIC_END = 32;

const TWICE_ROOT_2_OVER_PI = 1.5957691216057308;
const CUBIC = 0.044715;

function atLeast<T, M>(o: Arithmetic<T, M>, z: T, minimum: number): T {
  return o.maximum(z, o.constant(minimum));
}

function within<T, M>(o: Arithmetic<T, M>, z: T, end: number): T {
  return o.minimum(atLeast(o, z, -end), o.constant(end));
}

/** z·σ(z) */
export function silu<T, M>(o: Arithmetic<T, M>, z: T): T {
  return o.mul(atLeast(o, z, -LOGISTIC_END), sigmoid(o, z));
}

/** σ(z) + z·σ(z)·σ(−z) = σ(z)·(1 + z·σ(−z)) */
export function siluSlope<T, M>(o: Arithmetic<T, M>, z: T): T {
  const bounded = within(o, z, LOGISTIC_END);
  const e = expOfMinusAbs(o, z);
  const larger = o.div(o.constant(1), o.add(o.constant(1), e));
  const smaller = o.mul(e, larger);
  const negative = o.less(z, o.constant(0));
  const complement = o.select(negative, larger, smaller);
  return o.mul(o.select(negative, smaller, larger), o.mulAdd(bounded, complement, o.constant(1)));
}

/** z·Φ(z) */
export function gelu<T, M>(o: Arithmetic<T, M>, z: T): T {
  return o.mul(atLeast(o, z, -NORMAL_END), normalCdf(o, z));
}

/** Φ(z) + z·φ(z) */
export function geluSlope<T, M>(o: Arithmetic<T, M>, z: T): T {
  return o.mulAdd(within(o, z, NORMAL_END), normalDensity(o, z), normalCdf(o, z));
}

/** √(8/π)·(z + 0.044715 z³), which makes z·(1 + tanh(…))/2 = z·σ(u): no cancellation where the gate closes. */
function cubicGate<T, M>(o: Arithmetic<T, M>, z: T): T {
  const cubic = o.mulAdd(o.mul(z, z), o.constant(CUBIC), o.constant(1));
  return o.mul(o.mul(z, o.constant(TWICE_ROOT_2_OVER_PI)), cubic);
}

/** z·σ(u), u = √(8/π)·(z + 0.044715 z³) */
export function geluTanh<T, M>(o: Arithmetic<T, M>, z: T): T {
  return o.mul(atLeast(o, z, -CUBIC_END), sigmoid(o, cubicGate(o, within(o, z, CUBIC_END))));
}

/** σ(u) + z·u'·σ(u)·σ(−u) */
export function geluTanhSlope<T, M>(o: Arithmetic<T, M>, z: T): T {
  const bounded = within(o, z, CUBIC_END);
  const u = cubicGate(o, bounded);
  const square = o.mul(bounded, bounded);
  const slope = o.mul(
    o.mulAdd(square, o.constant(3 * CUBIC), o.constant(1)),
    o.mul(bounded, o.constant(TWICE_ROOT_2_OVER_PI)),
  );
  return o.mulAdd(slope, sigmoidSlope(o, u), sigmoid(o, u));
}

/** tanh(softplus(z)) as numerator / denominator in e = e^−|z|, and 1 minus it: nothing overflows, nothing cancels. */
function mishGate<T, M>(o: Arithmetic<T, M>, z: T): { gate: T; complement: T; e: T; negative: M } {
  const e = expOfMinusAbs(o, z);
  const negative = o.less(z, o.constant(0));
  // With w = e^z: (w² + 2w) / (w² + 2w + 2); above 0 both are divided by w².
  const numerator = o.select(negative, o.mul(e, o.add(e, o.constant(2))), o.mulAdd(o.constant(2), e, o.constant(1)));
  const remainder = o.select(negative, o.constant(2), o.mul(o.mul(e, e), o.constant(2)));
  const denominator = o.add(numerator, remainder);
  return { gate: o.div(numerator, denominator), complement: o.div(remainder, denominator), e, negative };
}

/** z·tanh(softplus(z)) */
export function mish<T, M>(o: Arithmetic<T, M>, z: T): T {
  return o.mul(atLeast(o, z, -LOGISTIC_END), mishGate(o, z).gate);
}

/** g + z·(1 − g)·(1 + g)·σ(z), g = tanh(softplus(z)) */
export function mishSlope<T, M>(o: Arithmetic<T, M>, z: T): T {
  const { gate, complement, e, negative } = mishGate(o, z);
  const logistic = o.div(o.select(negative, e, o.constant(1)), o.add(o.constant(1), e));
  const slope = o.mul(o.mul(complement, o.add(o.constant(1), gate)), logistic);
  return o.mulAdd(within(o, z, LOGISTIC_END), slope, gate);
}
