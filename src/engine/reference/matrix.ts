/**
 * The matrix product behind all three products of a dense layer. The order of summation is a contract that every back
 * end keeps: one accumulator per element, starting at 0, terms in ascending order, each product and each sum rounded.
 *
 * A sum may overflow on the way although its value fits. Only then is it computed again, with scaled terms.
 */

import type { FloatArray } from '../backend.ts';
import type { Precision } from '../definition.ts';

const { fround } = Math;

/** A matrix inside a buffer: entry (i, k) is values[offset + i·outer + k·inner], so a transpose only swaps the strides. */
export interface Matrix {
  readonly values: FloatArray;
  readonly offset: number;
  readonly outer: number;
  readonly inner: number;
}

/**
 * out[i][j] = Σ_k a(i, k)·b(j, k) for i < rows, j < columns, k < count: the product a·bᵀ, written row-major from `offset`.
 * @param betweenRows called after each row
 */
export function multiply(
  precision: Precision,
  a: Matrix,
  b: Matrix,
  out: FloatArray,
  offset: number,
  [rows, columns, count]: readonly [number, number, number],
  betweenRows: (() => void) | null = null,
): void {
  const rowProduct = precision === 'float32' ? rowProduct32 : rowProduct64;
  for (let i = 0; i < rows; i++) {
    const start = offset + i * columns;
    rowProduct(a.values, a.offset + i * a.outer, a.inner, b, out, start, columns, count);
    for (let j = 0; j < columns; j++) {
      // x − x is 0 for finite x, NaN for the others: the cheap check.
      if (out[start + j] - out[start + j] !== 0) out[start + j] = scaledDot(a, i, b, j, count);
    }
    betweenRows?.();
  }
}

/** One row of the product in float64: four columns at a time, which changes nothing but the speed. */
function rowProduct64(
  a: FloatArray,
  aStart: number,
  aStep: number,
  { values: b, offset: bOffset, outer, inner }: Matrix,
  out: FloatArray,
  start: number,
  columns: number,
  count: number,
): void {
  let j = 0;
  for (; j + 4 <= columns; j += 4) {
    let sum0 = 0;
    let sum1 = 0;
    let sum2 = 0;
    let sum3 = 0;
    let ai = aStart;
    let b0 = bOffset + j * outer;
    for (let k = 0; k < count; k++) {
      const x = a[ai];
      sum0 += x * b[b0];
      sum1 += x * b[b0 + outer];
      sum2 += x * b[b0 + 2 * outer];
      sum3 += x * b[b0 + 3 * outer];
      ai += aStep;
      b0 += inner;
    }
    out[start + j] = sum0;
    out[start + j + 1] = sum1;
    out[start + j + 2] = sum2;
    out[start + j + 3] = sum3;
  }
  for (; j < columns; j++) {
    let sum = 0;
    for (let k = 0; k < count; k++) sum += a[aStart + k * aStep] * b[bOffset + j * outer + k * inner];
    out[start + j] = sum;
  }
}

/** The same in float32: every product and every sum is rounded. */
function rowProduct32(
  a: FloatArray,
  aStart: number,
  aStep: number,
  { values: b, offset: bOffset, outer, inner }: Matrix,
  out: FloatArray,
  start: number,
  columns: number,
  count: number,
): void {
  let j = 0;
  for (; j + 4 <= columns; j += 4) {
    let sum0 = 0;
    let sum1 = 0;
    let sum2 = 0;
    let sum3 = 0;
    let ai = aStart;
    let b0 = bOffset + j * outer;
    for (let k = 0; k < count; k++) {
      const x = a[ai];
      sum0 = fround(sum0 + fround(x * b[b0]));
      sum1 = fround(sum1 + fround(x * b[b0 + outer]));
      sum2 = fround(sum2 + fround(x * b[b0 + 2 * outer]));
      sum3 = fround(sum3 + fround(x * b[b0 + 3 * outer]));
      ai += aStep;
      b0 += inner;
    }
    out[start + j] = sum0;
    out[start + j + 1] = sum1;
    out[start + j + 2] = sum2;
    out[start + j + 3] = sum3;
  }
  for (; j < columns; j++) {
    let sum = 0;
    for (let k = 0; k < count; k++) {
      sum = fround(sum + fround(a[aStart + k * aStep] * b[bOffset + j * outer + k * inner]));
    }
    out[start + j] = sum;
  }
}

const SMALL = 2 ** -512;
const LARGE = 2 ** 512;

/**
 * Σ_k a(i, k)·b(j, k) with room for intermediate values up to 2^2047. What the scaling flushes to 0 is 2^1000 times
 * smaller than the term that overflowed. Not finite only if the value does not fit, or an operand is not finite.
 */
function scaledDot(a: Matrix, i: number, b: Matrix, j: number, count: number): number {
  let sum = 0;
  for (let k = 0; k < count; k++) {
    const x = a.values[a.offset + i * a.outer + k * a.inner];
    const y = b.values[b.offset + j * b.outer + k * b.inner];
    sum += x * SMALL * (y * SMALL);
  }
  return sum * LARGE * LARGE;
}

/** out[j] = Σ_i of column j of a row-major [rows, columns] matrix, rows ascending; as safe as `multiply`. */
export function sumRows(
  precision: Precision,
  values: FloatArray,
  out: FloatArray,
  offset: number,
  [rows, columns]: readonly [number, number],
): void {
  const single = precision === 'float32';
  for (let j = 0; j < columns; j++) {
    let sum = 0;
    for (let i = 0; i < rows; i++) sum = single ? fround(sum + values[i * columns + j]) : sum + values[i * columns + j];
    if (sum - sum !== 0) {
      sum = 0;
      for (let i = 0; i < rows; i++) sum += values[i * columns + j] * SMALL;
      sum *= LARGE;
    }
    out[offset + j] = sum;
  }
}
