import { describe, expect, test } from 'vitest';
import {
  control,
  createControl,
  hasBegun,
  type RequestName,
  raiseRequest,
  reportedSteps,
  reportSteps,
  requests,
} from '../../src/training/protocol.ts';

describe('the control array', () => {
  const wins = (...wanted: RequestName[]) => {
    const cells = createControl();
    for (const name of wanted) raiseRequest(cells, name);
    return cells[control.request];
  };

  test('a request is replaced by a higher one only, in whatever order they come', () => {
    expect(wins('pause', 'cancel')).toBe(requests.cancel);
    expect(wins('cancel', 'pause')).toBe(requests.cancel);
    expect(wins('read_messages', 'stop', 'pause')).toBe(requests.stop);
    expect(wins('release', 'pause')).toBe(requests.release);
  });

  test('the back end looks at cell 0, where 0 means: go on', () => {
    expect(control.request).toBe(0);
    expect(requests.none).toBe(0);
    const cells = createControl();
    expect([cells[control.request], cells[control.acknowledged]]).toEqual([0, 0]);
  });

  test('a run begins when its worker first reports steps, be it none', () => {
    const cells = createControl();
    expect([hasBegun(cells), reportedSteps(cells)]).toEqual([false, 0]);
    reportSteps(cells, 0);
    expect([hasBegun(cells), reportedSteps(cells)]).toEqual([true, 0]);
  });

  test('step counts beyond 32 bits come through and touch no other cell', () => {
    const cells = createControl();
    reportSteps(cells, 2 ** 40 + 1);
    expect(reportedSteps(cells)).toBe(2 ** 40 + 1);
    expect([cells[control.request], cells[control.acknowledged]]).toEqual([0, 0]);
  });
});
