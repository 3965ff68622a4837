import { describe, expect, test } from 'vitest';
import {
  control,
  createControl,
  defaultRunSettings,
  type FromWorker,
  type RunSettings,
  raiseRequest,
  reportedSteps,
  requests,
  type ToWorker,
} from '../../src/training/protocol.ts';
import type { RunRequest } from '../../src/training/request.ts';
import { Session } from '../../src/training/session.ts';
import { smallRequest } from './fixtures/requests.ts';

interface Scene {
  readonly request?: Partial<RunRequest>;
  readonly settings?: Partial<RunSettings>;
  /** What the clock moves on by whenever it is read, in milliseconds. */
  readonly tick?: number;
  readonly messages?: ToWorker[];
  readonly before?: (cells: Int32Array) => void;
  readonly cells?: Int32Array<SharedArrayBuffer>;
  /** Called whenever the clock is read, with the steps that are done. */
  readonly atStep?: (step: number) => void;
}

/** A clock by which the first block takes as long as a block should, so that none is ever longer than a step. */
const oneStepPerBlock = 20;

/** Carries a run out in this thread, with a clock of its own and an owner who acknowledges at once. */
function play(scene: Scene) {
  const { request, settings, tick = 0, messages = [], before = () => {}, atStep = () => {} } = scene;
  const cells = scene.cells ?? createControl();
  const sent: FromWorker[] = [];
  let time = 0;
  before(cells);
  const session = new Session(
    smallRequest(request),
    null,
    { ...defaultRunSettings, ...settings },
    {
      control: cells,
      send: (message) => {
        sent.push(message);
        cells[control.acknowledged] += 1;
      },
      receive: () => messages.shift(),
      now: () => {
        time += tick;
        atStep(reportedSteps(cells));
        return time;
      },
    },
  );
  const end = session.carryOut();
  const checkpoints = sent.flatMap((message) => (message.type === 'checkpoint' ? [message.checkpoint] : []));
  const progress = sent.flatMap((message) => (message.type === 'progress' ? [message.progress] : []));
  return { end, cells, sent, checkpoints, progress };
}

