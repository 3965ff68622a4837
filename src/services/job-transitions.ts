/** Moving a job through its states as the table of states.ts says, safely against everybody who moves it at the same time. */
import type { JobChange, JobProgress, JobRecord, QueueMove, Store } from '../store/store.ts';
import { isTerminal, type JobEvent, type JobState, nextState } from '../training/states.ts';

export const stateOf = (job: Pick<JobRecord, 'state'>): JobState => job.state as JobState;

/** A job's place in the queue in a state. */
export function queueMove(state: JobState): QueueMove {
  if (state === 'queued') return 'enter';
  return isTerminal(state) || state === 'paused' ? 'leave' : 'keep';
}

export interface Move extends Pick<JobChange, 'points' | 'rewind' | 'checkpoints' | 'drop_checkpoints'> {
  readonly at: number;
  readonly reason: string | null;
  readonly set?: Partial<JobProgress> | undefined;
  /** Events that happened before the change of state. */
  readonly events?: JobChange['events'];
}

/** Why a job rests that nobody has paused. */
export const suspendedReason = 'storage_full';

/** Whether a paused job rests only because the disk was full: it was running, and nobody has asked for a pause since. */
export async function isSuspended(store: Pick<Store, 'jobs'>, id: string): Promise<boolean> {
  const [before, last] = (await store.jobs.transitions(id)).slice(-2);
  return last?.reason === suspendedReason && before.state === 'running';
}

/** Why a job rests that this machine would go on with to other bits. */
export const heldReason = 'other_rounding';
const acceptedReason = 'other_rounding_accepted';

/** The reason of a transition by which a client resumes a job. */
export const resumeReason = (acceptOtherRounding: boolean): string => (acceptOtherRounding ? acceptedReason : 'resume');

/** Whether a client has said that the job may go on with other rounding; once is enough. */
export async function acceptsOtherRounding(store: Pick<Store, 'jobs'>, id: string): Promise<boolean> {
  return (await store.jobs.transitions(id)).some(({ reason }) => reason === acceptedReason);
}

/** What a cancelled job shows, whatever its worker had reported by then. */
const cancelledOutcome = { stop_reason: 'cancelled', error: null } as const;

/** The change that moves a job from a state it was seen in; it takes effect only if the job is still there. */
export function changeTo(job: JobRecord, to: JobState, move: Move): JobChange {
  const reason = to === 'cancelled' ? cancelledOutcome.stop_reason : move.reason;
  return {
    id: job.id,
    at: move.at,
    attempt: job.attempt,
    from: [job.state],
    to: { state: to, reason, queue: queueMove(to) },
    set: {
      ...move.set,
      ...(to === 'cancelled' ? cancelledOutcome : {}),
      ...(isTerminal(to) ? { finished_at: move.at, control: null } : {}),
    },
    points: move.points,
    rewind: move.rewind,
    checkpoints: move.checkpoints,
    drop_checkpoints: move.drop_checkpoints,
    events: [...(move.events ?? []), { type: 'state', data: { state: to, reason } }],
  };
}

/**
 * Moves a job by an event, from whichever state it is in by now.
 * @returns the job after it; `undefined` when another attempt has taken over or the table has no such transition
 */
export async function applyEvent(
  store: Pick<Store, 'jobs'>,
  { id, attempt }: Pick<JobRecord, 'id' | 'attempt'>,
  event: JobEvent,
  move: Move,
): Promise<JobRecord | undefined> {
  for (;;) {
    const job = await store.jobs.get(id);
    if (job === undefined || job.attempt !== attempt) return undefined;
    const to = nextState(stateOf(job), event);
    if (to === null) return undefined;
    const changed = await store.jobs.change(changeTo(job, to, move));
    if (changed !== undefined) return changed;
  }
}
