/** Arithmetic on numbers rounded to float32 after every operation: the specification of the float32 engine. */
import type { Arithmetic } from '../arithmetic.ts';
import { float64 } from './float64.ts';

const { fround } = Math;
const floats = new Float32Array(1);
const words = new Uint32Array(floats.buffer);

/** 2^n for integer n in [-126, 127], put together from its exponent field. */
function powerOfTwo(n: number): number {
  words[0] = (n + 127) << 23;
  return floats[0];
}

/** Multiply, round, then add and round: the strict arithmetic of the compiled engine, bit for bit. */
export const float32: Arithmetic<number, boolean> = {
  precision: 'float32',
  constant: (value) => fround(value),
  add: (a, b) => fround(a + b),
  sub: (a, b) => fround(a - b),
  mul: (a, b) => fround(a * b),
  div: (a, b) => fround(a / b),
  sqrt: (a) => fround(Math.sqrt(a)),
  neg: (a) => -a,
  abs: (a) => Math.abs(a),
  mulAdd: (a, b, c) => fround(fround(a * b) + c),
  minimum: (a, b) => Math.min(a, b),
  maximum: (a, b) => Math.max(a, b),
  less: (a, b) => a < b,
  lessOrEqual: (a, b) => a <= b,
  equal: (a, b) => a === b,
  select: (mask, ifTrue, ifFalse) => (mask ? ifTrue : ifFalse),
  nearest: (a) => float64.nearest(a),
  scale: (a, n) => fround(a * powerOfTwo(n)),
  exponent(a) {
    floats[0] = a;
    return ((words[0] >>> 23) & 0xff) - 127;
  },
  mantissa(a) {
    floats[0] = a;
    words[0] = (words[0] & 0x7fffff) | 0x3f800000;
    return floats[0];
  },
};
