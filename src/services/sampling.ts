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

/** Consecutive points, or those of a summary, in ascending order of their index; one entry per point in every column. */
export interface PointBlock {
  /** 0-based number of each point in the whole history. */
  readonly index: ArrayLike<number>;
  readonly step: ArrayLike<number>;
  readonly epoch: ArrayLike<number>;
  /** A series that is absent was measured at none of these points. */
  readonly series: Readonly<Record<string, ArrayLike<number>>>;
}

/** `null` in a series: not measured at that point. */
export interface SampledPoints {
  readonly index: readonly number[];
  readonly step: readonly number[];
  readonly epoch: readonly number[];
  readonly series: Readonly<Record<string, readonly (number | null)[]>>;
}

/** The points `first ≤ index < end` of a history, of which at most `max_points` are wanted besides those that are not finite. */
export interface SampleRange {
  readonly first: number;
  readonly end: number;
  readonly max_points: number;
}

interface Row {
  readonly index: number;
  readonly step: number;
  readonly epoch: number;
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

  add(block: PointBlock): void {
    const columns = this.#names.map((name) => block.series[name]);
    const { first, end } = this.#range;
    for (let i = 0; i < block.index.length; i++) {
      const index = block.index[i];
      if (index < first || index >= end) continue;
      const bucket = Math.floor(index / this.size);
      if (bucket !== this.#bucket) this.#flush(bucket);
      this.#see(block, columns, i);
    }
  }

  finish(): SampledPoints {
    this.#flush(-1);
    const rows = this.#kept;
    return {
      index: rows.map((row) => row.index),
      step: rows.map((row) => row.step),
      epoch: rows.map((row) => row.epoch),
      series: Object.fromEntries(this.#names.map((name, column) => [name, rows.map((row) => row.values[column])])),
    };
  }

  #see(block: PointBlock, columns: readonly (ArrayLike<number> | undefined)[], i: number): void {
    const index = block.index[i];
    const isEnd = index === this.#range.first || index === this.#range.end - 1;
    if (isEnd || this.size === 1 || hasNonFinite(columns, i)) this.#always.push(rowAt(block, columns, i));
    for (let guide = 0; guide < this.#guides.length; guide++) {
      const value = columns[this.#guides[guide]]?.[i];
      if (value === undefined || !Number.isFinite(value)) continue;
      const extremes = this.#extremes[guide];
      if (value < extremes.smallest) {
        extremes.smallest = value;
        extremes.smallestRow = rowAt(block, columns, i);
      }
      if (value > extremes.largest) {
        extremes.largest = value;
        extremes.largestRow = rowAt(block, columns, i);
      }
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

/** The smallest and the largest value of one guiding series in the bucket under way, with their points. */
class Extremes {
  smallest = Number.POSITIVE_INFINITY;
  largest = Number.NEGATIVE_INFINITY;
  smallestRow: Row | null = null;
  largestRow: Row | null = null;

  take(): Row[] {
    const rows = [this.smallestRow, this.largestRow].filter((row) => row !== null);
    this.smallest = Number.POSITIVE_INFINITY;
    this.largest = Number.NEGATIVE_INFINITY;
    this.smallestRow = null;
    this.largestRow = null;
    return rows;
  }
}

type Columns = readonly (ArrayLike<number> | undefined)[];

function rowAt(block: PointBlock, columns: Columns, i: number): Row {
  return {
    index: block.index[i],
    step: block.step[i],
    epoch: block.epoch[i],
    values: columns.map((column) => column?.[i] ?? null),
  };
}

function hasNonFinite(columns: Columns, i: number): boolean {
  for (const column of columns) if (column !== undefined && !Number.isFinite(column[i])) return true;
  return false;
}
