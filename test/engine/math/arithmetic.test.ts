import { describe, expect, it } from 'vitest';
import { float32 } from '../../../src/engine/math/float32.ts';
import { float64 } from '../../../src/engine/math/float64.ts';

const kinds = [
  { o: float64, lowest: -1022, highest: 1023, bits: 52 },
  { o: float32, lowest: -126, highest: 127, bits: 23 },
] as const;

describe.each(kinds)('$o.precision arithmetic', ({ o, lowest, highest, bits }) => {
  it('takes a normal number apart into mantissa and exponent, and puts it together again', () => {
    for (let n = lowest; n <= highest; n++) {
      for (const m of [1, 1.5, 2 - 2 ** -bits]) {
        const value = o.scale(m, n);
        expect([o.exponent(value), o.mantissa(value)]).toEqual([n, m]);
        expect(value).toBe(m * 2 ** n);
      }
    }
  });

  it('scales into the subnormal numbers with one rounding, and to Infinity', () => {
    const smallest = 2 ** (lowest - bits);
    expect(o.scale(2 ** (lowest + 1), -1 - bits)).toBe(smallest);
    expect(o.scale(1.5 * 2 ** lowest, -bits)).toBe(2 * smallest);
    expect(o.scale(0.5 * smallest * 2 ** 60, -60)).toBe(0);
    expect(o.scale(2, highest)).toBe(Infinity);
  });

  it('rounds to the nearest integer, ties to even, keeping the sign of zero and what is not finite', () => {
    const cases = [
      [0.5, 0],
      [1.5, 2],
      [2.5, 2],
      [-0.5, -0],
      [-1.5, -2],
      [-0.3, -0],
      [2 ** bits + 1, 2 ** bits + 1],
      [Infinity, Infinity],
      [Number.NaN, Number.NaN],
    ];
    for (const [value, rounded] of cases) expect(o.nearest(value)).toBe(rounded);
  });

  it('lets NaN through minimum and maximum from either side', () => {
    for (const f of [o.minimum, o.maximum]) {
      expect([f(Number.NaN, 1), f(1, Number.NaN)]).toEqual([Number.NaN, Number.NaN]);
    }
  });
});

it('rounds every float32 operation once, and the strict multiply-add twice', () => {
  const third = float32.div(1, 3);
  expect(third).toBe(Math.fround(1 / 3));
  const a = 1 + 2 ** -12;
  expect(float32.mulAdd(a, a, -1)).toBe(Math.fround(Math.fround(a * a) - 1));
  expect(float32.mulAdd(a, a, -1)).not.toBe(Math.fround(a * a - 1));
  expect(float32.constant(0.1)).toBe(Math.fround(0.1));
});
