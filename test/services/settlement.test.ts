import { describe, expect, it } from 'vitest';
import { afterCrash } from '../../src/services/settlement.ts';

const crashed = { kind: 'crashed', error: { code: 'worker_crashed', message: 'gone' }, step: 7 } as const;

describe('a job whose worker has died', () => {
  it('goes on from its last checkpoint, and has failed after the third time at one step', () => {
    expect(afterCrash({ crashes: 1, crash_step: 7 }, crashed)).toMatchObject({ event: 'crash', set: { crashes: 2 } });
    expect(afterCrash({ crashes: 2, crash_step: 7 }, crashed)).toMatchObject({ event: 'fail', set: { crashes: 3 } });
    expect(afterCrash({ crashes: 2, crash_step: 6 }, crashed)).toMatchObject({ event: 'crash', set: { crashes: 1 } });
  });

  it('is not to blame when the worker was ended because a pause could not wait for it', () => {
    const settled = afterCrash({ crashes: 2, crash_step: 7 }, { ...crashed, unanswered: true });
    expect(settled).toEqual({ event: 'crash', reason: 'no_answer', set: {} });
  });
});
