import { describe, expect, test } from 'vitest';
import { multiply, sumRows } from '../../../src/engine/reference/matrix.ts';
import { expectClose } from '../compare.ts';

const matrix = (values: Float64Array | Float32Array, outer: number, inner = 1) => ({ values, offset: 0, outer, inner });

function product(a: number[], b: number[], rows: number, columns: number, count: number): Float64Array {
  const out = new Float64Array(rows * columns);
  const [x, y] = [Float64Array.from(a), Float64Array.from(b)];
  multiply('float64', matrix(x, count), matrix(y, count), out, 0, [rows, columns, count]);
  return out;
}

describe.each([1, 3, 4, 5, 8, 9])('a product with %i columns', (columns) => {
  const [rows, count] = [3, 7];
  const a = Float64Array.from({ length: rows * count }, (_, i) => Math.sqrt(i + 1));
  const b = Float64Array.from({ length: columns * count }, (_, i) => Math.sqrt(2 * i + 3) - 3);

  test('sums in ascending order with one accumulator, bit for bit', () => {
    const got = product(Array.from(a), Array.from(b), rows, columns, count);
    for (let i = 0; i < rows; i++) {
      for (let j = 0; j < columns; j++) {
        let want = 0;
        for (let k = 0; k < count; k++) want += a[i * count + k] * b[j * count + k];
        expect(got[i * columns + j]).toBe(want);
      }
    }
  });

  test('rounds every product and sum in float32', () => {
    const [x, y] = [Float32Array.from(a), Float32Array.from(b)];
    const out = new Float32Array(rows * columns);
    multiply('float32', matrix(x, count), matrix(y, count), out, 0, [rows, columns, count]);
    let want = 0;
    for (let k = 0; k < count; k++) want = Math.fround(want + Math.fround(x[k] * y[k]));
    expect(out[0]).toBe(want);
  });

  test('takes transposes by their strides and writes from an offset', () => {
    const [at, bt] = [new Float64Array(a.length), new Float64Array(b.length)];
    for (let k = 0; k < count; k++) {
      for (let i = 0; i < rows; i++) at[k * rows + i] = a[i * count + k];
      for (let j = 0; j < columns; j++) bt[k * columns + j] = b[j * count + k];
    }
    const out = new Float64Array(2 + rows * columns).fill(-1);
    multiply('float64', matrix(at, 1, rows), matrix(bt, 1, columns), out, 2, [rows, columns, count]);
    expect(out.subarray(0, 2)).toEqual(Float64Array.of(-1, -1));
    expect(out.slice(2)).toEqual(product(Array.from(a), Array.from(b), rows, columns, count));
  });
});

describe('a sum that overflows on its way', () => {
  test('comes out finite where its value fits', () => {
    expectClose(product([1e200, 1e200, 1], [1e200, -1e200, 3], 1, 1, 3), 0, { absolute: 10 }, 'cancelling');
    expectClose(product([1e308, 1e308], [1, -0.5], 1, 1, 2), 5e307, { relative: 1e-15 }, 'shrinking');
    expectClose(product([1.5e308, 1.5e308, -1.5e308], [1, 1, 1], 1, 1, 3), 1.5e308, { relative: 1e-15 }, 'back again');
  });

  test('is infinite where its value is, with its sign', () => {
    expect(product([1e200], [1e200], 1, 1, 1)[0]).toBe(Infinity);
    expect(product([1e200, 1], [-1e200, 1], 1, 1, 2)[0]).toBe(-Infinity);
  });

  test('stays NaN when an operand is not finite', () => {
    expect(product([Number.NaN], [1], 1, 1, 1)[0]).toBeNaN();
    expect(product([Infinity, 1], [0, 1], 1, 1, 2)[0]).toBeNaN();
  });

  test('is saved in float32 too', () => {
    const out = new Float32Array(1);
    const [x, y] = [Float32Array.of(3e38, 3e38, -3e38), Float32Array.of(1, 1, 1)];
    multiply('float32', matrix(x, 3), matrix(y, 3), out, 0, [1, 1, 3]);
    expect(out[0]).toBe(Math.fround(3e38));
  });

  test('is saved in the sums of columns', () => {
    const out = new Float64Array(2);
    sumRows('float64', Float64Array.of(1e308, 1, 1e308, 2, -1e308, 3), out, 0, [3, 2]);
    expectClose(out, [1e308, 6], { relative: 1e-15 }, 'sums');
  });
});
