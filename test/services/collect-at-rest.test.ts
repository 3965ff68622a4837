import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { collectAtRest, restBefore } from '../../src/services/collect-at-rest.ts';
import { collectGarbage } from '../../src/training/collect-garbage.ts';

vi.mock('../../src/training/collect-garbage.ts', () => ({ collectGarbage: vi.fn() }));

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

it('what starting has left is collected once, and not while a job runs', () => {
  const pool = { idle: 1, workers: 2 };
  collectAtRest(pool);
  vi.advanceTimersByTime(3 * restBefore);
  expect(collectGarbage).not.toHaveBeenCalled();
  pool.idle = 2;
  vi.advanceTimersByTime(3 * restBefore);
  expect(collectGarbage).toHaveBeenCalledOnce();
});
