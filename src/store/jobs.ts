import type { BlobStore } from './blobs.ts';
import { holdDataset } from './datasets.ts';
import type { Dialect, Driver, Queryable } from './driver.ts';
import { putEvents, putTransition, transitionsOf } from './events.ts';
import { createOnce, refuse } from './idempotency.ts';
import { applyChange, enqueue, jobColumns } from './job-change.ts';
import { hasPendingRate, learningRatesOf } from './learning-rates.ts';
import { dropLabels, getById, listById, putLabels } from './lists.ts';
import { depth, waitingState } from './queue.ts';
import { decode, insertInto, isIn, type Parameters, parameters } from './sql.ts';
import type { JobCreated, JobCreation, JobFilter, JobRecord, Jobs, NewJob, Reuse } from './store.ts';
import { jobPrefix } from './store.ts';
import { putWebhooks } from './webhooks.ts';

/** A job at its beginning. */
export function newJob(job: NewJob, eventCount: number): JobRecord {
  return {
    id: job.id,
    network_id: job.network_id ?? null,
    dataset_id: job.dataset_id ?? null,
    external_id: job.external_id ?? null,
    network: job.network,
    request: job.request,
    data_key: job.data_key ?? null,
    state: waitingState,
    attempt: 0,
    stop_reason: null,
    error: null,
    control: null,
    epoch: 0,
    epochs: job.epochs ?? 0,
    step: 0,
    steps: job.steps ?? 0,
    samples_per_second: null,
    latest: null,
    best: null,
    test: null,
    warnings: job.warnings ?? [],
    metadata: job.metadata ?? {},
    priority: job.priority ?? 0,
    run_sha256: job.run_sha256 ?? null,
    parameters_sha256: null,
    roundings: job.roundings ?? null,
    backend: job.backend ?? null,
    threads: null,
    crashes: 0,
    crash_step: null,
    last_event_id: eventCount,
    created_at: job.created_at,
    started_at: null,
    finished_at: null,
    updated_at: job.created_at,
  };
}

async function byExternalId(sql: Queryable, external_id: string): Promise<JobRecord | undefined> {
  const [row] = await sql.query('select * from jobs where external_id = $1', [external_id]);
  return row && decode(jobColumns, row);
}

/** Inserts the row, or refuses when the external id is taken. */
async function insertJob(sql: Queryable, job: JobRecord): Promise<void> {
  const p = parameters();
  const inserted = await sql.query(
    `${insertInto('jobs', jobColumns, job, p)} on conflict (external_id) do nothing returning id`,
    p.values,
  );
  if (inserted.length > 0 || job.external_id === null) return;
  const record = await byExternalId(sql, job.external_id);
  if (record !== undefined) refuse({ outcome: 'external_id_taken', record });
}

/** The job that makes another one of the same run needless. */
async function equalRun(
  sql: Queryable,
  run_sha256: string,
  { ended, active, diverted_by = [] }: Reuse,
): Promise<JobRecord | undefined> {
  const p = parameters();
  const [row] = await sql.query(
    `select * from jobs where run_sha256 = ${p(run_sha256)} and (
       ${isIn('stop_reason', ended, p)}
       or (${isIn('state', active, p)} and control is null and not ${hasPendingRate}
          and not exists (
            select 1 from transitions where transitions.job_id = jobs.id and ${isIn('reason', diverted_by, p)}
          ))
     )
     order by case when stop_reason is null then 1 else 0 end, id desc limit 1`,
    p.values,
  );
  return row && decode(jobColumns, row);
}

/** Two requests at the same time must not both find nothing: in their order they look and insert. */
async function refuseEqualRun(sql: Queryable, { lockName }: Dialect, { job, reuse }: JobCreation): Promise<void> {
  if (reuse === undefined || job.run_sha256 == null) return;
  if (lockName !== null) await sql.query(lockName, [job.run_sha256]);
  const record = await equalRun(sql, job.run_sha256, reuse);
  if (record !== undefined) refuse({ outcome: 'run_exists', record });
}

async function createJob(sql: Queryable, dialect: Dialect, creation: JobCreation): Promise<JobRecord> {
  const { max_waiting = Number.POSITIVE_INFINITY, deadline = null, events = [] } = creation;
  await refuseEqualRun(sql, dialect, creation);
  const job = newJob(creation.job, events.length);
  await insertJob(sql, job);
  if (job.dataset_id !== null && !(await holdDataset(sql, job.dataset_id))) refuse({ outcome: 'dataset_not_found' });
  const { waiting } = await depth(sql);
  if (waiting >= max_waiting) refuse({ outcome: 'queue_full', waiting });
  await enqueue(sql, job, job.created_at, deadline);
  await putLabels(sql, job.id, job.metadata);
  await putTransition(sql, job.id, { state: job.state, at: job.created_at, reason: null, attempt: job.attempt });
  await putWebhooks(sql, job.id, creation.webhooks ?? []);
  await putEvents(sql, job, events, job.created_at);
  return job;
}

function conditions({ states, network_id, dataset_id, run_sha256 }: JobFilter, p: Parameters): string[] {
  const where = states === undefined ? [] : [isIn('state', states, p)];
  for (const [column, value] of Object.entries({ network_id, dataset_id, run_sha256 })) {
    if (value !== undefined) where.push(`${column} = ${p(value)}`);
  }
  return where;
}

export function jobs(driver: Driver, blobs: BlobStore): Jobs {
  return {
    create: (creation) =>
      createOnce<JobRecord, Exclude<JobCreated, { outcome: 'created' }>>(driver, creation.idempotency, (sql) =>
        createJob(sql, driver.dialect, creation),
      ),

    get: (id) => getById(driver, 'jobs', jobColumns, id),

    byExternalId: (external_id) => byExternalId(driver, external_id),

    list: (filter) => listById(driver, 'jobs', jobColumns, filter, (p) => conditions(filter, p)),

    async counts() {
      const rows = await driver.query('select state, count(*) as count from jobs group by state');
      return Object.fromEntries(rows.map((row) => [String(row.state), Number(row.count)]));
    },

    transitions: (id) => transitionsOf(driver, id),

    learningRates: (id) => learningRatesOf(driver, id),

    async change(change) {
      const applied = await driver.transaction((sql) => applyChange(sql, change));
      // The change stands even if a file cannot be removed now: `sweepBlobs` will.
      await Promise.allSettled((applied?.forgotten ?? []).map((key) => blobs.delete(key)));
      return applied?.job;
    },

    async delete(id, from) {
      const deleted = await driver.transaction(async (sql) => {
        const p = parameters();
        const text = `delete from jobs where id = ${p(id)} and ${isIn('state', from, p)} returning id`;
        if ((await sql.query(text, p.values)).length === 0) return false;
        await dropLabels(sql, id);
        return true;
      });
      if (deleted) await Promise.allSettled([blobs.deleteAll(jobPrefix(id))]);
      return deleted;
    },
  };
}
