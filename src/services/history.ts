/** Reading a job's history: from the store chunk by chunk, then what the attempt under way has not stored yet. */
import { toWire } from '../schemas/common.ts';
import type { HistoryQuery, LossHistory } from '../schemas/history.ts';
import type { JobRecord, PointChunk, Store } from '../store/store.ts';
import { seriesName } from '../training/metrics.ts';
import { blockOf, levelsFor, readLevel } from './history-levels.ts';
import type { HistoryTail, Resolution } from './history-tail.ts';
import { bugMark, type KeptRequest } from './job-request.ts';
import { Sampler } from './sampling.ts';

/** The series of a job in the order in which they are shown. */
function seriesOf(job: JobRecord, resolution: Resolution): string[] {
  if (resolution === 'step') return ['loss', 'learning_rate'];
  const { validation, metrics } = job.request as KeptRequest;
  const validated = validation === undefined ? [] : ['validation_loss'];
  return [...new Set(['loss', ...validated, ...metrics.map(seriesName), 'learning_rate'])];
}

export const stepsPerEpochOf = ({ steps, epochs }: JobRecord): number =>
  epochs === 0 ? 1 : Math.max(1, Math.round(steps / epochs));

/**
 * The history of a job between two epochs or steps, sampled to `max_points`.
 * @param tail of the attempt under way, if there is one
 */
export async function readHistory(
  store: Pick<Store, 'points'>,
  job: JobRecord,
  tail: HistoryTail | undefined,
  query: HistoryQuery,
): Promise<LossHistory> {
  // The tail before the store: what a checkpoint moves from one to the other in between is then in both, not in none.
  const read = (chunks: readonly PointChunk[]) =>
    readWith(
      store,
      job,
      chunks.filter(({ resolution }) => resolution === query.resolution),
      query,
    );
  return tail === undefined ? read([]) : tail.read(read);
}

async function readWith(
  store: Pick<Store, 'points'>,
  job: JobRecord,
  recent: readonly PointChunk[],
  { resolution, max_points, ...query }: HistoryQuery,
): Promise<LossHistory> {
  const stored = (await store.points.extent(job.id, resolution))?.last ?? 0;
  const last = Math.max(stored, ...recent.map(({ first, count }) => first + count - 1));
  const first = (query.from ?? 1) - 1;
  const end = Math.max(first, Math.min(query.to ?? last, last));
  const names = seriesOf(job, resolution);
  const sampler = new Sampler({ first, end, max_points }, resolution === 'epoch' ? [...names, 'step'] : names);
  await addStored(store, job.id, resolution, sampler, { first, end: Math.min(end, stored) });
  for (const chunk of recent) sampler.add(blockOf(chunk), { first: stored, end });
  const { index, series } = sampler.finish();
  const total_points = end - first;
  return {
    resolution,
    total_points,
    returned_points: index.length,
    sampled: index.length < total_points,
    ...placesOf(resolution, index, stepsPerEpochOf(job), series.step),
    series: Object.fromEntries(names.map((name) => [name, series[name].map(wireValue)])),
    ...bugMark(job),
  };
}

const wireValue = (value: number | null) => (value === null ? null : toWire(value));

/** Step and epoch of points, whose numbers begin at 1; `ends`: the last step of each epoch. */
function placesOf(
  resolution: Resolution,
  index: readonly number[],
  stepsPerEpoch: number,
  ends: readonly (number | null)[] = [],
): Pick<LossHistory, 'step' | 'epoch'> {
  const numbers = index.map((i) => i + 1);
  if (resolution === 'epoch') return { step: ends.map(Number), epoch: numbers };
  return { step: numbers, epoch: index.map((i) => Math.floor(i / stepsPerEpoch) + 1) };
}

/** Whole groups from the coarsest level that is fine enough, the ends from the next finer one, the rest point by point. */
async function addStored(
  { points }: Pick<Store, 'points'>,
  job_id: string,
  resolution: Resolution,
  sampler: Sampler,
  range: { readonly first: number; readonly end: number },
): Promise<void> {
  const addPoints = async (first: number, end: number) => {
    for await (const chunk of points.chunks(job_id, resolution, { from: first + 1, to: end }))
      sampler.add(blockOf(chunk), { first, end });
  };
  const add = async (first: number, end: number, [level, ...finer]: readonly number[]): Promise<void> => {
    if (first >= end) return;
    if (level === undefined) return addPoints(first, end);
    const found = await readLevel(points, job_id, resolution, level, { first, end });
    if (found === null) return add(first, end, finer);
    await add(first, found.first, finer);
    for (const block of found.blocks) sampler.add(block, found);
    await add(found.end, end, finer);
  };
  await add(range.first, range.end, levelsFor(sampler.size));
}

/** One line per point: epoch, step and the series; empty where nothing was measured. */
export function historyCsv({ step, epoch, series }: LossHistory): string {
  const names = Object.keys(series);
  const rows = step.map((number, i) => {
    const values = names.map((name) => series[name][i] ?? '');
    return [epoch[i], number, ...values].join(',');
  });
  return `${[['epoch', 'step', ...names].join(','), ...rows].join('\n')}\n`;
}

/** One JSON object per point and line. */
export function historyNdjson({ step, epoch, series }: LossHistory): string {
  const names = Object.keys(series);
  return step
    .map((number, i) => {
      const values = Object.fromEntries(names.map((name) => [name, series[name][i]]));
      return `${JSON.stringify({ epoch: epoch[i], step: number, ...values })}\n`;
    })
    .join('');
}
