import { expect, it } from 'vitest';
import { startHousekeeping } from '../../src/services/housekeeping.ts';
import { silentLog } from '../../src/services/log.ts';

const hour = 3600 * 1000;

it('forgets expired keys, and at the start all blobs that were on their way when the last process ended', async () => {
  const calls: [string, number][] = [];
  const store = {
    idempotency: {
      find: async () => undefined,
      keep: async () => ({ outcome: 'key_reused' }) as const,
      sweep: async (now: number) => calls.push(['keys', now]),
    },
    sweepBlobs: async (before: number) => calls.push(['blobs', before]),
  };
  await startHousekeeping(store, silentLog, () => 5 * hour).close();
  expect(calls).toEqual([
    ['keys', 5 * hour],
    ['blobs', 5 * hour - 1000],
  ]);
});

it('survives a storage that fails, and says so', async () => {
  const warnings: string[] = [];
  const store = {
    idempotency: {
      find: async () => undefined,
      keep: async () => ({ outcome: 'key_reused' }) as const,
      sweep: () => Promise.reject(new Error('busy')),
    },
    sweepBlobs: async () => 0,
  };
  const log = { ...silentLog, warn: (_fields: object, message: string) => warnings.push(message) };
  await startHousekeeping(store, log, () => 0).close();
  expect(warnings).toHaveLength(1);
});
