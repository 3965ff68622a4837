import { expect, test } from 'vitest';
import { plan } from '../../src/engine/plan.ts';
import type { KeptRequest } from '../../src/services/job-request.ts';
import { runDigest } from '../../src/services/run-digest.ts';

test('a run that rounds multiply-adds once has another digest than one that rounds them twice', () => {
  const definition = { input_size: 1, layers: [{ units: 1 }], loss: 'mean_squared_error' } as const;
  const request = {
    optimizer: 'sgd',
    arithmetic: 'strict',
    limits: {},
    data: { sha256: '00' },
  } as unknown as KeptRequest;
  const digest = (fused?: boolean) => runDigest(definition, plan(definition), request, [], fused);
  expect(digest(true)).not.toBe(digest(false));
  expect(digest()).toBe(digest(false));
});
