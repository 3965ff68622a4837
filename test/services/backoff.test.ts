import { expect, it } from 'vitest';
import { Backoff, pause } from '../../src/services/backoff.ts';

it('pauses double with every failure in a row up to a minute, and begin anew after a success', () => {
  const backoff = new Backoff();
  expect(backoff.pauseMs).toBe(1_000);
  const pauses = Array.from({ length: 9 }, () => backoff.fail());
  expect(pauses).toEqual([1, 2, 4, 8, 16, 32, 64, 64, 64].map((seconds) => 1000 * seconds));
  backoff.succeed();
  expect([backoff.pauseMs, backoff.fail(), backoff.fail()]).toEqual([1_000, 1_000, 2_000]);
});

it('a pause ends at once with whoever has asked for it', async () => {
  const asking = new AbortController();
  const waiting = pause(3_600_000, asking.signal);
  asking.abort();
  await expect(waiting).resolves.toBeUndefined();
  await expect(pause(3_600_000, asking.signal)).resolves.toBeUndefined();
});
