/** How far one implementation of a function is from another, in units in the last place of float32 or float64. */
import type { Arithmetic } from '../../../src/engine/arithmetic.ts';
import { float32 } from '../../../src/engine/math/float32.ts';

export type Scalar = <T, M>(o: Arithmetic<T, M>, x: T) => T;

/** Float32 with one rounding per multiply-add; float64 holds the product of two float32 exactly. */
export const fused32: Arithmetic<number, boolean> = {
  ...float32,
  mulAdd: (a, b, c) => Math.fround(a * b + c),
};

/** Spacing of float32 at |value|; 2^-149 among the subnormal numbers. */
export function ulp32(value: number): number {
  const magnitude = Math.abs(value);
  if (magnitude < 2 ** -126) return 2 ** -149;
  return 2 ** (Math.floor(Math.log2(magnitude)) - 23);
}

/** Error of a float32 result against the exact value, in ulp; Infinity where one is NaN or infinite and the other not. */
export function error32(got: number, exact: number): number {
  const want = Math.fround(exact);
  if (Object.is(got, want) || got === want) return Math.abs(got) < Infinity ? Math.abs(got - exact) / ulp32(exact) : 0;
  // At the edge of overflow the last finite number and Infinity are neighbours.
  const distance = Math.abs(Math.min(Math.abs(got), 2 ** 128) - Math.min(Math.abs(want), 2 ** 128));
  if (Math.abs(got) === Infinity || Math.abs(want) === Infinity) return distance / 2 ** 104;
  const error = Math.abs(got - exact) / ulp32(exact);
  return Number.isNaN(error) ? Infinity : error;
}

const word = new Uint32Array(1);
const float = new Float32Array(word.buffer);

/** Every `step`-th float32 of both signs, by bit pattern: all binades, subnormals, infinities and zeros alike. */
export function* floats32(step: number): Generator<number> {
  for (let bits = 0; bits <= 0x7f800000; bits += step) {
    word[0] = bits;
    const value = float[0];
    yield value;
    yield -value;
  }
  yield* [Infinity, -Infinity, 2 ** -149, -(2 ** -149), 2 ** -126, 1, -1];
}

/** `count` float32 values evenly spread over an interval, ends included. */
export function* spread32(from: number, to: number, count: number): Generator<number> {
  for (let k = 0; k <= count; k++) yield Math.fround(from + ((to - from) * k) / count);
}
