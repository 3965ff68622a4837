/** Reads 1-scalar-tables.json: values of 50-digit arithmetic at ordinary and extreme arguments. */
import { readFileSync } from 'node:fs';

export type GoldenNumber = number | 'NaN' | 'Infinity' | '-Infinity';

export interface Tolerance {
  readonly rtol: number;
  readonly atol: number;
}

interface ScalarTables {
  readonly z: readonly number[];
  readonly functions: Readonly<Record<string, { tol_strict: Tolerance; value: readonly GoldenNumber[] }>>;
  readonly bce_with_logits: readonly {
    y: number;
    tol_strict: Tolerance;
    loss: readonly GoldenNumber[];
    grad: readonly GoldenNumber[];
  }[];
}

/** A number of the reference data; what JSON cannot write stands there as a string. */
export const golden = (value: GoldenNumber): number => Number(value);

export const scalarTables: ScalarTables = JSON.parse(
  readFileSync(new URL('./1-scalar-tables.json', import.meta.url), 'utf8'),
);

/** The arguments at which `compute` leaves |got − want| ≤ rtol·|want| + atol; NaN equals only NaN. */
export function outside(
  compute: (z: number) => number,
  wanted: readonly GoldenNumber[],
  { rtol, atol }: Tolerance,
): { z: number; got: number; want: number }[] {
  const rows = scalarTables.z.map((z, i) => ({ z, got: compute(z), want: golden(wanted[i]) }));
  return rows.filter(({ got, want }) => {
    if (got === want || (Number.isNaN(got) && Number.isNaN(want))) return false;
    return !(Math.abs(got - want) <= rtol * Math.abs(want) + atol);
  });
}
