import { describe, expect, test } from 'vitest';
import {
  allowedActions,
  isTerminal,
  type JobState,
  jobActions,
  jobEvents,
  jobStates,
  jobTransitions,
  judgeAction,
  namesOf,
  nextState,
  stopReasons,
} from '../../src/training/states.ts';

const states = namesOf(jobStates);
const actions = namesOf(jobActions);
const causes = [...actions, ...namesOf(jobEvents)];

function reachableFrom(start: JobState): Set<JobState> {
  const seen = new Set<JobState>([start]);
  for (const state of seen) for (const next of Object.values(jobTransitions[state])) seen.add(next);
  return seen;
}

describe('job states', () => {
  test('the transitions are those of the contract', () => {
    const arrows = states.flatMap((from) =>
      Object.entries(jobTransitions[from]).map(([cause, to]) => `${from} -${cause}-> ${to}`),
    );
    expect(arrows).toEqual([
      'queued -start-> running',
      'queued -cancel-> cancelling',
      'queued -fail-> failed',
      'running -pause-> pausing',
      'running -stop-> running',
      'running -cancel-> cancelling',
      'running -succeed-> succeeded',
      'running -fail-> failed',
      'running -crash-> queued',
      'running -release-> queued',
      'running -suspend-> paused',
      'running -hold-> paused',
      'pausing -cancel-> cancelling',
      'pausing -rest-> paused',
      'pausing -succeed-> succeeded',
      'pausing -fail-> failed',
      'pausing -crash-> paused',
      'pausing -release-> paused',
      'pausing -suspend-> paused',
      'pausing -hold-> paused',
      'paused -resume-> queued',
      'paused -stop-> succeeded',
      'paused -cancel-> cancelling',
      'paused -recover-> queued',
      'cancelling -rest-> cancelled',
      'cancelling -succeed-> cancelled',
      'cancelling -fail-> cancelled',
      'cancelling -crash-> cancelled',
      'cancelling -release-> cancelled',
      'cancelling -suspend-> cancelled',
      'cancelling -hold-> cancelled',
    ]);
  });

  test('terminal states never change and every other state can still end', () => {
    for (const state of states) {
      const ends = [...reachableFrom(state)].filter(isTerminal);
      if (isTerminal(state)) expect([...reachableFrom(state)]).toEqual([state]);
      else expect(ends.length).toBeGreaterThan(0);
    }
  });

  test('every state is reached from queued', () => {
    expect([...reachableFrom('queued')].sort()).toEqual([...states].sort());
  });

  test('a worker that ends in any way finds a transition in every state that has a worker', () => {
    for (const state of ['running', 'pausing', 'cancelling'] as const) {
      for (const event of ['succeed', 'fail', 'crash', 'release', 'suspend', 'hold'] as const) {
        expect(nextState(state, event), `${state} ${event}`).not.toBeNull();
      }
    }
  });

  test('every action and event is used, and none leads out of a state that is not in the table', () => {
    const used = new Set(states.flatMap((state) => Object.keys(jobTransitions[state])));
    expect([...used].sort()).toEqual([...causes].sort());
  });
});

describe('actions', () => {
  test('the allowed actions follow from the transitions', () => {
    expect(Object.fromEntries(states.map((state) => [state, allowedActions(state)]))).toEqual({
      queued: ['cancel'],
      running: ['pause', 'stop', 'cancel'],
      pausing: ['cancel'],
      paused: ['resume', 'stop', 'cancel'],
      cancelling: [],
      succeeded: [],
      failed: [],
      cancelled: [],
    });
  });

  test('asking again for what is under way or done changes nothing', () => {
    expect(judgeAction('running', 'pause')).toEqual({ kind: 'change', to: 'pausing' });
    expect(judgeAction('pausing', 'pause')).toEqual({ kind: 'settled' });
    expect(judgeAction('paused', 'pause')).toEqual({ kind: 'settled' });
    expect(judgeAction('running', 'resume')).toEqual({ kind: 'settled' });
    expect(judgeAction('succeeded', 'stop')).toEqual({ kind: 'settled' });
    expect(judgeAction('cancelled', 'cancel')).toEqual({ kind: 'settled' });
  });

  test('an action in the wrong state is refused with the state and the actions it takes', () => {
    expect(judgeAction('paused', 'resume').kind).toBe('change');
    expect(judgeAction('queued', 'pause')).toEqual({
      kind: 'refused',
      code: 'wrong_state',
      current_state: 'queued',
      allowed_actions: ['cancel'],
      detail: 'A job that is queued cannot pause. It takes: cancel.',
    });
    expect(judgeAction('failed', 'cancel')).toMatchObject({
      kind: 'refused',
      allowed_actions: [],
      detail: 'A job that is failed cannot cancel. It has ended and takes no action.',
    });
  });
});

test('every stop reason ends in a terminal state, and every terminal state has a reason', () => {
  const ends = new Set(Object.values(stopReasons).map((reason): JobState => reason.state));
  expect([...ends].sort()).toEqual(states.filter(isTerminal).sort());
});
