/** What a client does to a job that is there: pause, resume, stop, cancel, delete. */
import { notFound, ProblemError } from '../errors.ts';
import type { JobRecord, Store } from '../store/store.ts';
import { allowedActions, isTerminal, type JobAction, jobStates, judgeAction, namesOf } from '../training/states.ts';
import type { JobFeed } from './feed.ts';
import { acceptsOtherRounding, applyEvent, changeTo, isSuspended, resumeReason, stateOf } from './job-transitions.ts';
import type { Models } from './models.ts';
import type { Scheduler } from './scheduler.ts';

export interface ActionContext {
  readonly store: Store;
  readonly feed: JobFeed;
  readonly models: Models;
  readonly scheduler: Scheduler;
  readonly now: () => number;
}

export interface ActionOptions {
  /** Of `resume`: the job may go on on a machine that rounds otherwise, to other bits. */
  readonly acceptOtherRounding?: boolean | undefined;
}

/**
 * Carries out an action, or finds it fulfilled already.
 * @throws {ProblemError} `not_found`, or `wrong_state` with what can be done instead
 */
export async function actOn(
  context: ActionContext,
  id: string,
  action: JobAction,
  { acceptOtherRounding = false }: ActionOptions = {},
): Promise<void> {
  const reason = action === 'resume' ? resumeReason(acceptOtherRounding) : action;
  for (;;) {
    const job = await requireJob(context.store, id);
    const verdict = judgeAction(stateOf(job), action);
    if (verdict.kind === 'settled') return confirm(context, job, action, acceptOtherRounding ? reason : null);
    if (verdict.kind === 'refused') throw wrongState(job, verdict.detail);
    const isRunning = stateOf(job) === 'running' || stateOf(job) === 'pausing';
    const change =
      action === 'stop' && isRunning
        ? stopRunning(job, context.now())
        : changeTo(job, verdict.to, await moveOf(context, job, action, reason));
    const changed = await context.store.jobs.change(change);
    if (changed === undefined) continue;
    await follow(context, changed, action);
    return;
  }
}

/**
 * What is fulfilled already is passed on once more, and what it allows besides is kept: the answer to the first request
 * may be lost because the storage failed after it had kept the wish. A job that rests for want of room is paused from now
 * on.
 */
async function confirm(
  context: ActionContext,
  job: JobRecord,
  action: JobAction,
  accepted: string | null,
): Promise<void> {
  if (accepted !== null && !(await acceptsOtherRounding(context.store, job.id))) {
    const to = { state: job.state, reason: accepted, queue: 'keep' } as const;
    await context.store.jobs.change({ id: job.id, at: context.now(), from: [job.state], to });
  }
  if (action === 'pause' && stateOf(job) === 'paused' && (await isSuspended(context.store, job.id))) {
    await context.store.jobs.change(changeTo(job, 'paused', { at: context.now(), reason: action }));
  }
  if (!isTerminal(stateOf(job))) await follow(context, job, action);
}

/** A stop is noted down for whoever trains the job, now or after a restart; the model ends it. */
function stopRunning(job: JobRecord, at: number) {
  const to = { state: 'running', reason: 'stop', queue: 'keep' } as const;
  return {
    id: job.id,
    at,
    attempt: job.attempt,
    from: [job.state],
    ...(job.state === 'running' ? {} : { to }),
    set: { control: 'stop' },
    events: [{ type: 'control', data: { action: 'stop' } }],
  };
}

async function moveOf({ models, now }: ActionContext, job: JobRecord, action: JobAction, reason: string) {
  // Why it rests is over, whatever comes now.
  if (action !== 'stop') return { at: now(), reason, set: { error: null } };
  // A paused job has no worker: its last checkpoint is the model.
  const { model } = await models.of(job.id);
  const set = { stop_reason: 'stopped', parameters_sha256: model.parameters_sha256, error: null };
  return { at: now(), reason: 'stopped', set };
}

async function follow(
  { store, feed, scheduler, now }: ActionContext,
  job: JobRecord,
  action: JobAction,
): Promise<void> {
  const isHeld = scheduler.runOf(job.id) !== undefined;
  scheduler.pass(job.id, action);
  if (stateOf(job) === 'cancelling' && !isHeld) {
    await applyEvent(store, job, 'rest', { at: now(), reason: 'cancelled' });
  }
  feed.signal(job.id, 'events');
  scheduler.wake();
}

/** Deletes a job that has ended, with everything that belongs to it. */
export async function removeJob({ store, feed, models }: ActionContext, id: string): Promise<void> {
  const terminal = namesOf(jobStates).filter(isTerminal);
  if (await store.jobs.delete(id, terminal)) {
    models.forget(id);
    return feed.signal(id, 'events');
  }
  const job = await requireJob(store, id);
  throw wrongState(job, `A job that is ${job.state} cannot be deleted; cancel it first.`);
}

export async function requireJob(store: Pick<Store, 'jobs'>, id: string): Promise<JobRecord> {
  const job = await store.jobs.get(id);
  if (job === undefined) throw notFound('job', id);
  return job;
}

export function wrongState(job: JobRecord, detail: string): ProblemError {
  const state = stateOf(job);
  return new ProblemError('wrong_state', detail, { current_state: state, allowed_actions: allowedActions(state) });
}
