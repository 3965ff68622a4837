/** Changing a job that is there: its labels at any time, its learning rate while it can still learn. */
import type { Limits } from '../config.ts';
import { type Problem, refuse } from '../errors.ts';
import type { JobPatch } from '../schemas/job-patch.ts';
import { mergePatch } from '../store/job-change.ts';
import type { JobRecord, NewEvent } from '../store/store.ts';
import { isTerminal, type JobState, jobStates, namesOf } from '../training/states.ts';
import { type ActionContext, requireJob, wrongState } from './job-actions.ts';
import { over } from './networks.ts';

/** States with training to come. A job that is being cancelled has none. */
const learningStates: readonly JobState[] = namesOf(jobStates).filter(
  (state) => !isTerminal(state) && state !== 'cancelling',
);

/**
 * Stores the changes before anything else happens. The learning rate takes effect at a step that the job's worker names.
 * @throws {ProblemError} `not_found`, `limit_exceeded`, or `wrong_state` for a learning rate that comes too late
 */
export async function patchJob(
  {
    store,
    feed,
    scheduler,
    limits,
    now,
  }: Pick<ActionContext, 'store' | 'feed' | 'scheduler' | 'now'> & {
    readonly limits: Limits;
  },
  id: string,
  patch: JobPatch,
): Promise<void> {
  const { learning_rate, metadata } = patch;
  const job = await requireJob(store, id);
  const changes = learning_rate === undefined ? 0 : (await store.jobs.learningRates(id)).length + 1;
  refuse(patchProblems(job, patch, changes, limits), 'limit_exceeded');
  const changed = await store.jobs.change({
    id,
    at: now(),
    from: learning_rate === undefined ? undefined : learningStates,
    learning_rate,
    merge_metadata: metadata,
    events: eventsOf(patch),
  });
  if (changed === undefined) {
    const present = await requireJob(store, id);
    throw wrongState(present, `The learning rate of a job that is ${present.state} cannot be changed any more.`);
  }
  await scheduler.runOf(id)?.passLearningRates();
  feed.signal(id, 'events');
}

function patchProblems(job: JobRecord, patch: JobPatch, changes: number, limits: Limits): Problem[] {
  const bytes = Buffer.byteLength(JSON.stringify(mergePatch(job.metadata, patch.metadata ?? {})));
  return [
    ...over(limits, 'max_metadata_bytes', bytes, '/metadata', 'The metadata would have', 'bytes as JSON'),
    ...over(limits, 'max_learning_rate_changes', changes, '/learning_rate', 'The job would have', 'changes'),
  ];
}

function eventsOf({ learning_rate, metadata }: JobPatch): NewEvent[] {
  const wish: NewEvent = { type: 'control', data: { action: 'change_learning_rate', learning_rate } };
  return [
    ...(learning_rate === undefined ? [] : [wish]),
    ...(metadata === undefined ? [] : [{ type: 'metadata_changed', data: { metadata } }]),
  ];
}
