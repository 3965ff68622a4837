import { describe, expect, test } from 'vitest';
import { isLarge, sizeOf } from '../../src/training/memory.ts';
import { smallRequest } from './fixtures/requests.ts';

describe('the memory of a run that is over', () => {
  test('is worth a collection when the network or its data are large', () => {
    const small = smallRequest();
    expect(isLarge(sizeOf(small))).toBe(false);
    const layers = [{ units: 1024 }, { units: 1024 }];
    expect(isLarge(sizeOf({ ...small, network: { ...small.network, layers } }))).toBe(true);
    const inputs = new Float32Array(2 ** 21);
    expect(isLarge(sizeOf({ ...small, data: { ...small.data, inputs } }))).toBe(true);
  });
});
