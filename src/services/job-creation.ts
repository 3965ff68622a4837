/** Creating a job: admitted, then stored with its place in the queue and its idempotency key before it is acknowledged. */
import type { Limits } from '../config.ts';
import { ProblemError, problemError } from '../errors.ts';
import type { JobInput } from '../schemas/job.ts';
import { newId } from '../store/ids.ts';
import { newJob } from '../store/jobs.ts';
import {
  type IdempotencyClaim,
  type JobCreated,
  jobPrefix,
  type NewEvent,
  type NewJob,
  type Store,
} from '../store/store.ts';
import { encodeArrays } from './array-blob.ts';
import { digestOf } from './digest.ts';
import { type AdmissionSources, admit } from './job-admission.ts';
import type { AdmittedJob } from './job-request.ts';
import { viewOf } from './job-view.ts';
import { lint } from './lint.ts';
import { runDigest } from './run-digest.ts';

export interface CreationContext extends AdmissionSources {
  readonly store: Store;
  readonly limits: Limits;
  readonly now: () => number;
}

/** The answer to a creation: as it was given the first time, and whether it was. */
export interface CreatedJob {
  readonly id: string;
  /** JSON of the job's view. */
  readonly body: string;
  readonly replayed: boolean;
}

const scope = 'POST /v1/jobs';
/** How long a key is remembered. */
const keyLifetimeMs = 24 * 3600 * 1000;
const queuedEvent: NewEvent = { type: 'state', data: { state: 'queued', reason: null } };

/** @param key the client's Idempotency-Key */
export async function createJob(
  context: CreationContext,
  input: JobInput,
  key: string | undefined,
): Promise<CreatedJob> {
  const { store, now, limits } = context;
  const body_sha256 = key === undefined ? '' : digestOf(input);
  if (key !== undefined) {
    const known = await store.idempotency.find({ key, scope, body_sha256 }, now());
    if (known !== undefined) return repeated(known);
  }
  const outcome = await insert(
    context,
    await admit(input, context),
    key === undefined ? undefined : { key, body_sha256 },
  );
  if ('body' in outcome) return outcome;
  if (outcome.outcome !== 'external_id_taken') return answerRefusal(outcome, limits);
  const detail = `The job ${outcome.record.id} has this external_id already.`;
  throw problemError([{ pointer: '/external_id', code: 'not_allowed', detail }]);
}

/**
 * Creates the job of a client's own key, unless it is there already.
 * @throws {ProblemError} `idempotency_key_reused` when the job under this key trains something else
 */
export async function putJob(context: CreationContext, input: JobInput, external_id: string): Promise<CreatedJob> {
  if (input.external_id !== undefined && input.external_id !== external_id) {
    const detail = `external_id must be the key of the path, ${JSON.stringify(external_id)}, or be left out.`;
    throw problemError([{ pointer: '/external_id', code: 'not_allowed', detail }]);
  }
  const admitted = await admit({ ...input, external_id }, context);
  const outcome = await insert(context, admitted, undefined);
  if ('body' in outcome) return outcome;
  if (outcome.outcome !== 'external_id_taken') return answerRefusal(outcome, context.limits);
  const { record } = outcome;
  if (record.run_sha256 === runDigest(admitted.definition, admitted.plan, admitted.request)) {
    return { id: record.id, body: '', replayed: true };
  }
  const detail = `The job ${record.id} has this external_id already, and trains something else.`;
  throw new ProblemError('idempotency_key_reused', detail);
}

type Refused = Exclude<JobCreated, { outcome: 'created' }>;

/** Stores the job with everything that belongs to it; what was put beside it is taken back when it is refused. */
async function insert(
  context: CreationContext,
  admitted: AdmittedJob,
  claim: { readonly key: string; readonly body_sha256: string } | undefined,
): Promise<CreatedJob | Refused> {
  const { store, now, limits } = context;
  const job = await recordOf(context, admitted);
  const queued = { state: 'queued', at: job.created_at, reason: null, attempt: 0 };
  const body = JSON.stringify(viewOf(newJob(job, 1), { transitions: [queued], changes: [], live: null, now: now() }));
  const { max_queue_seconds: patience } = admitted.request.limits;
  const outcome = await store.jobs.create({
    job,
    idempotency: claim && claimOf(claim, job, body),
    max_waiting: limits.max_queue,
    deadline: patience === undefined ? undefined : job.created_at + 1000 * patience,
    events: [queuedEvent],
  });
  if (outcome.outcome === 'created') return { id: job.id, body, replayed: false };
  await store.blobs.deleteAll(jobPrefix(job.id));
  return outcome;
}

function claimOf(
  { key, body_sha256 }: { readonly key: string; readonly body_sha256: string },
  { id, created_at }: NewJob,
  body: string,
): IdempotencyClaim {
  const answer = { status: 201, headers: { location: `/v1/jobs/${id}` }, body };
  return { key, scope, body_sha256, answer, created_at, expires_at: created_at + keyLifetimeMs };
}

/** The record, with its numbers already in a blob: a job that is acknowledged can always be trained. */
async function recordOf({ store, now }: CreationContext, admitted: AdmittedJob): Promise<NewJob> {
  const { definition, plan, request, dataset_id } = admitted;
  const id = newId('job');
  const { inputs, targets, ...rest } = admitted.arrays;
  const { weights, ...extra } = rest;
  const kept = typeof request.sample_weights === 'string' ? extra : rest;
  const arrays = dataset_id === null ? admitted.arrays : kept;
  const data_key = Object.keys(arrays).length === 0 ? null : `${jobPrefix(id)}data`;
  if (data_key !== null) await store.blobs.put(data_key, encodeArrays(arrays));
  return {
    id,
    network_id: admitted.network_id,
    dataset_id,
    external_id: admitted.external_id,
    network: definition,
    request,
    data_key,
    epochs: request.epochs,
    steps: admitted.steps,
    warnings: lint(definition),
    metadata: admitted.metadata,
    priority: admitted.priority,
    run_sha256: runDigest(definition, plan, request),
    created_at: now(),
  };
}

function repeated(
  known: Exclude<Extract<JobCreated, { outcome: 'replayed' | 'key_reused' }>, { outcome: 'created' }>,
): CreatedJob {
  if (known.outcome === 'key_reused') {
    throw new ProblemError('idempotency_key_reused', 'This Idempotency-Key was used with another body before.');
  }
  const { body } = known.answer;
  return { id: (JSON.parse(body) as { id: string }).id, body, replayed: true };
}

function answerRefusal(outcome: Exclude<Refused, { outcome: 'external_id_taken' }>, { max_queue }: Limits): CreatedJob {
  switch (outcome.outcome) {
    case 'queue_full': {
      const detail = `${outcome.waiting} jobs are waiting already.`;
      const limit = { name: 'max_queue', value: max_queue };
      throw new ProblemError('too_many_requests', detail, { limit, retry_after: 5 });
    }
    case 'dataset_not_found': {
      const detail = 'The data set has been deleted.';
      throw problemError([{ pointer: '/dataset_id', code: 'not_found', detail }]);
    }
    default:
      return repeated(outcome);
  }
}
