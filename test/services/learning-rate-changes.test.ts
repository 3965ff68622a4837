import { expect, it } from 'vitest';
import { effectiveChanges, stepsOfPending, withEffect } from '../../src/services/learning-rate-changes.ts';

const record = (number: number, learning_rate: number, first_step: number | null) => ({
  number,
  learning_rate,
  first_step,
  requested_at: 0,
});

it('of several changes at one step the newest is in effect, and they are in order of their steps', () => {
  const records = [record(1, 0.1, 9), record(2, 0.2, 5), record(3, 0.3, 9), record(4, 0.4, null)];
  expect(effectiveChanges(records)).toEqual([
    { first_step: 5, learning_rate: 0.2 },
    { first_step: 9, learning_rate: 0.3 },
  ]);
});

it('what waits takes effect with the next step', () => {
  expect(stepsOfPending([record(1, 0.1, null), record(2, 0.2, null)], 7)).toEqual([
    { number: 1, first_step: 8 },
    { number: 2, first_step: 8 },
  ]);
});

it('what waits never overtakes a change that is going to be trained again, and holds after it', () => {
  const records = [record(1, 0.1, 500), record(2, 0.2, null)];
  const effects = stepsOfPending(records, 400);
  expect(effects).toEqual([{ number: 2, first_step: 500 }]);
  expect(effectiveChanges(withEffect(records, effects))).toEqual([{ first_step: 500, learning_rate: 0.2 }]);
});
