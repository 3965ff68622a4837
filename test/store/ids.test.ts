import { expect, it } from 'vitest';
import { newId } from '../../src/store/ids.ts';

it('ids carry their resource and a UUIDv7', () => {
  expect(newId('network')).toMatch(/^net_[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect([newId('dataset'), newId('job')].map((id) => id.split('_')[0])).toEqual(['ds', 'job']);
});

it('ids ascend in the order they were made, also within a millisecond', () => {
  const ids = Array.from({ length: 20_000 }, () => newId('job'));
  expect(ids.toSorted()).toEqual(ids);
  expect(new Set(ids).size).toBe(ids.length);
});