describe('a session', () => {
  test('that is over before anything is due reports once: the points, then the checkpoint', () => {
    const { sent, progress } = play({});
    expect(sent.map(({ type }) => type)).toEqual(['progress', 'checkpoint']);
    expect(progress[0].steps.losses).toHaveLength(12);
    expect(progress[0].epochs.steps).toEqual(Float64Array.of(3, 6, 9, 12));
  });

  test('reports when its interval has passed', () => {
    // The clock is read three times a step: before, after, and for the report.
    const { progress } = play({ tick: oneStepPerBlock, settings: { progress_interval_ms: 100 } });
    expect(progress.length).toBeGreaterThan(2);
    const losses = progress.flatMap(({ steps }) => [...steps.losses]);
    expect(losses).toHaveLength(12);
    expect(progress.every(({ samples_per_second }) => samples_per_second > 0)).toBe(true);
  });

  test('saves when its interval has passed, and when enough points are unsaved', () => {
    const byTime = play({ tick: oneStepPerBlock, settings: { checkpoint_interval_ms: 200 } });
    expect(byTime.checkpoints.at(0)!.reason).toBe('periodic');
    const byPoints = play({ tick: oneStepPerBlock, settings: { checkpoint_after_points: 4 } });
    expect(byPoints.checkpoints.map(({ reason, step }) => `${reason} ${step}`)).toEqual([
      'periodic 4',
      'periodic 8',
      'end 12',
    ]);
  });

  test('by its defaults saves at least every three seconds of training, and at the end', () => {
    // By this clock a step takes three readings: 60 ms.
    const { checkpoints } = play({ tick: oneStepPerBlock, request: { epochs: 100 } });
    const gaps = checkpoints.map(({ step }, index) => 60 * (step - (checkpoints[index - 1]?.step ?? 0)));
    expect(checkpoints.at(-1)).toMatchObject({ reason: 'end', step: 300 });
    expect(checkpoints.length).toBeGreaterThan(5);
    expect(Math.max(...gaps)).toBeLessThanOrEqual(3000 + 60);
  });

  test.each(['pause', 'release'] as const)('saves at the next step when it is asked to %s', (asked) => {
    const { checkpoints, end } = play({ before: (cells) => raiseRequest(cells, asked) });
    expect(checkpoints.map(({ reason, step }) => [reason, step])).toEqual([[asked, 0]]);
    expect(end).toMatchObject({ kind: asked === 'pause' ? 'paused' : 'released', cursor: { step: 0 } });
  });

  test('ends at the time limit, which counts training and not the reports', () => {
    // Each step takes one tick of 20 ms between the two readings around it: 40 ms are not enough, 60 ms are too many.
    const { end } = play({ tick: oneStepPerBlock, request: { limits: { max_runtime_seconds: 0.05 } } });
    expect(end).toMatchObject({ kind: 'succeeded', stop_reason: 'max_runtime', cursor: { step: 3 } });
  });

  test('puts a request to read its messages down, so that blocks can be long again', () => {
    const { cells, progress } = play({
      before: (control) => raiseRequest(control, 'read_messages'),
      messages: [{ type: 'change_learning_rate', learning_rate: 0.25 }],
    });
    expect(cells[control.request]).toBe(requests.none);
    expect(progress[0].notes).toEqual([
      expect.objectContaining({ type: 'backend_chosen' }),
      { type: 'learning_rate_changed', step: 1, learning_rate: 0.25 },
    ]);
    expect(progress[0].steps.learning_rates).toEqual(Float64Array.of(0.25));
  });

  test('reports a changed learning rate at once, not with the next report', () => {
    const cells = createControl();
    let isAsked = false;
    const { progress } = play({
      cells,
      tick: oneStepPerBlock,
      settings: { progress_interval_ms: 10_000 },
      messages: [{ type: 'change_learning_rate', learning_rate: 0.25 }],
      atStep: (step) => {
        if (step < 2 || isAsked) return;
        isAsked = true;
        raiseRequest(cells, 'read_messages');
      },
    });
    const [first, rest] = progress;
    expect(first.notes.at(-1)).toEqual({ type: 'learning_rate_changed', step: 3, learning_rate: 0.25 });
    expect([first.steps.losses.length, rest.steps.losses.length]).toEqual([2, 10]);
  });

  test('reads a message that came together with a pause, so that the change is in the checkpoint', () => {
    const { end, progress, checkpoints } = play({
      before: (control) => raiseRequest(control, 'pause'),
      messages: [{ type: 'change_learning_rate', learning_rate: 0.25 }],
    });
    expect(end).toMatchObject({ kind: 'paused', cursor: { step: 0 } });
    expect(progress[0].notes.map(({ type }) => type)).toEqual(['backend_chosen', 'learning_rate_changed']);
    expect(checkpoints.map(({ reason }) => reason)).toEqual(['pause']);
  });

  test('takes memory that comes back with a report, and keeps what else has arrived until it is asked to read it', () => {
    const cells = createControl();
    const memory = new ArrayBuffer(2 ** 16);
    const { progress } = play({
      cells,
      tick: oneStepPerBlock,
      settings: { progress_interval_ms: 20 },
      messages: [
        { type: 'change_learning_rate', learning_rate: 0.25 },
        { type: 'reuse', memories: [memory] },
      ],
      atStep: (step) => {
        if (step === 6 && cells[control.request] === requests.none) raiseRequest(cells, 'read_messages');
      },
    });
    const rates = progress.flatMap(({ steps }) =>
      Array.from(steps.losses, (_, i) => steps.learning_rates[i] ?? steps.learning_rates[0]),
    );
    expect(rates.indexOf(0.25)).toBe(6);
    expect(rates).toHaveLength(12);
    // Its own memory is given back to the system when the run ends.
    expect(memory.byteLength).toBe(0);
  });
});
