import { expect, test } from 'vitest';
import { plan } from '../../src/engine/plan.ts';
import type { KeptRequest } from '../../src/services/job-request.ts';
import { runDigest } from '../../src/services/run-digest.ts';
import type { RoundingSpan } from '../../src/training/request.ts';

const definition = { input_size: 1, layers: [{ units: 1 }], loss: 'mean_squared_error' } as const;
const request = {
  optimizer: 'sgd',
  arithmetic: 'strict',
  limits: {},
  data: { sha256: '00' },
} as unknown as KeptRequest;
const digest = (roundings?: readonly RoundingSpan[]) => runDigest(definition, plan(definition), request, [], roundings);
const [once, twice] = [
  { first_step: 1, fused: true },
  { first_step: 1, fused: false },
];

test('a run that rounds multiply-adds once has another digest than one that rounds them twice', () => {
  expect(digest([once])).not.toBe(digest([twice]));
  expect(digest()).toBe(digest([twice]));
});

test('a run that goes on with other rounding has a digest of its own, by the step where it does', () => {
  const mixed = (first_step: number) => digest([twice, { first_step, fused: true }]);
  expect(new Set([digest([once]), digest([twice]), mixed(5), mixed(6)]).size).toBe(4);
  expect(mixed(5)).toBe(mixed(5));
});
