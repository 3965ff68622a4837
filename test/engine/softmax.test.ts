import { describe, expect, it } from 'vitest';
import { float32 } from '../../src/engine/math/float32.ts';
import { float64 } from '../../src/engine/math/float64.ts';
import {
  complementOf,
  logSoftmaxBackward,
  logSoftmaxForward,
  logSumExp,
  restOfRow,
  softmaxBackward,
  softmaxForward,
} from '../../src/engine/softmax.ts';
import { type GoldenNumber, golden } from '../golden/scalar-tables.ts';
import { softmaxTables } from '../golden/softmax-tables.ts';

const { rtol, atol } = softmaxTables.tol_strict;

/** Entries outside the tables' strict tolerance; NaN is outside whatever is wanted. */
function outside(got: ArrayLike<number>, wanted: readonly GoldenNumber[]): object[] {
  const rows = wanted.map((want, k) => ({ k, got: got[k], want: golden(want) }));
  return rows.filter(({ got, want }) => got !== want && !(Math.abs(got - want) <= rtol * Math.abs(want) + atol));
}

/** The row from index 1 of a longer array, so that a wrong start shows. */
function padded(values: readonly number[]): Float64Array {
  return Float64Array.from([99, ...values, 99]);
}

function softmax(z: readonly number[]): Float64Array {
  const a = padded(z.map(() => 0));
  softmaxForward(float64, padded(z), a, 1, z.length);
  return a;
}

describe.each(softmaxTables.rows)('$name at the strict tolerance', (row) => {
  const units = row.z.length;
  const a = softmax(row.z);

  it('softmax and 1 - softmax', () => {
    expect(outside(a.subarray(1), row.softmax)).toEqual([]);
    const rest = restOfRow(float64, a, 1, units);
    expect(
      outside(
        row.z.map((_z, k) => complementOf(float64, a[1 + k], rest)),
        row.one_minus_softmax,
      ),
    ).toEqual([]);
    expect([a[0], a[units + 1]]).toEqual([99, 99]);
  });

  it('log_softmax and logsumexp', () => {
    const logs = padded(row.z.map(() => 0));
    logSoftmaxForward(float64, padded(row.z), logs, 1, units);
    expect(outside(logs.subarray(1), row.log_softmax)).toEqual([]);
    expect(outside([logSumExp(float64, padded(row.z), 1, units)], [row.logsumexp])).toEqual([]);
    expect([logs[0], logs[units + 1]]).toEqual([99, 99]);
  });

  it('the vector–Jacobian product, with a given vector and with every unit vector', () => {
    const products = [{ v: row.jvp.v, Jv: row.jvp.Jv }];
    row.jacobian?.forEach((Jv, i) => {
      products.push({ v: row.z.map((_z, k) => (k === i ? 1 : 0)), Jv });
    });
    for (const { v, Jv } of products) {
      const gradient = padded(v);
      softmaxBackward(float64, a, gradient, 1, units);
      expect(outside(gradient.subarray(1), Jv)).toEqual([]);
    }
  });
});

it('log_softmax passes gradients back as central differences say, and exactly for one-hot gradients', () => {
  const z = [0.3, -1.2, 2.5, 0, -0.7];
  const forward = (x: readonly number[]): number[] => {
    const a = x.map(() => 0);
    logSoftmaxForward(float64, x, a, 0, x.length);
    return a;
  };
  const weights = [0.5, -1, 2, 0.25, 3];
  const loss = (x: readonly number[]): number => forward(x).reduce((sum, a, k) => sum + weights[k] * a, 0);
  const gradient = [...weights];
  logSoftmaxBackward(float64, forward(z), gradient, 0, z.length);
  z.forEach((_z, k) => {
    const moved = (h: number): number => loss(z.map((x, i) => (i === k ? x + h : x)));
    expect(Math.abs((moved(1e-5) - moved(-1e-5)) / 2e-5 - gradient[k])).toBeLessThan(1e-9);
  });
  const saturated = [1, 0];
  logSoftmaxBackward(float64, forward([50, 0]), saturated, 0, 2);
  const small = Math.exp(-50);
  expect(Math.abs(saturated[0] - small) + Math.abs(saturated[1] + small)).toBeLessThan(1e-15 * small);
});

it('keeps NaN, and float32 rows sum to 1 within 1 ulp per unit', () => {
  expect([...softmax([1, Number.NaN, 2])].slice(1, 4)).toEqual([Number.NaN, Number.NaN, Number.NaN]);
  for (const units of [1, 2, 3, 10, 1000]) {
    const z = Float32Array.from({ length: units }, (_, k) => ((k * 37) % 101) / 7);
    softmaxForward(float32, z, z, 0, units);
    expect(Math.abs(z.reduce((sum, a) => sum + a, 0) - 1)).toBeLessThan((units + 4) * 2 ** -23);
  }
});
