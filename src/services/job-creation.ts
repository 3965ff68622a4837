/** Creating a job: admitted, then stored with its place in the queue and its idempotency key before it is acknowledged. */
import type { Limits } from '../config.ts';
import type { NetworkDefinition } from '../engine/definition.ts';
import { plan } from '../engine/plan.ts';
import { ProblemError, problemError } from '../errors.ts';
import type { JobInput } from '../schemas/job.ts';
import type { JobView } from '../schemas/job-view.ts';
import { newId } from '../store/ids.ts';
import { newJob } from '../store/jobs.ts';
import {
  type JobCreated,
  type JobRecord,
  jobPrefix,
  type NewEvent,
  type NewJob,
  type Reuse,
  type Store,
} from '../store/store.ts';
import { type JobState, namesOf, stopReasons } from '../training/states.ts';
import { encodeArrays } from './array-blob.ts';
import {
  answered,
  type CreatedAnswer,
  claimOf,
  earlierAnswer,
  keptAnswer,
  type RequestClaim,
  repeated,
} from './idempotency.ts';
import { type AdmissionSources, admit } from './job-admission.ts';
import { lintJob } from './job-lint.ts';
import type { AdmittedJob, KeptRequest } from './job-request.ts';
import { resumeReason } from './job-transitions.ts';
import { urlsOf, viewOf } from './job-view.ts';
import { roundingsHere, runDigest } from './run-digest.ts';

export interface CreationContext extends AdmissionSources {
  readonly store: Store;
  readonly limits: Limits;
  readonly now: () => number;
}

export interface CreationOptions {
  /** The client's Idempotency-Key. */
  readonly key?: string | undefined;
  /** Whether a job that trains, or has trained, the same run will do. */
  readonly reuse?: boolean | undefined;
}

const collection = '/v1/jobs';
const scope = `POST ${collection}`;
const queuedEvent: NewEvent = { type: 'state', data: { state: 'queued', reason: null } };

/** A model that an equal run would end with, or a job that is on the way to it without anybody's help. */
const reusable: Reuse = {
  ended: namesOf(stopReasons).filter((name) => stopReasons[name].repeats && stopReasons[name].state === 'succeeded'),
  active: ['queued', 'running'] satisfies JobState[],
  diverted_by: [resumeReason(true)],
};

/** @throws {ProblemError} of admission, `idempotency_key_reused`, `already_exists` for a taken external_id, `too_many_requests` */
export async function createJob(
  context: CreationContext,
  input: JobInput,
  { key, reuse = false }: CreationOptions,
): Promise<CreatedAnswer> {
  const { store, now } = context;
  const claim = claimOf(scope, key, input);
  const earlier = await earlierAnswer(store.idempotency, claim, now());
  if (earlier !== undefined) return earlier;
  // Under a key of its own, the client will look for this very job; webhooks tell of this one.
  const mayReuse = reuse && input.external_id === undefined && input.webhooks.length === 0;
  const outcome = await insert(context, await admit(input, context), claim, mayReuse ? reusable : undefined);
  if (outcome.outcome === 'run_exists') return reused(context, outcome.record, claim);
  if (outcome.outcome === 'external_id_taken') throw taken(outcome.record, 'has this external_id');
  return answerOf(outcome, context.limits);
}

/**
 * Creates a job that is made from something else than a body of `POST /v1/jobs`.
 * @param request where it was asked for, and with what
 */
export async function createFork(
  context: CreationContext,
  request: { readonly scope: string; readonly body: object; readonly key: string | undefined },
  prepare: () => Promise<AdmittedJob>,
): Promise<CreatedAnswer> {
  const claim = claimOf(request.scope, request.key, request.body);
  const earlier = await earlierAnswer(context.store.idempotency, claim, context.now());
  if (earlier !== undefined) return earlier;
  const outcome = await insert(context, await prepare(), claim);
  if ('record' in outcome) throw taken(outcome.record, 'has this external_id');
  return answerOf(outcome, context.limits);
}

/**
 * Creates the job of a client's own key, unless it is there already.
 * @throws {ProblemError} `already_exists` when the job under this key trains something else
 */
