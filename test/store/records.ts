/** Records for the tests; what a test does not name does not matter to it. */
import { newId } from '../../src/store/ids.ts';
import type {
  CheckpointRecord,
  DatasetRecord,
  IdempotencyClaim,
  JobChange,
  JobCreation,
  JobRecord,
  NetworkRecord,
  NewJob,
  PointChunk,
  Store,
} from '../../src/store/store.ts';
import { checkpointKey, datasetPrefix } from '../../src/store/store.ts';

/** A moment; every time in the tests is written relative to it. */
export const noon = 1_764_000_000_000;

export const definition = { input_size: 2, layers: [{ units: 1, activation: 'sigmoid' }], loss: 'mean_squared_error' };

export function network(fields: Partial<NetworkRecord> = {}): NetworkRecord {
  return { id: newId('network'), name: null, definition, metadata: {}, created_at: noon, ...fields };
}

export function dataset(fields: Partial<DatasetRecord> = {}): DatasetRecord {
  const id = fields.id ?? newId('dataset');
  const blob_key = `${datasetPrefix(id)}rows`;
  return { id, name: 'xor', profile: { rows: 4 }, sha256: 'abc', blob_key, metadata: {}, created_at: noon, ...fields };
}

export function claim(fields: Partial<IdempotencyClaim> = {}): IdempotencyClaim {
  const answer = { status: 201, headers: { location: '/v1/jobs/job_1' }, body: '{"id":"job_1"}' };
  const times = { created_at: noon, expires_at: noon + 1000 };
  return { key: 'key-1', scope: 'POST /v1/jobs', body_sha256: 'body-1', answer, ...times, ...fields };
}

export function job(fields: Partial<NewJob> = {}): NewJob {
  return { id: newId('job'), network: definition, request: { epochs: 2 }, created_at: noon, ...fields };
}

/** A job in the store, waiting. */
export async function queuedJob(
  store: Store,
  fields: Partial<NewJob> = {},
  creation: Omit<JobCreation, 'job'> = {},
): Promise<JobRecord> {
  const created = await store.jobs.create({ job: job(fields), ...creation });
  if (created.outcome !== 'created') throw new Error(created.outcome);
  return created.record;
}

export async function claimJob(store: Store, owner = 'server-1', now = noon + 10): Promise<JobRecord | undefined> {
  return store.queue.claim({ owner, now, lease_expires_at: noon + 1000 });
}

/** A job in the store whose first attempt runs. It must be the only one that waits. */
export async function runningJob(store: Store, fields: Partial<NewJob> = {}): Promise<JobRecord> {
  const { id } = await queuedJob(store, fields);
  const claimed = await claimJob(store);
  if (claimed?.id !== id) throw new Error('another job was claimed');
  return claimed;
}

export function losses(first: number, ...values: number[]): PointChunk {
  return { resolution: 'step', first, count: values.length, series: { loss: Float64Array.from(values) } };
}

type NewCheckpoint = Omit<CheckpointRecord, 'job_id' | 'created_at'>;

export function checkpoint(job: Pick<JobRecord, 'id' | 'attempt'>, step: number): NewCheckpoint {
  const blob_key = checkpointKey(job.id, job.attempt, step);
  return { step, epoch: 0, kind: 'last', blob_key, sha256: `sha-${step}`, size: 3 };
}

/** What a running attempt writes at a checkpoint: everything at once. */
export function progressTo(step: number, job: Pick<JobRecord, 'id' | 'attempt'>): JobChange {
  return {
    id: job.id,
    at: noon + 20,
    from: ['running'],
    attempt: job.attempt,
    set: { step, latest: { loss: 0.5 } },
    points: [losses(1, ...Array.from({ length: step }, (_, i) => i / 8))],
    checkpoints: [checkpoint(job, step)],
    events: [{ type: 'progress', data: { step } }],
  };
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const collected: T[] = [];
  for await (const item of items) collected.push(item);
  return collected;
}

/** Everything the store says about a job, to be compared before and after. */
export async function everythingAbout(store: Store, id: string): Promise<unknown> {
  return {
    job: await store.jobs.get(id),
    transitions: await store.jobs.transitions(id),
    learningRates: await store.jobs.learningRates(id),
    events: await store.events.list(id, { limit: 1000 }),
    points: await collect(store.points.chunks(id, 'step')),
    checkpoints: await store.checkpoints.list(id),
    depth: await store.queue.depth(),
    leases: await store.queue.leases(),
  };
}
