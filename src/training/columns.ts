/** Columns of numbers, one per point: a tiny network brings millions of points a second. */
import type { FloatArray } from '../engine/backend.ts';
import { floatArrays, type OwnFloats } from '../engine/float-arrays.ts';
import { free } from '../engine/free.ts';

/** One value per point, or a single one where it is the same for all of them. */
export type Column = FloatArray;

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

/**
 * The same, of arrays that nobody needs any more: they have no elements afterwards. Where they lie side by side in one
 * memory, that is taken over with whatever else is in it, and nothing is copied.
 */
export function takeJoined(arrays: readonly FloatArray[]): OwnFloats {
  const parts = arrays.filter(({ length }) => length > 0);
  if (parts.length > 0 && parts.every((part, i) => i === 0 || isBehind(part, parts[i - 1]))) return taken(parts);
  const whole = joinFloats(parts.length > 0 ? parts : arrays);
  free(...parts);
  return whole;
}

const isBehind = (part: FloatArray, before: FloatArray): boolean =>
  part.buffer === before.buffer &&
  part.byteOffset === before.byteOffset + before.byteLength &&
  part.BYTES_PER_ELEMENT === before.BYTES_PER_ELEMENT;

/** A memory of its own, from the first of its parts to the last. */
function taken(parts: readonly FloatArray[]): OwnFloats {
  const [{ buffer, byteOffset, BYTES_PER_ELEMENT }] = parts;
  const length = sumOf(parts.map((part) => part.length));
  const own = (buffer as ArrayBuffer).transfer();
  return BYTES_PER_ELEMENT === 4
    ? new Float32Array(own, byteOffset, length)
    : new Float64Array(own, byteOffset, length);
}

/** In float64 unless all are float32. */
const emptyLike = (arrays: readonly FloatArray[], length: number): OwnFloats =>
  new floatArrays[arrays.length > 0 && arrays.every((array) => array instanceof Float32Array) ? 'float32' : 'float64'](
    length,
  );

const sumOf = (counts: readonly number[]): number => counts.reduce((sum, count) => sum + count, 0);