export async function putJob(context: CreationContext, input: JobInput, external_id: string): Promise<CreatedAnswer> {
  if (input.external_id !== undefined && input.external_id !== external_id) {
    const detail = `external_id must be the key of the path, ${JSON.stringify(external_id)}, or be left out.`;
    throw problemError([{ pointer: '/external_id', code: 'not_allowed', detail }]);
  }
  const admitted = await admit({ ...input, external_id }, context);
  const outcome = await insert(context, admitted);
  if (!('record' in outcome)) return answerOf(outcome, context.limits);
  const { record } = outcome;
  // Its own run, whatever has been changed of it under way.
  const runOf = ({ definition, request }: Pick<AdmittedJob, 'definition' | 'request'>) =>
    runDigest(definition, plan(definition), request);
  const given = { definition: record.network as NetworkDefinition, request: record.request as KeptRequest };
  if (runOf(given) !== runOf(admitted)) throw taken(record, 'has this external_id and trains something else');
  return answered(200, await present(context, record));
}

function taken({ id }: JobRecord, what: string): ProblemError {
  const existing = { id, url: urlsOf(id).self };
  return new ProblemError('already_exists', `The job ${id} ${what}.`, { existing });
}

/** The view of a job that was there before. */
async function present({ store, now }: CreationContext, job: JobRecord): Promise<JobView> {
  const [transitions, changes] = await Promise.all([store.jobs.transitions(job.id), store.jobs.learningRates(job.id)]);
  return viewOf(job, { transitions, changes, live: null, now: now() });
}

/** A job that was there answers the request; under its key it is going to be the answer again. */
async function reused(
  context: CreationContext,
  record: JobRecord,
  claim: RequestClaim | undefined,
): Promise<CreatedAnswer> {
  const found = answered(200, await present(context, record));
  const claimed = keptAnswer(claim, found, collection, context.now());
  if (claimed === undefined) return found;
  const kept = await context.store.idempotency.keep(claimed);
  return kept.outcome === 'created' ? found : repeated(kept);
}

type Inserted =
  | Exclude<JobCreated, { outcome: 'created' }>
  | { readonly outcome: 'created'; readonly answer: CreatedAnswer };

/** Stores the job with everything that belongs to it; what was put beside it is taken back when it is refused. */
async function insert(
  context: CreationContext,
  admitted: AdmittedJob,
  claim?: RequestClaim,
  reuse?: Reuse,
): Promise<Inserted> {
  const { store, now, limits } = context;
  const job = await recordOf(context, admitted);
  const queued = { state: 'queued', at: job.created_at, reason: null, attempt: 0 };
  const created = answered(201, viewOf(newJob(job, 1), { transitions: [queued], changes: [], live: null, now: now() }));
  const { max_queue_seconds: patience } = admitted.request.limits;
  const outcome = await store.jobs.create({
    job,
    idempotency: keptAnswer(claim, created, collection, job.created_at),
    reuse,
    max_waiting: limits.max_queue,
    deadline: patience === undefined ? undefined : job.created_at + 1000 * patience,
    events: [queuedEvent],
    webhooks: admitted.webhooks,
  });
  if (outcome.outcome === 'created') return { outcome: 'created', answer: created };
  await store.blobs.deleteAll(jobPrefix(job.id));
  return outcome;
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
  // The disk and this thread are at work at the same time.
  const stored = data_key === null ? null : store.blobs.put(data_key, encodeArrays(arrays));
  const run_sha256 = runDigest(definition, plan, request);
  const [warnings] = await Promise.all([lintJob(admitted), stored]);
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
    warnings,
    metadata: admitted.metadata,
    priority: admitted.priority,
    run_sha256,
    roundings: roundingsHere(request),
    created_at: now(),
  };
}

function answerOf(
  inserted: Exclude<Inserted, { outcome: 'external_id_taken' | 'run_exists' }>,
  { max_queue }: Limits,
): CreatedAnswer {
  switch (inserted.outcome) {
    case 'created':
      return inserted.answer;
    case 'queue_full': {
      const detail = `${inserted.waiting} jobs are waiting already.`;
      const limit = { name: 'max_queue', value: max_queue };
      throw new ProblemError('too_many_requests', detail, { limit, retry_after: 5 });
    }
    case 'dataset_not_found': {
      const detail = 'The data set has been deleted.';
      throw problemError([{ pointer: '/dataset_id', code: 'not_found', detail }]);
    }
    default:
      return repeated(inserted);
  }
}
