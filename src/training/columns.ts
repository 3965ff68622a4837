/** Columns of numbers, one per point: a tiny network brings millions of points a second. */
import type { FloatArray } from '../engine/backend.ts';

/** One value per point, or a single one where it is the same for all of them. */
export type Column = FloatArray;

/** What can be handed to another thread. */
export type OwnFloats = Float32Array<ArrayBuffer> | Float64Array<ArrayBuffer>;

/** A stretch of a column: `count` points. */
export interface ColumnPart {
  readonly values: Column;
  readonly count: number;
}

/** The points `start ≤ i < end`; a view. */
export const columnSlice = (values: Column, start: number, end: number): Column =>
  values.length === 1 ? values : values.subarray(start, end);

/** The same, a value for each point. */
export const writtenOut = (values: Column, start: number, end: number): FloatArray =>
  values.length === 1 ? new Float64Array(end - start).fill(values[0]) : values.subarray(start, end);

/** A single value where all are the same, so that the others need not be held; else the column as it is. A plain loop. */
export function shortened(values: Column): Column {
  for (let i = 1; i < values.length; i++) if (!Object.is(values[i], values[0])) return values;
  return values.slice(0, 1);
}

/** Parts laid end to end in a fresh array; a single value where all have that. */
export function joinColumns(parts: readonly ColumnPart[]): OwnFloats {
  const arrays = parts.map(({ values }) => values);
  if (arrays.every((values) => values.length === 1 && Object.is(values[0], arrays[0][0])))
    return joinFloats(arrays.slice(0, 1));
  const whole = emptyLike(arrays, sumOf(parts.map(({ count }) => count)));
  let offset = 0;
  for (const { values, count } of parts) {
    if (values.length === count) whole.set(values, offset);
    else whole.fill(values[0], offset, offset + count);
    offset += count;
  }
  return whole;
}

/** Arrays laid end to end in a fresh one. */
export function joinFloats(arrays: readonly FloatArray[]): OwnFloats {
  const whole = emptyLike(arrays, sumOf(arrays.map(({ length }) => length)));
  let offset = 0;
  for (const array of arrays) {
    whole.set(array, offset);
    offset += array.length;
  }
  return whole;
}

/** In float64 unless all are float32. */
const emptyLike = (arrays: readonly FloatArray[], length: number): OwnFloats =>
  arrays.length > 0 && arrays.every((array) => array instanceof Float32Array)
    ? new Float32Array(length)
    : new Float64Array(length);

const sumOf = (counts: readonly number[]): number => counts.reduce((sum, count) => sum + count, 0);
