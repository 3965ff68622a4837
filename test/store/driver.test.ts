import { expect, it } from 'vitest';
import { systemErrorCode } from '../../src/store/driver.ts';

it.each([
  ['ENOSPC', 'storage_full'],
  ['EDQUOT', 'storage_full'],
  ['EMFILE', 'storage_busy'],
  ['EIO', 'storage_failed'],
])('the system error %s is %s', (code, expected) => {
  expect(systemErrorCode(Object.assign(new Error('x'), { code }))).toBe(expected);
});

it('what is not a system error is storage_failed', () => {
  expect([systemErrorCode(new Error('x')), systemErrorCode('x')]).toEqual(['storage_failed', 'storage_failed']);
});
