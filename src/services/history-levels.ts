/**
 * How a history is stored: chunks of bounded size, and for long ones coarser levels beside them. A level holds, of every
 * aligned group of points, those that a sample with larger buckets would keep. So a curve over millions of points is
 * drawn without reading the points, and is the same as if they had been read.
 */

import { guidingSeries } from '../schemas/history.ts';
import type { PointChunk, Store } from '../store/store.ts';
import { columnSlice, joinColumns } from '../training/columns.ts';
import type { Resolution } from './history-tail.ts';
import type { PointBlock } from './sampling.ts';

/** Points per group, the coarsest first; powers of two, as the buckets are. */
const levels = [4096, 64] as const;

/** Shorter histories are read whole. */
const longHistory = 20_000;

/** Points in one stored chunk at most: what a reader holds of a history at a time. */
const chunkPoints = 65_536;

/** For one chunk at a time: arrays that are made anew for every one keep the garbage collector busy. */
const scratch = { keep: new Uint8Array(chunkPoints), places: new Uint32Array(chunkPoints) };

const levelName = (resolution: Resolution, level: number): string => `${resolution}/${level}`;

/** A block of points from a chunk; numbers of epochs and steps begin at 1. */
export const blockOf = ({ first, count, series }: PointChunk): PointBlock => ({ first: first - 1, count, series });

/** The points `start ≤ i < end` of a chunk; views. */
function chunkSlice(chunk: PointChunk, start: number, end: number): PointChunk {
  if (start === 0 && end === chunk.count) return chunk;
  const series = Object.entries(chunk.series).map(([name, values]) => [name, columnSlice(values, start, end)] as const);
  return { ...chunk, first: chunk.first + start, count: end - start, series: Object.fromEntries(series) };
}

/**
 * What is stored for new points: the points themselves, and their share of the levels.
 * @param points in order, those of one resolution consecutive
 * @param expected how long the history of a resolution will be: whether it needs levels
 */
export function storedChunks(
  points: readonly PointChunk[],
  expected: (resolution: Resolution) => number,
): PointChunk[] {
  const byResolution = Map.groupBy(points, ({ resolution }) => resolution as Resolution);
  return [...byResolution].flatMap(([resolution, chunks]) => {
    const pieces = regrouped(chunks);
    return expected(resolution) < longHistory ? pieces : [...pieces, ...pieces.flatMap(summaries)];
  });
}

/** The same points in as few chunks as may be. What lies in one piece already is not copied. */
function regrouped(chunks: readonly PointChunk[]): PointChunk[] {
  const whole: PointChunk[] = [];
  let parts: PointChunk[] = [];
  let room = chunkPoints;
  const close = () => {
    if (parts.length > 0) whole.push(joinChunks(parts));
    parts = [];
    room = chunkPoints;
  };
  for (const chunk of chunks) {
    if (parts.length > 0 && !hasSameSeries(parts[0], chunk)) close();
    for (let start = 0; start < chunk.count; ) {
      const end = Math.min(start + room, chunk.count);
      parts.push(chunkSlice(chunk, start, end));
      room -= end - start;
      start = end;
      if (room === 0) close();
    }
  }
  close();
  return whole;
}

function hasSameSeries(a: PointChunk, b: PointChunk): boolean {
  const [names, others] = [a, b].map(({ series }) => Object.keys(series));
  return names.length === others.length && names.every((name) => Object.hasOwn(b.series, name));
}

function joinChunks(parts: readonly PointChunk[]): PointChunk {
  const [first] = parts;
  if (parts.length === 1) return first;
  const column = (name: string) => joinColumns(parts.map(({ series, count }) => ({ values: series[name], count })));
  return {
    ...first,
    count: parts.reduce((sum, { count }) => sum + count, 0),
    series: Object.fromEntries(Object.keys(first.series).map((name) => [name, column(name)])),
  };
}

/** The share of a chunk in every level: each is drawn from the next finer one, because their groups nest. */
function summaries(chunk: PointChunk): PointChunk[] {
  let block = blockOf(chunk);
  return levels.toReversed().map((level) => {
    const { index, ...rest } = summary(block, level);
    block = { index, ...rest };
    const series = { ...rest.series, index };
    return {
      resolution: levelName(chunk.resolution as Resolution, level),
      first: chunk.first,
      count: rest.count,
      series,
    };
  });
}

