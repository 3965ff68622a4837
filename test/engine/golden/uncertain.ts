/**
 * Arithmetic on numbers that carry a bound of their error: a formula evaluated in it bounds its own error in float32.
 * Values are computed in float64; an error reaches the result through the operation, and the operation's own rounding in
 * float32 adds U times the result.
 */
import type { Arithmetic } from '../../../src/engine/arithmetic.ts';

/** Half the distance from 1 to the next number of float32, and the least number that it has. */
export const U = 2 ** -24;
const LEAST = 2 ** -149;

export interface Uncertain {
  readonly value: number;
  readonly error: number;
}

/** What a comparison says, and whether the errors could turn it round. */
interface Answer {
  readonly holds: boolean;
  readonly certain: boolean;
}

const { abs, max, min, sqrt } = Math;

export const exactly = (value: number): Uncertain => ({ value, error: 0 });
/** The nearest number of float32 to a given one. */
export const rounded = (value: number): Uncertain => ({ value, error: U * abs(value) + LEAST });

const result = (value: number, carried: number): Uncertain => ({ value, error: carried + U * abs(value) + LEAST });
const compared = (a: Uncertain, b: Uncertain, holds: boolean): Answer => ({
  holds,
  certain: abs(a.value - b.value) > a.error + b.error,
});
const unused = (): never => {
  throw new Error('no formula that is analysed here takes numbers apart');
};

const sum = (a: Uncertain, b: Uncertain) => result(a.value + b.value, a.error + b.error);
const neg = ({ value, error }: Uncertain): Uncertain => ({ value: -value, error });
const product = (a: Uncertain, b: Uncertain) =>
  result(a.value * b.value, abs(a.value) * b.error + abs(b.value) * a.error + a.error * b.error);

export const uncertain: Arithmetic<Uncertain, Answer> = {
  precision: 'float32',
  constant: rounded,
  add: sum,
  sub: (a, b) => sum(a, neg(b)),
  mul: product,
  div(a, b) {
    const [quotient, least] = [a.value / b.value, abs(b.value) - b.error];
    return result(quotient, least > 0 ? (a.error + abs(quotient) * b.error) / least : Infinity);
  },
  sqrt({ value, error }) {
    const root = sqrt(value);
    return result(root, max(sqrt(value + error) - root, root - sqrt(max(0, value - error))));
  },
  neg,
  abs: ({ value, error }) => ({ value: abs(value), error }),
  // Fused, the product would not be rounded.
  mulAdd: (a, b, c) => sum(product(a, b), c),
  minimum: (a, b) => ({ value: min(a.value, b.value), error: max(a.error, b.error) }),
  maximum: (a, b) => ({ value: max(a.value, b.value), error: max(a.error, b.error) }),
  less: (a, b) => compared(a, b, a.value < b.value),
  lessOrEqual: (a, b) => compared(a, b, a.value <= b.value),
  equal: (a, b) => compared(a, b, a.value === b.value),
  select({ holds, certain }, ifTrue, ifFalse) {
    const [taken, other] = holds ? [ifTrue, ifFalse] : [ifFalse, ifTrue];
    if (certain) return taken;
    return { value: taken.value, error: max(taken.error, abs(taken.value - other.value) + other.error) };
  },
  nearest: unused,
  scale: unused,
  exponent: unused,
  mantissa: unused,
};
