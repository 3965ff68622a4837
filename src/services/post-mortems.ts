/** Post-mortems of jobs that have ended: found, bounded, asked for once and kept. */
import type { Limits } from '../config.ts';
import type { Plan } from '../engine/backend.ts';
import type { NetworkDefinition } from '../engine/definition.ts';
import { plan } from '../engine/plan.ts';
import { roundsOnce } from '../engine/wasm/probe.ts';
import { ProblemError } from '../errors.ts';
import type { BlobInfo } from '../store/blobs.ts';
import { type CheckpointRecord, type JobRecord, jobPrefix, type Store } from '../store/store.ts';
import { writtenOut } from '../training/columns.ts';
import { replayedStepCost } from '../training/post-mortem/cost.ts';
import type { PostMortemQuestions, QuestionName } from '../training/post-mortem/protocol.ts';
import type { RecordedLosses } from '../training/post-mortem/replay.ts';
import type { PostMortems } from '../training/post-mortem/thread.ts';
import type { DivergedError, RunRequest } from '../training/request.ts';
import { roundingOf } from '../training/rounding.ts';
import { isTerminal } from '../training/states.ts';
import { requireJob, wrongState } from './job-actions.ts';
import { type KeptRequest, runRequest } from './job-request.ts';
import { DataGoneError, type DatasetSource, readArrays } from './job-sources.ts';
import { stateOf } from './job-transitions.ts';
import { effectiveChanges, roundingsOf } from './learning-rate-changes.ts';
import { over } from './networks.ts';

export interface PostMortemContext {
  readonly store: Store;
  readonly datasets: DatasetSource;
  readonly limits: Limits;
  readonly postMortems: PostMortems;
}

/** Raised whenever an answer would come out differently: what was kept before is then computed again. */
const answerVersion = 1;
/** Answers that are kept of one job, the newest. */
const keptAnswers = 64;
/** Losses before the step of interest that a replay is held against; equal bits in all of them are no accident. */
const comparedLosses = 1_000;

/** A job that has ended, with all that its run can be replayed from. */
export interface EndedJob {
  readonly job: JobRecord;
  readonly plan: Plan;
  /** The last step that began: of a diverged job the one that was not carried out. */
  readonly last_step: number;
  /** Highest step first. */
  readonly checkpoints: readonly CheckpointRecord[];
  /** Of one step, by the back end that has trained the job. */
  readonly step_cost: number;
}

/** @throws {ProblemError} `not_found`, or `wrong_state` while the job has not ended */
export async function endedJob({ store }: Pick<PostMortemContext, 'store'>, id: string): Promise<EndedJob> {
  const job = await requireJob(store, id);
  if (!isTerminal(stateOf(job))) {
    throw wrongState(job, `The job is ${job.state}; it is explained when it has ended.`);
  }
  const checkpoints = await store.checkpoints.list(id);
  const planned = plan(job.network as NetworkDefinition);
  const { batch_size, data } = job.request as KeptRequest;
  const step_cost = replayedStepCost(planned, Math.min(batch_size, data.rows), job.backend);
  const last_step = divergenceOf(job)?.step ?? checkpoints[0]?.step ?? 0;
  return { job, plan: planned, last_step, checkpoints, step_cost };
}

export function divergenceOf({ stop_reason, error }: JobRecord): DivergedError | null {
  return stop_reason === 'diverged' ? (error as DivergedError) : null;
}

/** The newest checkpoint with at most so many steps behind it; null: the initial parameters. */
export function checkpointUpTo({ checkpoints }: EndedJob, step: number): CheckpointRecord | null {
  return checkpoints.find((checkpoint) => checkpoint.step <= step) ?? null;
}

/** The bytes of a checkpoint. */
export async function bytesOf({ store }: Pick<PostMortemContext, 'store'>, record: CheckpointRecord) {
  const bytes = await store.blobs.get(record.blob_key);
  if (bytes !== undefined) return bytes;
  throw new ProblemError('unavailable', 'The checkpoint is being replaced.', { retry_after: 1 });
}

/** The numbers of an ended job, whose data set may have been deleted since. */
export async function arraysOf({ store, datasets }: Pick<PostMortemContext, 'store' | 'datasets'>, job: JobRecord) {
  try {
    return await readArrays(store, datasets, job);
  } catch (error) {
    if (!(error instanceof DataGoneError)) throw error;
    throw new ProblemError('cannot_replay', `The job cannot be replayed: ${error.message}.`, {}, { cause: error });
  }
}

/**
 * The request as the run was given it, with every change of its learning rate. A replay that begins where the run came to
 * be rounded as it is here is exact.
 * @param from steps behind the replay's beginning
 */
