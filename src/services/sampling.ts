/**
 * Thins a history of any length to a bounded number of points without losing what a reader of the curve looks for.
 *
 * The points are cut into buckets of a power of two, aligned to the numbering of the whole history. So the same points
 * fall into the same buckets however the history is read or however far a running job has come, and a stored summary
 * of aligned groups gives exactly the answer that the points themselves would give. Of every bucket the smallest and
 * the largest value of each guiding series are kept (of equals the first); the first and the last point and every point
 * with a value that is not finite are always kept.
 */

import { guidingSeries } from '../schemas/history.ts';
import type { Column } from '../training/columns.ts';

/** Points in ascending order of their index. */
export interface PointBlock {
  /** 0-based number of the first point in the whole history; the others follow one by one unless `index` is given. */
  readonly first: number;
  readonly count: number;
  /** Of a summary: the number of each point. */
  readonly index?: Float64Array | undefined;
  /** A series that is absent was measured at none of these points. */
  readonly series: Readonly<Record<string, Column>>;
}

/** `null` in a series: not measured at that point. */
export interface SampledPoints {
  readonly index: readonly number[];
  readonly series: Readonly<Record<string, readonly (number | null)[]>>;
}

/** The points `first ≤ index < end` of a history, of which at most `max_points` are wanted besides those that are not finite. */
export interface SampleRange {
  readonly first: number;
  readonly end: number;
  readonly max_points: number;
}

/** Part of a history: `first ≤ index < end`. */
type Window = Pick<SampleRange, 'first' | 'end'>;

interface Row {
  readonly index: number;
  readonly values: readonly (number | null)[];
}

/**
 * Points per bucket: the smallest power of two for which the extremes and the two ends stay within `max_points`; 1 when
 * nothing needs to be left out.
 */
export function bucketSize(range: SampleRange, guides: number): number {
  if (range.end - range.first <= range.max_points) return 1;
  const buckets = Math.floor((range.max_points - 2) / (2 * Math.max(1, guides)));
  const touched = (size: number) => Math.floor((range.end - 1) / size) - Math.floor(range.first / size) + 1;
  let size = 2;
  while (touched(size) > buckets && size < range.end) size *= 2;
  return size;
}

/** Collects blocks in ascending order and keeps the sample; its memory is that of the sample, not of the history. */
export class Sampler {
  readonly #range: SampleRange;
  readonly #names: readonly string[];
  /** Columns of the guiding series. */
  readonly #guides: readonly number[];
  /** Points per bucket; a summary of groups no larger than this gives the same sample. */
  readonly size: number;
  readonly #kept: Row[] = [];
  readonly #extremes: Extremes[];
  #bucket = -1;
  #always: Row[] = [];

  /** @param names every series of the answer */
  constructor(range: SampleRange, names: readonly string[]) {
    this.#range = range;
    this.#names = names;
    this.#guides = names.flatMap((name, column) => (guidingSeries.includes(name) ? [column] : []));
    this.size = bucketSize(range, this.#guides.length);
    this.#extremes = this.#guides.map(() => new Extremes());
  }

  /** Takes the points of a block that lie in the window. */
  add({ first, count, index, series }: PointBlock, window: Window = this.#range): void {
    const columns = this.#names.map((name) => series[name]);
    const from = Math.max(window.first, this.#range.first);
    const end = Math.min(window.end, this.#range.end);
    const start = index === undefined ? Math.max(0, from - first) : 0;
    const stop = index === undefined ? Math.min(count, end - first) : count;
    for (let i = start; i < stop; i++) {
      const place = index === undefined ? first + i : index[i];
      if (place < from || place >= end) continue;
      const bucket = Math.floor(place / this.size);
      if (bucket !== this.#bucket) this.#flush(bucket);
      this.#see(place, columns, i);
    }
  }

  finish(): SampledPoints {
    this.#flush(-1);
    const rows = this.#kept;
    return {
      index: rows.map((row) => row.index),
      series: Object.fromEntries(this.#names.map((name, column) => [name, rows.map((row) => row.values[column])])),
    };
  }

  #see(index: number, columns: Columns, i: number): void {
    const isEnd = index === this.#range.first || index === this.#range.end - 1;
    if (isEnd || this.size === 1 || hasNonFinite(columns, i)) this.#always.push(rowAt(index, columns, i));
    for (let guide = 0; guide < this.#guides.length; guide++) {
      const values = columns[this.#guides[guide]];
      if (values === undefined) continue;
      const value = values.length === 1 ? values[0] : values[i];
      if (value - value === 0) this.#extremes[guide].see(value, index, columns, i);
    }
  }

  /** Ends the bucket under way: its rows once each, in order. */
  #flush(next: number): void {
    const rows = new Map(this.#always.map((row) => [row.index, row]));
    for (const extremes of this.#extremes) {
      for (const row of extremes.take()) rows.set(row.index, row);
    }
    for (const row of [...rows.values()].sort((a, b) => a.index - b.index)) this.#kept.push(row);
    this.#bucket = next;
    this.#always = [];
  }
}

type Columns = readonly (Column | undefined)[];

/** A point by its place: rows are made of the few that are kept only. */
class Place {
  value: number;
  readonly #start: number;
  #index = 0;
  #columns: Columns | null = null;
  #i = 0;

  constructor(start: number) {
    this.#start = start;
    this.value = start;
  }

  set(value: number, index: number, columns: Columns, i: number): void {
    this.value = value;
    this.#index = index;
    this.#columns = columns;
    this.#i = i;
  }

  take(): Row[] {
    const rows = this.#columns === null ? [] : [rowAt(this.#index, this.#columns, this.#i)];
    this.value = this.#start;
    this.#columns = null;
    return rows;
  }
}

/** The smallest and the largest value of one guiding series in the bucket under way. */
class Extremes {
  readonly #smallest = new Place(Number.POSITIVE_INFINITY);
  readonly #largest = new Place(Number.NEGATIVE_INFINITY);

  see(value: number, index: number, columns: Columns, i: number): void {
    if (value < this.#smallest.value) this.#smallest.set(value, index, columns, i);
    if (value > this.#largest.value) this.#largest.set(value, index, columns, i);
  }

  take(): Row[] {
    return [...this.#smallest.take(), ...this.#largest.take()];
  }
}

const valueAt = (column: Column | undefined, i: number): number | null =>
  column === undefined ? null : column.length === 1 ? column[0] : (column[i] ?? null);

const rowAt = (index: number, columns: Columns, i: number): Row => ({
  index,
  values: columns.map((column) => valueAt(column, i)),
});

function hasNonFinite(columns: Columns, i: number): boolean {
  for (const column of columns) {
    if (column === undefined) continue;
    const value = column.length === 1 ? column[0] : column[i];
    if (value - value !== 0) return true;
  }
  return false;
}