/**
 * Of every group the points that a sample keeps, and the first and the last point, which say how far the rows reach.
 * Plain loops over columns: a million points must not hold up the main thread.
 */
function summary({ first, count, index, series }: PointBlock, level: number): PointBlock & { index: Float64Array } {
  const keep = scratch.keep.subarray(0, count).fill(0);
  keep[0] = 1;
  keep[count - 1] = 1;
  for (const [name, values] of Object.entries(series)) {
    for (let i = 0; i < values.length; i++) if (values[i] - values[i] !== 0) keep[i] = 1;
    if (values.length === 1 && !Number.isFinite(values[0])) keep.fill(1);
    if (guidingSeries.includes(name)) keepExtremes({ first, index, count, values, level, keep });
  }
  const kept = marked(keep);
  const chosen = Object.entries(series).map(([name, values]) => [name, picked(values, kept)] as const);
  const places = Float64Array.from(kept, (i) => (index === undefined ? first + i : index[i]));
  return { first, count: kept.length, index: places, series: Object.fromEntries(chosen) };
}

/** The places that are marked, valid until the next call. */
function marked(keep: Uint8Array): Uint32Array {
  const { places } = scratch;
  let count = 0;
  for (let i = 0; i < keep.length; i++) {
    places[count] = i;
    count += keep[i];
  }
  return places.subarray(0, count);
}

function picked(values: PointChunk['series'][string], rows: Uint32Array): PointChunk['series'][string] {
  if (values.length === 1) return values;
  const chosen = values instanceof Float32Array ? new Float32Array(rows.length) : new Float64Array(rows.length);
  for (let i = 0; i < rows.length; i++) chosen[i] = values[rows[i]];
  return chosen;
}

interface Extremes extends Pick<PointBlock, 'first' | 'index' | 'count'> {
  readonly values: PointChunk['series'][string];
  readonly level: number;
  readonly keep: Uint8Array;
}

/** Marks the smallest and the largest finite value of every group, of equals the first. */
function keepExtremes({ first, index, count, values, level, keep }: Extremes): void {
  const stride = values.length === 1 ? 0 : 1;
  for (let i = 0; i < count; ) {
    const end = (Math.floor((index === undefined ? first + i : index[i]) / level) + 1) * level;
    let smallest = -1;
    let largest = -1;
    for (; i < count && (index === undefined ? first + i : index[i]) < end; i++) {
      const value = values[i * stride];
      if (value - value !== 0) continue;
      if (smallest === -1 || value < values[smallest * stride]) smallest = i;
      if (largest === -1 || value > values[largest * stride]) largest = i;
    }
    if (smallest !== -1) keep[smallest] = 1;
    if (largest !== -1) keep[largest] = 1;
  }
}

interface LevelRange {
  /** 0-based; the points `first ≤ index < end` are stored. */
  readonly first: number;
  readonly end: number;
}

export interface LevelBlocks extends LevelRange {
  readonly blocks: readonly PointBlock[];
}

/** The levels from which a sample with buckets of this size can be drawn, the coarsest first. */
export const levelsFor = (size: number): readonly number[] => levels.filter((level) => level <= size);

/**
 * The whole groups of a range from a level.
 * @returns null when there are none, or the level has a gap there
 */
export async function readLevel(
  points: Store['points'],
  job_id: string,
  resolution: Resolution,
  level: number,
  range: LevelRange,
): Promise<LevelBlocks | null> {
  const first = Math.ceil(range.first / level) * level;
  const end = Math.floor(range.end / level) * level;
  if (first >= end) return null;
  const blocks: PointBlock[] = [];
  let reached = first;
  // A chunk is stored under its first point; the chunk that holds the first one wanted begins before it.
  const from = first + 1 - chunkPoints;
  for await (const { count, series } of points.chunks(job_id, levelName(resolution, level), { from, to: end })) {
    const { index, ...rest } = series;
    const last = index[index.length - 1];
    if (last < first) continue;
    if (index[0] > reached) return null;
    reached = last + 1;
    blocks.push({ first: index[0], count, index: index as Float64Array, series: rest });
  }
  return reached < end ? null : { blocks, first, end };
}