export async function requestOf(
  { store, datasets }: PostMortemContext,
  { job }: EndedJob,
  from: number,
): Promise<RunRequest> {
  const arrays = await arraysOf({ store, datasets }, job);
  const changes = effectiveChanges(await store.jobs.learningRates(job.id));
  const request = runRequest(job.network as NetworkDefinition, job.request as KeptRequest, arrays, changes);
  return {
    ...request,
    accept_other_rounding: roundingOf(roundingsOf(job), from + 1) === roundsOnce(request.arithmetic),
  };
}

/** The recorded losses of the steps from `first` (1-based) to `last`, as far as there are any. */
export async function recordedLosses(
  { store }: Pick<PostMortemContext, 'store'>,
  job_id: string,
  last: number,
  first: number = Math.max(1, last - comparedLosses + 1),
): Promise<RecordedLosses> {
  const losses = new Float64Array(Math.max(0, last - first + 1));
  let end = 0;
  for await (const chunk of store.points.chunks(job_id, 'step', { from: first, to: last })) {
    const from = Math.max(first, chunk.first);
    const to = Math.min(last, chunk.first + chunk.count - 1);
    losses.set(writtenOut(chunk.series.loss, from - chunk.first, to - chunk.first + 1), from - first);
    end = to - first + 1;
  }
  return { first_step: first, losses: losses.subarray(0, end) };
}

/** Refuses a replay that would take too long, and says what would make it possible. */
export function refuseOverlong(limits: Limits, steps: number, { step_cost }: EndedJob, from: number): void {
  const [problem] = over(limits, 'max_replay_work', steps * step_cost, '{step}', '', '');
  if (problem === undefined) return;
  const reachable = from + Math.floor(limits.max_replay_work / step_cost);
  const detail = `Replaying ${steps} steps from ${from === 0 ? 'the start' : `the checkpoint of step ${from}`} would take ${steps * step_cost} multiply-adds; the limit max_replay_work is ${limits.max_replay_work}, which reaches to step ${reachable}. A job with "checkpoint": {"every_epochs": n} can be explained from nearer.`;
  throw new ProblemError('limit_exceeded', detail, { errors: [{ ...problem, detail }], limit: problem.limit });
}

/** What is under way, by the key of its answer: whoever asks for the same waits for it, too. */
const underWay = new WeakMap<PostMortems, Map<string, Promise<string>>>();

/**
 * The answer to a question about an ended job: the kept one, or a new one, which is then kept.
 * @param name of the answer among those of the job
 */
export async function keptAnswer<Q extends QuestionName>(
  { store, limits, postMortems }: PostMortemContext,
  job_id: string,
  name: string,
  question: Q,
  prepare: () => Promise<PostMortemQuestions[Q]>,
): Promise<string> {
  const prefix = `${jobPrefix(job_id)}post-mortem/`;
  const key = `${prefix}${name}.v${answerVersion}`;
  const waiting = underWay.get(postMortems) ?? new Map<string, Promise<string>>();
  underWay.set(postMortems, waiting);
  const kept = waiting.get(key) ?? (await store.blobs.get(key));
  if (kept !== undefined) return kept instanceof Promise ? kept : Buffer.from(kept).toString('utf8');
  return waiting.get(key) ?? compute();

  async function compute(): Promise<string> {
    const value = limits.max_replays;
    if (waiting.size >= value) {
      const limit = { name: 'max_replays', value };
      throw new ProblemError('too_many_requests', 'Too many explanations are under way.', { limit, retry_after: 5 });
    }
    const computed = ask().finally(() => waiting.delete(key));
    waiting.set(key, computed);
    return computed;
  }

  async function ask(): Promise<string> {
    const text = await postMortems.ask(question, await prepare()).catch((error: unknown) => {
      throw problemOf(error);
    });
    await store.blobs.put(key, Buffer.from(text));
    await forgetOldest(store, prefix);
    return text;
  }
}

/** What the thread could not do is not always a fault of ours. */
function problemOf(error: unknown): unknown {
  const { code, message } = error as { readonly code?: string; readonly message: string };
  if (code === 'replay_differs' || code?.startsWith('checkpoint_')) {
    return new ProblemError('cannot_replay', `The job cannot be replayed: ${message}.`, {}, { cause: error });
  }
  if (code !== 'post_mortem_ended') return error;
  return new ProblemError('unavailable', 'The explanation was interrupted.', { retry_after: 5 }, { cause: error });
}

async function forgetOldest({ blobs }: Store, prefix: string): Promise<void> {
  const found: BlobInfo[] = [];
  for await (const blob of blobs.list(prefix)) found.push(blob);
  found.sort((a, b) => b.written_at - a.written_at);
  for (const { key } of found.slice(keptAnswers)) await blobs.delete(key);
}
