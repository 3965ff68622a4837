/**
 * The life of a job as data: states, the events that move a job between them, the actions a client may take and the
 * reasons a job can end for. Types, schemas, documentation and tests derive from these tables.
 */

export const jobStates = {
  queued: { terminal: false, description: 'Waiting for a free worker.' },
  running: { terminal: false, description: 'Training in a worker thread.' },
  pausing: { terminal: false, description: 'Asked to pause; the step under way is being finished and saved.' },
  paused: { terminal: false, description: 'Saved and at rest until it is resumed.' },
  cancelling: { terminal: false, description: 'Asked to cancel; the worker is letting go of it.' },
  succeeded: { terminal: true, description: 'Ended with a trained model.' },
  failed: { terminal: true, description: 'Ended by an error, which the job carries.' },
  cancelled: { terminal: true, description: 'Ended by the client, without a result.' },
} as const satisfies Record<string, { readonly terminal: boolean; readonly description: string }>;

export type JobState = keyof typeof jobStates;

/** What a client can ask for. `settled_in`: states in which the wish is already fulfilled, so that asking again is a no-op. */
export const jobActions = {
  pause: { settled_in: ['pausing', 'paused'], description: 'Finish the step under way, save, and free the worker.' },
  resume: { settled_in: ['queued', 'running'], description: 'Queue a paused job again; it goes on where it stopped.' },
  stop: { settled_in: ['succeeded'], description: 'End now and keep the model as a success.' },
  cancel: { settled_in: ['cancelling', 'cancelled'], description: 'End now and give the job up.' },
} as const satisfies Record<string, { readonly settled_in: readonly JobState[]; readonly description: string }>;

export type JobAction = keyof typeof jobActions;

/** What happens to a job without a client asking. */
export const jobEvents = {
  start: 'A worker has taken the job; its attempt rises by one.',
  rest: 'The worker has saved the job and let go of it.',
  succeed: 'Training ended with a model.',
  fail: 'Training ended with an error, or the job crashed too often at the same step.',
  crash: 'The worker died; the job goes on from its last checkpoint.',
  release: 'The service is shutting down; the job is saved and goes on after the next start.',
  suspend: 'The disk is full; the job rests at its last checkpoint until there is room.',
  recover: 'There is room again; the job that had to rest goes on.',
  hold: 'This machine rounds otherwise than the one that saved the job; the job rests until a client resumes it.',
} as const satisfies Record<string, string>;

export type JobEvent = keyof typeof jobEvents;

/**
 * The transitions: from a state, by an action or an event, to a state. What is not here does not happen.
 *
 * A job asked to stop keeps running until its worker reports the model. A job that ends by itself while it is pausing
 * has ended; one that crashes while pausing rests at its last checkpoint. Whatever the worker of a cancelling job
 * reports, the job is cancelled.
 */
export const jobTransitions = {
  queued: { start: 'running', cancel: 'cancelling', fail: 'failed' },
  running: {
    pause: 'pausing',
    stop: 'running',
    cancel: 'cancelling',
    succeed: 'succeeded',
    fail: 'failed',
    crash: 'queued',
    release: 'queued',
    suspend: 'paused',
    hold: 'paused',
  },
  pausing: {
    cancel: 'cancelling',
    rest: 'paused',
    succeed: 'succeeded',
    fail: 'failed',
    crash: 'paused',
    release: 'paused',
    suspend: 'paused',
    hold: 'paused',
  },
  paused: { resume: 'queued', stop: 'succeeded', cancel: 'cancelling', recover: 'queued' },
  cancelling: {
    rest: 'cancelled',
    succeed: 'cancelled',
    fail: 'cancelled',
    crash: 'cancelled',
    release: 'cancelled',
    suspend: 'cancelled',
    hold: 'cancelled',
  },
  succeeded: {},
  failed: {},
  cancelled: {},
} as const satisfies Record<JobState, Partial<Record<JobAction | JobEvent, JobState>>>;

/**
 * Why a job ended, and the state it ended in. `repeats`: an equal run, trained anew, ends with the same model for the same
 * reason; the others depend on the clock, the machine or the client.
 */
export const stopReasons = {
  completed: { state: 'succeeded', repeats: true, description: 'Every epoch was trained.' },
  early_stopping: { state: 'succeeded', repeats: true, description: 'The monitored value stopped improving.' },
  target_reached: { state: 'succeeded', repeats: true, description: 'The target value was reached.' },
  stopped: { state: 'succeeded', repeats: false, description: 'The client asked to stop.' },
  max_runtime: {
    state: 'succeeded',
    repeats: false,
    description: 'The time limit was reached; the model is kept.',
  },
  diverged: { state: 'failed', repeats: true, description: 'A number left the finite range.' },
  queue_timeout: { state: 'failed', repeats: false, description: 'No worker was free within max_queue_seconds.' },
  worker_crashed: { state: 'failed', repeats: false, description: 'The worker died three times at the same step.' },
  out_of_memory: {
    state: 'failed',
    repeats: false,
    description: 'The job needs more memory than a worker may use.',
  },
  cancelled: { state: 'cancelled', repeats: false, description: 'The client cancelled the job.' },
} as const satisfies Record<
  string,
  { readonly state: JobState; readonly repeats: boolean; readonly description: string }
>;

export type StopReason = keyof typeof stopReasons;

/** Reasons with which a job ends as a success. */
export type SuccessReason = {
  [Reason in StopReason]: (typeof stopReasons)[Reason]['state'] extends 'succeeded' ? Reason : never;
}[StopReason];

/** Names of a table in its own order; handy for zod's enums, which want a non-empty tuple. */
export function namesOf<Table extends object>(table: Table): [keyof Table & string, ...(keyof Table & string)[]] {
  return Object.keys(table) as [keyof Table & string, ...(keyof Table & string)[]];
}

export function isTerminal(state: JobState): boolean {
  return jobStates[state].terminal;
}

/** The state that follows, or null where the table has no such transition. */
export function nextState(state: JobState, cause: JobAction | JobEvent): JobState | null {
  const row: Partial<Record<JobAction | JobEvent, JobState>> = jobTransitions[state];
  return row[cause] ?? null;
}

/** The actions that change something in this state: the wire's `allowed_actions`. */
export function allowedActions(state: JobState): JobAction[] {
  return namesOf(jobActions).filter((action) => nextState(state, action) !== null);
}

/** The answer to an action: it moves the job, it is already fulfilled, or this state refuses it (a 409). */
export type ActionVerdict =
  | { readonly kind: 'change'; readonly to: JobState }
  | { readonly kind: 'settled' }
  | {
      readonly kind: 'refused';
      readonly code: 'wrong_state';
      readonly current_state: JobState;
      readonly allowed_actions: readonly JobAction[];
      readonly detail: string;
    };

export function judgeAction(state: JobState, action: JobAction): ActionVerdict {
  const to = nextState(state, action);
  if (to !== null) return { kind: 'change', to };
  const settled: readonly JobState[] = jobActions[action].settled_in;
  if (settled.includes(state)) return { kind: 'settled' };
  const allowed = allowedActions(state);
  const instead = allowed.length === 0 ? 'It has ended and takes no action.' : `It takes: ${allowed.join(', ')}.`;
  return {
    kind: 'refused',
    code: 'wrong_state',
    current_state: state,
    allowed_actions: allowed,
    detail: `A job that is ${state} cannot ${action}. ${instead}`,
  };
}
