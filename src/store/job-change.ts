/** The one way in which a job changes: guarded by state and attempt, whole or not at all. */
import { changeCheckpoints } from './checkpoints.ts';
import type { Queryable } from './driver.ts';
import { putEvents, putTransition } from './events.ts';
import { changeLearningRates } from './learning-rates.ts';
import { putLabels } from './lists.ts';
import { putPoints, rewindPoints } from './points.ts';
import { assignments, type Columns, decode, isIn, parameters, toJson } from './sql.ts';
import type { JobChange, JobProgress, JobRecord, Metadata, QueueMove } from './store.ts';

export const progressColumns: Columns<JobProgress> = {
  stop_reason: 'plain',
  error: 'json',
  control: 'plain',
  epoch: 'plain',
  epochs: 'plain',
  step: 'plain',
  steps: 'plain',
  samples_per_second: 'plain',
  latest: 'json',
  best: 'json',
  test: 'json',
  warnings: 'json',
  metadata: 'json',
  priority: 'plain',
  run_sha256: 'plain',
  parameters_sha256: 'plain',
  roundings: 'json',
  backend: 'plain',
  threads: 'plain',
  crashes: 'plain',
  crash_step: 'plain',
  finished_at: 'plain',
};

export const jobColumns: Columns<JobRecord> = {
  ...progressColumns,
  id: 'plain',
  network_id: 'plain',
  dataset_id: 'plain',
  external_id: 'plain',
  network: 'json',
  request: 'json',
  data_key: 'plain',
  state: 'plain',
  attempt: 'plain',
  created_at: 'plain',
  started_at: 'plain',
  updated_at: 'plain',
  last_event_id: 'plain',
};

/** What an applied change leaves behind: the job, and blobs to be deleted once it is committed. */
export interface AppliedChange {
  readonly job: JobRecord;
  readonly forgotten: readonly string[];
}

/** `claims`: the attempt rises by one, and the first claim is when the job started. */
async function updateRow(sql: Queryable, change: JobChange, claims: boolean): Promise<JobRecord | undefined> {
  const p = parameters();
  const sets = [
    `updated_at = ${p(change.at)}`,
    `last_event_id = last_event_id + ${p(change.events?.length ?? 0)}`,
    ...assignments(progressColumns, change.set ?? {}, p),
  ];
  if (change.to !== undefined) sets.push(`state = ${p(change.to.state)}`);
  if (claims) sets.push('attempt = attempt + 1', `started_at = coalesce(started_at, ${p(change.at)})`);
  const guards = [`id = ${p(change.id)}`];
  if (change.from !== undefined) guards.push(isIn('state', change.from, p));
  if (change.attempt !== undefined) guards.push(`attempt = ${p(change.attempt)}`);
  const text = `update jobs set ${sets.join(', ')} where ${guards.join(' and ')} returning *`;
  const [row] = await sql.query(text, p.values);
  return row && decode(jobColumns, row);
}

async function moveInQueue(sql: Queryable, job: JobRecord, at: number, move: QueueMove): Promise<void> {
  if (move === 'leave') await sql.query('delete from queue where job_id = $1', [job.id]);
  if (move === 'enter') await enqueue(sql, job, at, null);
}

/** A job that is in the queue already keeps its place and its deadline, and loses its lease. */
export async function enqueue(
  sql: Queryable,
  job: Pick<JobRecord, 'id' | 'priority'>,
  at: number,
  deadline: number | null,
): Promise<void> {
  await sql.query(
    `insert into queue (job_id, priority, enqueued_at, deadline) values ($1, $2, $3, $4)
     on conflict (job_id) do update set owner = null, expires_at = null`,
    [job.id, job.priority, at, deadline],
  );
}

/** RFC 7396 for an object: null removes, objects are merged, everything else replaces. */
export function mergePatch(target: Metadata, patch: Metadata): Metadata {
  const isObject = (value: unknown): value is Metadata =>
    typeof value === 'object' && value !== null && !Array.isArray(value);
  const merged = new Map(Object.entries(target));
  for (const [key, value] of Object.entries(patch)) {
    const known = merged.get(key);
    if (value === null) merged.delete(key);
    else merged.set(key, isObject(value) ? mergePatch(isObject(known) ? known : {}, value) : value);
  }
  return Object.fromEntries(merged);
}

/** Needs the labels as they are, so it comes once the row is locked. */
async function mergeMetadata(sql: Queryable, job: JobRecord, patch: Metadata): Promise<JobRecord> {
  const metadata = mergePatch(job.metadata, patch);
  await sql.query('update jobs set metadata = $2 where id = $1', [job.id, toJson(metadata)]);
  return { ...job, metadata };
}

/** What follows from the columns of which there is a second copy. */
async function updateCopies(sql: Queryable, job: JobRecord, { set = {}, merge_metadata }: JobChange): Promise<void> {
  if (set.metadata !== undefined || merge_metadata !== undefined) await putLabels(sql, job.id, job.metadata);
  if (set.priority !== undefined) {
    await sql.query('update queue set priority = $2 where job_id = $1', [job.id, job.priority]);
  }
}

/** Applies a change within a transaction; `undefined`, and nothing written, when its guard does not hold. */
export async function applyChange(
  sql: Queryable,
  change: JobChange,
  { claims = false }: { readonly claims?: boolean } = {},
): Promise<AppliedChange | undefined> {
  // First, because it locks the row: whatever follows is alone with this job.
  const updated = await updateRow(sql, change, claims);
  if (updated === undefined) return undefined;
  const job = change.merge_metadata === undefined ? updated : await mergeMetadata(sql, updated, change.merge_metadata);
  const { at, to } = change;
  if (change.rewind !== undefined) await rewindPoints(sql, job.id, change.rewind.points);
  await putPoints(sql, job.id, change.points ?? []);
  const forgotten = await changeCheckpoints(sql, change);
  if (to !== undefined) {
    await putTransition(sql, job.id, { state: to.state, at, reason: to.reason, attempt: job.attempt });
    await moveInQueue(sql, job, at, to.queue);
  }
  await putEvents(sql, job, change.events ?? [], at);
  await changeLearningRates(sql, change);
  await updateCopies(sql, job, change);
  return { job, forgotten };
}
