/** Arithmetic on JavaScript numbers: the specification of the engine. */
import type { Arithmetic } from '../arithmetic.ts';

const floats = new Float64Array(1);
const words = new Uint32Array(floats.buffer);
/** Index of the word that holds sign, exponent and the top of the significand. */
const high = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1 ? 1 : 0;
const low = 1 - high;

/** 2^n for integer n in [-1022, 1023], put together from its exponent field. */
function powerOfTwo(n: number): number {
  words[low] = 0;
  words[high] = (n + 1023) << 20;
  return floats[0];
}

/** Multiply, then add: two roundings. */
export const float64: Arithmetic<number, boolean> = {
  precision: 'float64',
  constant: (value) => value,
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  sqrt: (a) => Math.sqrt(a),
  neg: (a) => -a,
  abs: (a) => Math.abs(a),
  mulAdd: (a, b, c) => a * b + c,
  minimum: (a, b) => Math.min(a, b),
  maximum: (a, b) => Math.max(a, b),
  less: (a, b) => a < b,
  lessOrEqual: (a, b) => a <= b,
  equal: (a, b) => a === b,
  select: (mask, ifTrue, ifFalse) => (mask ? ifTrue : ifFalse),
  nearest: (a) => {
    if (!(Math.abs(a) < 2 ** 51)) return a;
    // Adding and taking away 1.5·2^52 leaves no room for a fraction, so the sum itself rounds, ties to even.
    const rounded = a + 6755399441055744 - 6755399441055744;
    return rounded === 0 ? a * 0 : rounded; // keeps the sign of zero, as the wasm instruction does
  },
  scale: (a, n) => a * powerOfTwo(n),
  exponent(a) {
    floats[0] = a;
    return ((words[high] >>> 20) & 0x7ff) - 1023;
  },
  mantissa(a) {
    floats[0] = a;
    words[high] = (words[high] & 0xfffff) | 0x3ff00000;
    return floats[0];
  },
};
