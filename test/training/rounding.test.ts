import { describe, expect, test } from 'vitest';
import { createBackend } from '../../src/engine/backends.ts';
import { roundsOnce } from '../../src/engine/wasm/probe.ts';
import { decodeCheckpoint, encodeCheckpoint } from '../../src/training/checkpoint.ts';
import type { RunRequest } from '../../src/training/request.ts';
import { roundingOf, roundingsUpTo } from '../../src/training/rounding.ts';
import { type CreateBackend, Run } from '../../src/training/run.ts';
import { smallRequest } from './fixtures/requests.ts';

/** A machine like this one, and one that has no fused multiply-add: with strict arithmetic the compiled code has none. */
const here: CreateBackend = createBackend;
const elsewhere: CreateBackend = (plan, setup, ...rest) =>
  createBackend(plan, { ...setup, arithmetic: 'strict' }, ...rest);

const request = smallRequest({
  arithmetic: 'fused',
  network: { ...smallRequest().network, precision: 'float32' },
  epochs: 10,
});
const accepting: RunRequest = { ...request, accept_other_rounding: true };

/** The file of a run after so many steps, going on from a file. */
function trainTo(step: number, file: Uint8Array | null, create: CreateBackend, asked = request): Uint8Array {
  const run = new Run(asked, file && decodeCheckpoint(file), create);
  while (run.cursor.step < step && run.end === null) run.advance(step - run.cursor.step);
  return encodeCheckpoint(run.checkpoint());
}

const end = 30;
const parametersOf = (file: Uint8Array) => Buffer.from(decodeCheckpoint(file).state.parameters.buffer).toString('hex');
const cursorOf = (file: Uint8Array) => decodeCheckpoint(file).cursor;

test('this machine rounds once, so that it can be told from one that rounds twice', () => {
  expect(roundsOnce('fused')).toBe(true);
  expect(parametersOf(trainTo(end, null, here))).not.toBe(parametersOf(trainTo(end, null, elsewhere)));
});

describe('a checkpoint of a machine that rounds otherwise', () => {
  test('is refused, with the reason and ways out', () => {
    const file = trainTo(12, null, elsewhere);
    expect(() => trainTo(13, file, here)).toThrow(
      expect.objectContaining({
        code: 'checkpoint_rounding',
        message: expect.stringMatching(/step 12 .* twice, .* once .*"accept_other_rounding": true/s),
      }),
    );
    expect(() => trainTo(13, trainTo(12, null, here), elsewhere)).toThrow(/once \(fused\), this one rounds it twice/);
  });

  test('is gone on from when that is accepted: to the same bits each time, and to those of neither machine', () => {
    const mixed = trainTo(end, trainTo(12, null, elsewhere), here, accepting);
    expect(mixed).toEqual(trainTo(end, trainTo(12, null, elsewhere), here, accepting));
    for (const machine of [here, elsewhere]) {
      expect(parametersOf(mixed)).not.toBe(parametersOf(trainTo(end, null, machine)));
    }
    expect(cursorOf(mixed).roundings).toEqual([
      { first_step: 1, fused: false },
      { first_step: 13, fused: true },
    ]);
    expect(decodeCheckpoint(mixed).fused).toBe(true);
  });

  test('goes on without being asked where its last steps were rounded as they are here, and keeps what was before', () => {
    const mixed = trainTo(20, trainTo(12, null, elsewhere), here, accepting);
    expect(trainTo(end, mixed, here)).toEqual(trainTo(end, trainTo(12, null, elsewhere), here, accepting));
    const back = trainTo(end, mixed, elsewhere, accepting);
    expect(cursorOf(back).roundings?.map(({ first_step }) => first_step)).toEqual([1, 13, 21]);
  });

  test('has nothing to refuse where no step is behind it, or none to come', () => {
    expect(cursorOf(trainTo(end, trainTo(0, null, elsewhere), here)).roundings).toBeUndefined();
    expect(parametersOf(trainTo(end, trainTo(0, null, elsewhere), here))).toBe(parametersOf(trainTo(end, null, here)));
    const ended = trainTo(end, null, elsewhere);
    expect(parametersOf(trainTo(end, ended, here))).toBe(parametersOf(ended));
  });

  test('that is saved again before a step is trained is still one of the machine before', () => {
    const saved = trainTo(12, trainTo(12, null, elsewhere), here, accepting);
    expect(decodeCheckpoint(saved).fused).toBe(false);
    expect(cursorOf(saved).roundings).toBeUndefined();
    expect(trainTo(end, saved, elsewhere)).toEqual(trainTo(end, null, elsewhere));
  });
});

test('a run tells of the change before its first step with other rounding, and not after it', () => {
  const run = new Run(accepting, decodeCheckpoint(trainTo(12, null, elsewhere)), here);
  expect(run.roundingChange).toMatchObject({ type: 'rounding_changed', step: 13, fused: true });
  run.advance(1);
  expect(run.roundingChange).toBeNull();
  expect(new Run(request, null, here).roundingChange).toBeNull();
});

test('which steps were rounded how follows from the first steps', () => {
  const spans = [
    { first_step: 1, fused: false },
    { first_step: 13, fused: true },
  ];
  expect([1, 12, 13, 99].map((step) => roundingOf(spans, step))).toEqual([false, false, true, true]);
  expect(roundingsUpTo(spans, 12)).toEqual(spans.slice(0, 1));
  expect(roundingOf([], 1)).toBeUndefined();
});
