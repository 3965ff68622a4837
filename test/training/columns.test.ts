import { expect, test } from 'vitest';
import { columnSlice, joinColumns, joinFloats, shortened, writtenOut } from '../../src/training/columns.ts';

const part = (values: Float32Array | Float64Array, count = values.length) => ({ values, count });

test('parts that all have one value are one value', () => {
  const parts = [part(Float64Array.of(0.1), 3), part(Float64Array.of(0.1), 1), part(Float64Array.of(0.1), 2)];
  expect(joinColumns(parts)).toEqual(Float64Array.of(0.1));
});

test('parts with different values are written out, in order', () => {
  const parts = [part(Float64Array.of(0.1), 2), part(Float64Array.of(3, 4)), part(Float64Array.of(0.1), 1)];
  expect(joinColumns(parts)).toEqual(Float64Array.of(0.1, 0.1, 3, 4, 0.1));
});

test('0 and -0 are different values, NaN is one', () => {
  expect(joinColumns([part(Float64Array.of(0)), part(Float64Array.of(-0))])).toHaveLength(2);
  expect(joinColumns([part(Float64Array.of(Number.NaN)), part(Float64Array.of(Number.NaN))])).toHaveLength(1);
});

test('float32 stays float32, and with a float64 part becomes float64', () => {
  expect(joinFloats([Float32Array.of(1), Float32Array.of(2)])).toEqual(Float32Array.of(1, 2));
  expect(joinFloats([Float32Array.of(1), Float64Array.of(0.1)])).toEqual(Float64Array.of(1, 0.1));
});

test('what is joined is a copy', () => {
  const values = Float64Array.of(1, 2);
  const joined = joinFloats([values]);
  values[0] = 9;
  expect(joined).toEqual(Float64Array.of(1, 2));
});

test('no parts are no values', () => {
  expect(joinColumns([])).toHaveLength(0);
  expect(joinFloats([])).toHaveLength(0);
});

test('a column is shortened only when all its values are the same', () => {
  expect(shortened(Float64Array.of(2, 2, 2))).toEqual(Float64Array.of(2));
  expect(shortened(Float64Array.of(2, 2, 1))).toEqual(Float64Array.of(2, 2, 1));
  expect(shortened(Float64Array.of(0, -0))).toHaveLength(2);
});

test('a stretch of a column of one value is that value', () => {
  expect(columnSlice(Float64Array.of(7), 3, 9)).toEqual(Float64Array.of(7));
  expect(columnSlice(Float64Array.of(7, 8, 9), 1, 3)).toEqual(Float64Array.of(8, 9));
  expect(writtenOut(Float32Array.of(7), 3, 5)).toEqual(Float64Array.of(7, 7));
  expect(writtenOut(Float64Array.of(7, 8, 9), 1, 3)).toEqual(Float64Array.of(8, 9));
});
