import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  applyScaling,
  type FittedRows,
  fitScaling,
  invertScaling,
  type ScalingName,
  scalings,
} from '../../src/training/preprocessing.ts';

const golden: {
  columns: {
    id: string;
    column: number[];
    sd_population: number;
    mean: number;
    standardized: number[];
    minmax_scaled: number[];
  }[];
} = JSON.parse(readFileSync(new URL('../golden/5-overflow-torture.json', import.meta.url), 'utf8')).preprocessing;

const names = Object.keys(scalings) as ScalingName[];
const fitAndApply = (name: ScalingName, data: FittedRows) => {
  const scaling = fitScaling(name, data);
  return { scaling, scaled: applyScaling(scaling, data.values, new Float64Array(data.values.length)) };
};
const column = (...values: number[]): FittedRows => ({ values: Float64Array.from(values), columns: 1 });
const largestDifference = (got: ArrayLike<number>, want: readonly number[]) =>
  Math.max(...want.map((value, i) => (Number.isNaN(got[i]) ? Number.POSITIVE_INFINITY : Math.abs(got[i] - value))));

describe('the reference columns', () => {
  // The tolerance is the reference's own: 1e-9 absolute on numbers of the size 1.
  it.each(golden.columns)(
    'standardize and min_max agree to 1e-9: $id',
    ({ column: values, standardized, minmax_scaled }) => {
      const data = column(...values);
      expect(largestDifference(fitAndApply('standardize', data).scaled, standardized)).toBeLessThanOrEqual(1e-9);
      expect(largestDifference(fitAndApply('min_max', data).scaled, minmax_scaled)).toBeLessThanOrEqual(1e-9);
    },
  );

  it('ten times 0.1 has no standard deviation of 1e-17: it becomes exactly 0, with scale 1', () => {
    const { scaling, scaled } = fitAndApply('standardize', column(...Array(10).fill(0.1)));
    expect(scaling).toEqual({ name: 'standardize', shift: [0.1], scale: [1] });
    expect([...scaled]).toEqual(Array(10).fill(0));
  });

  it.each(names)(
    'a column of one value, whatever it is and however often it occurs, becomes exactly 0 with scale 1: %s',
    (name) => {
      fc.assert(
        fc.property(
          fc.double({ noNaN: true, noDefaultInfinity: true }),
          fc.integer({ min: 1, max: 300 }),
          (value, rows) => {
            const { scaling, scaled } = fitAndApply(name, column(...Array(rows).fill(value)));
            expect(scaling.scale).toEqual([1]);
            expect(scaled.every((x) => x === 0)).toBe(true);
          },
        ),
      );
    },
  );

  it('a million values whose sum is rounded many times are still constant, or nearly so, and never NaN', () => {
    const values = new Float64Array(1_000_000).fill(0.3);
    expect(fitScaling('standardize', { values, columns: 1 })).toEqual({
      name: 'standardize',
      shift: [0.3],
      scale: [1],
    });
    values[7] = 0.30000000000000004;
    const { scale } = fitScaling('standardize', { values, columns: 1 });
    // One value of a million is one ulp (2^-54) away: sd = 2^-54·√(10^-6·(1 − 10^-6)), within the rounding of the mean.
    const sd = 2 ** -54 * Math.sqrt(1e-6 * (1 - 1e-6));
    expect(Math.abs(scale[0] - sd)).toBeLessThanOrEqual(sd * 1e-6);
  });

  it('keeps ordinary columns readable: mean and population standard deviation', () => {
    expect(fitScaling('standardize', column(1, 2, 3, 6))).toEqual({
      name: 'standardize',
      shift: [3],
      scale: [Math.sqrt(3.5)],
    });
  });
});

describe('every scaling', () => {
  const matrix = fc.integer({ min: 1, max: 5 }).chain((columns) =>
    fc.array(fc.double({ min: -1e6, max: 1e6, noNaN: true }), { minLength: columns, maxLength: 60 }).map((values) => ({
      values: Float64Array.from(values.slice(0, values.length - (values.length % columns))),
      columns,
    })),
  );

  it.each(names)('%s is undone by its inverse', (name) => {
    fc.assert(
      fc.property(matrix, (data) => {
        const { scaling, scaled } = fitAndApply(name, data);
        const back = invertScaling(scaling, scaled, new Float64Array(scaled.length));
        // Four roundings, each at most 2^-53 of a number ≤ |x| + |shift| ≤ 2e6 (scaled differences have that size too).
        expect(largestDifference(back, [...data.values])).toBeLessThanOrEqual(8 * 2 ** -53 * 4e6);
      }),
    );
  });

  it.each(names)('%s stays finite on a column whose spread is nearly nothing beside an outlier', (name) => {
    const { scaled } = fitAndApply(name, column(0, 0, -5e-324, 8.881784197001252e-16, -5e-324));
    expect([...scaled].every(Number.isFinite)).toBe(true);
  });

  it.each(names)('%s comes back unchanged from JSON', (name) => {
    const scaling = fitScaling(name, { values: Float64Array.of(1e300, 5e-324, -1e300, 0, 3e299, 1e-323), columns: 2 });
    expect(JSON.parse(JSON.stringify(scaling))).toEqual(scaling);
  });

  it.each(names)('%s is fitted on the named rows alone', (name) => {
    const values = Float64Array.of(1, 10, 1e9, -1e9, 3, 30, 4, 80);
    const fitted = fitScaling(name, { values, columns: 2, rows: Uint32Array.of(0, 2, 3) });
    expect(fitted).toEqual(fitScaling(name, { values: Float64Array.of(1, 10, 3, 30, 4, 80), columns: 2 }));
  });

  it.each(names)('%s turns a constant column into 0 and leaves the other alone', (name) => {
    const { scaled } = fitAndApply(name, { values: Float64Array.of(5, 1, 5, 2, 5, 3), columns: 2 });
    expect([0, 2, 4].map((i) => scaled[i])).toEqual([0, 0, 0]);
    expect(scaled[5]).toBeGreaterThan(scaled[1]);
  });

  it.each(names)('%s refuses to be fitted on nothing', (name) => {
    expect(() => fitScaling(name, { values: new Float64Array(0), columns: 2 })).toThrow('at least one row');
  });
});

describe('robust', () => {
  it('centres on the median and scales by the interquartile range of numpy', () => {
    // numpy.percentile([1, 2, 3, 4, 100], [25, 50, 75]) = [2, 3, 4]; of [1, 2, 3, 10]: [1.75, 2.5, 4.75].
    expect(fitScaling('robust', column(100, 1, 3, 2, 4))).toEqual({ name: 'robust', shift: [3], scale: [2] });
    expect(fitScaling('robust', column(10, 1, 3, 2))).toEqual({ name: 'robust', shift: [2.5], scale: [3] });
  });

  it('divides by 1 where more than half of the rows are equal', () => {
    expect([...fitAndApply('robust', column(7, 7, 7, 7, 9)).scaled]).toEqual([0, 0, 0, 0, 2]);
  });
});

it('float32 data are scaled in float64 and rounded once', () => {
  const values = Float32Array.of(0.1, 0.2, 0.4);
  const scaling = fitScaling('standardize', { values, columns: 1 });
  const exact = applyScaling(scaling, values, new Float64Array(3));
  expect(applyScaling(scaling, values, new Float32Array(3))).toEqual(Float32Array.from(exact));
});
