/**
 * How a history is stored: chunks of bounded size, and for long ones coarser levels beside them. A level holds, of every
 * aligned group of points, those that a sample with larger buckets would keep. So a curve over millions of points is
 * drawn without reading the points, and is the same as if they had been read.
 */
import type { PointChunk, Store } from '../store/store.ts';
import type { Resolution } from './history-tail.ts';
import { type PointBlock, Sampler } from './sampling.ts';

/** Points per group, the coarsest first; powers of two, as the buckets are. */
const levels = [4096, 64] as const;

/** Shorter histories are read whole. */
const longHistory = 20_000;

/** Points in one stored chunk at most: what a reader holds of a history at a time. */
const chunkPoints = 65_536;

const levelName = (resolution: Resolution, level: number): string => `${resolution}/${level}`;

/** A block of points from a chunk; numbers of epochs and steps begin at 1. */
export function blockOf({ resolution, first, count, series }: PointChunk, stepsPerEpoch: number): PointBlock {
  const numbers = Float64Array.from({ length: count }, (_, i) => first + i);
  const index = numbers.map((number) => number - 1);
  return { index, ...placesOf(resolution as Resolution, numbers, series, stepsPerEpoch), series };
}

function placesOf(resolution: Resolution, numbers: Float64Array, series: PointChunk['series'], stepsPerEpoch: number) {
  if (resolution === 'epoch') return { step: series.step, epoch: numbers };
  return { step: numbers, epoch: numbers.map((step) => Math.ceil(step / stepsPerEpoch)) };
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
    return [chunk, ...levels.map((level) => summary(chunk, level))];
  });
}

function pieces(chunk: PointChunk): PointChunk[] {
  return Array.from({ length: Math.ceil(chunk.count / chunkPoints) }, (_, i) => {
    const [start, end] = [i * chunkPoints, Math.min((i + 1) * chunkPoints, chunk.count)];
    const series = Object.entries(chunk.series).map(([name, values]) => [name, values.subarray(start, end)] as const);
    return { ...chunk, first: chunk.first + start, count: end - start, series: Object.fromEntries(series) };
  });
}

/** The first and the last point of the chunk are always in it: they say how far it reaches. */
function summary(chunk: PointChunk, level: number): PointChunk {
  const names = Object.keys(chunk.series);
  const range = { first: chunk.first - 1, end: chunk.first - 1 + chunk.count, max_points: chunk.count };
  const sampler = new Sampler(range, names, level);
  sampler.add(blockOf(chunk, 1));
  const { index, series } = sampler.finish();
  const columns = names.map((name) => [name, Float64Array.from(series[name] as number[])] as const);
  return {
    resolution: levelName(chunk.resolution as Resolution, level),
    first: chunk.first,
    count: index.length,
    series: { ...Object.fromEntries(columns), index: Float64Array.from(index) },
  };
}

interface LevelRange {
  /** 0-based; the points `first ≤ index < end` are stored. */
  readonly first: number;
  readonly end: number;
  /** Points per bucket of the sample that is drawn. */
  readonly size: number;
}

/**
 * The whole buckets of a range from the coarsest level that is fine enough.
 * @returns the blocks and the points that they stand for; null when there is no such level, or it has a gap
 */
export async function readLevel(
  points: Store['points'],
  job_id: string,
  resolution: Resolution,
  range: LevelRange,
  stepsPerEpoch: number,
): Promise<{ readonly blocks: readonly PointBlock[]; readonly first: number; readonly end: number } | null> {
  const level = levels.find((size) => size <= range.size);
  const first = Math.ceil(range.first / range.size) * range.size;
  const end = Math.floor(range.end / range.size) * range.size;
  if (level === undefined || first >= end) return null;
  const blocks: PointBlock[] = [];
  let reached = first;
  for await (const { series } of points.chunks(job_id, levelName(resolution, level), { to: end })) {
    const { index, ...rest } = series;
    const last = index[index.length - 1];
    if (last < first) continue;
    if (index[0] > reached) return null;
    reached = last + 1;
    const numbers = index.map((value) => value + 1);
    blocks.push(within({ index, ...placesOf(resolution, numbers, series, stepsPerEpoch), series: rest }, first, end));
  }
  return reached < end ? null : { blocks, first, end };
}

/** Only the points `first ≤ index < end` of a block. */
function within(block: PointBlock, first: number, end: number): PointBlock {
  const inside = Array.from(block.index, (_, i) => i).filter((i) => block.index[i] >= first && block.index[i] < end);
  const pick = (values: ArrayLike<number>) => Float64Array.from(inside, (i) => values[i]);
  const series = Object.entries(block.series).map(([name, values]) => [name, pick(values)] as const);
  return {
    index: pick(block.index),
    step: pick(block.step),
    epoch: pick(block.epoch),
    series: Object.fromEntries(series),
  };
}
