/** Comparisons of numbers that let no NaN through: NaN equals only NaN, an infinity only itself. */
import { expect } from 'vitest';

/** How far a value may be off: |got − want| ≤ relative·|want| + scaled·(largest finite |want|) + absolute. */
export interface Tolerance {
  readonly relative?: number;
  readonly scaled?: number;
  readonly absolute?: number;
}

type Nested = number | string | readonly Nested[];

/** Reference files write the numbers that JSON lacks as strings. */
export function numbers(values: Nested): number[] {
  if (typeof values === 'number') return [values];
  if (typeof values === 'string') return [Number(values)];
  return values.flatMap(numbers);
}

/** Fails unless got and want have the same number of entries and every entry is within the tolerance. */
export function expectClose(got: ArrayLike<number>, wanted: Nested, tolerance: Tolerance, what: string): void {
  const want = numbers(wanted);
  expect(got.length, `${what}: number of entries`).toBe(want.length);
  const { relative = 0, scaled = 0, absolute = 0 } = tolerance;
  const largest = Math.max(0, ...want.map(Math.abs).filter(Number.isFinite));
  for (let i = 0; i < want.length; i++) {
    const allowed = relative * Math.abs(want[i]) + scaled * largest + absolute;
    const equal = Object.is(got[i], want[i]) || got[i] === want[i];
    if (!equal && !(Math.abs(got[i] - want[i]) <= allowed)) {
      expect.fail(`${what}[${i}]: got ${got[i]}, want ${want[i]}, off by ${got[i] - want[i]}, allowed ${allowed}`);
    }
  }
}
