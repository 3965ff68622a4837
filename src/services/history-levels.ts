/**
 * How a history is stored: chunks of bounded size, and for long ones coarser levels beside them. A level holds, of every
 * aligned group of points, those that a sample with larger buckets would keep. So a curve over millions of points is
 * drawn without reading the points, and is the same as if they had been read.
 */

import { guidingSeries } from '../schemas/history.ts';
import type { PointChunk, Store } from '../store/store.ts';
import type { Resolution } from './history-tail.ts';
import type { PointBlock } from './sampling.ts';

/** Points per group, the coarsest first; powers of two, as the buckets are. */
const levels = [4096, 64] as const;

/** Shorter histories are read whole. */
const longHistory = 20_000;

/** Points in one stored chunk at most: what a reader holds of a history at a time. */
const chunkPoints = 65_536;

const levelName = (resolution: Resolution, level: number): string => `${resolution}/${level}`;

/** A block of points from a chunk; numbers of epochs and steps begin at 1. */
export function blockOf({ resolution, first, count, series }: PointChunk, stepsPerEpoch: number): PointBlock {
  const index = indexOf(first, count);
  return { index, ...placesOf(resolution as Resolution, index, series, stepsPerEpoch), series };
}

function indexOf(first: number, count: number): Float64Array {
  const index = new Float64Array(count);
  for (let i = 0; i < count; i++) index[i] = first - 1 + i;
  return index;
}

function placesOf(resolution: Resolution, index: Float64Array, series: PointChunk['series'], stepsPerEpoch: number) {
  const numbers = index.map((value) => value + 1);
  if (resolution === 'epoch') return { step: series.step, epoch: numbers };
  return { step: numbers, epoch: index.map((value) => Math.floor(value / stepsPerEpoch) + 1) };
}

/**
 * What is stored for new points: the points themselves, and their share of the levels.
 * @param expected how long the history of a resolution will be: whether it needs levels
 */
export function storedChunks(
  points: readonly PointChunk[],
  expected: (resolution: Resolution) => number,
): PointChunk[] {
  return points.flatMap(pieces).flatMap((chunk) => {
    const resolution = chunk.resolution as Resolution;
    if (expected(resolution) < longHistory) return [chunk];
    return [chunk, ...summaries(chunk, resolution)];
  });
}

function pieces(chunk: PointChunk): PointChunk[] {
  return Array.from({ length: Math.ceil(chunk.count / chunkPoints) }, (_, i) => {
    const [start, end] = [i * chunkPoints, Math.min((i + 1) * chunkPoints, chunk.count)];
    const series = Object.entries(chunk.series).map(([name, values]) => [name, values.subarray(start, end)] as const);
    return { ...chunk, first: chunk.first + start, count: end - start, series: Object.fromEntries(series) };
  });
}

/** The share of a chunk in every level: each is drawn from the next finer one, because their groups nest. */
function summaries({ resolution: _, first, count, series }: PointChunk, resolution: Resolution): PointChunk[] {
  let rows: PointChunk['series'] = { ...series, index: indexOf(first, count) };
  return levels.toReversed().map((level) => {
    rows = summary(rows, level);
    return { resolution: levelName(resolution, level), first, count: rows.index.length, series: rows };
  });
}

/**
 * Of every group the points that a sample keeps, and the first and the last point, which say how far the rows reach.
 * Plain loops over columns: a million points must not hold up the main thread.
 */
function summary(rows: PointChunk['series'], level: number): PointChunk['series'] {
  const { index, ...series } = rows;
  const keep = new Uint8Array(index.length);
  keep[0] = 1;
  keep[index.length - 1] = 1;
  for (const [name, values] of Object.entries(series)) {
    for (let i = 0; i < values.length; i++) if (!Number.isFinite(values[i])) keep[i] = 1;
    if (guidingSeries.includes(name)) keepExtremes(index, values, level, keep);
  }
  const kept = new Uint32Array(keep.reduce((sum, flag) => sum + flag, 0));
  for (let i = 0, next = 0; i < keep.length; i++) if (keep[i] === 1) kept[next++] = i;
  return Object.fromEntries(Object.entries(rows).map(([name, values]) => [name, picked(values, kept)]));
}

function picked(values: Float64Array, rows: Uint32Array): Float64Array {
  const chosen = new Float64Array(rows.length);
  for (let i = 0; i < rows.length; i++) chosen[i] = values[rows[i]];
  return chosen;
}

/** Marks the smallest and the largest finite value of every group, of equals the first. */
function keepExtremes(index: Float64Array, values: Float64Array, level: number, keep: Uint8Array): void {
  for (let i = 0; i < index.length; ) {
    const end = (Math.floor(index[i] / level) + 1) * level;
    let smallest = -1;
    let largest = -1;
    for (; i < index.length && index[i] < end; i++) {
      if (!Number.isFinite(values[i])) continue;
      if (smallest === -1 || values[i] < values[smallest]) smallest = i;
      if (largest === -1 || values[i] > values[largest]) largest = i;
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
  job: { readonly id: string; readonly stepsPerEpoch: number },
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
  for await (const { series } of points.chunks(job.id, levelName(resolution, level), { from, to: end })) {
    const { index } = series;
    const last = index[index.length - 1];
    if (last < first) continue;
    if (index[0] > reached) return null;
    reached = last + 1;
    const { index: inside, ...rest } = within(series, first, end);
    blocks.push({ index: inside, ...placesOf(resolution, inside, rest, job.stepsPerEpoch), series: rest });
  }
  return reached < end ? null : { blocks, first, end };
}

/** The rows `first ≤ index < end`. */
function within(series: PointChunk['series'], first: number, end: number): PointChunk['series'] {
  const { index } = series;
  if (index[0] >= first && index[index.length - 1] < end) return series;
  const start = index.findIndex((value) => value >= first);
  const stop = index.findLastIndex((value) => value < end) + 1;
  return Object.fromEntries(Object.entries(series).map(([name, values]) => [name, values.subarray(start, stop)]));
}
