import { describe, expect, it } from 'vitest';
import { SharedLoads } from '../../src/services/shared-loads.ts';

const shared = () => new SharedLoads(({ values }: { values: Float64Array }) => values);
const load = async () => ({ values: Float64Array.of(1) });

describe('a value that several need', () => {
  it('is loaded once, while it is on its way and while it is in use', async () => {
    const loads = shared();
    const [one, two] = await Promise.all([loads.get('a', load), loads.get('a', load)]);
    expect(two).toBe(one);
    expect(await loads.get('a', load)).toBe(one);
    expect(await loads.get('b', load)).not.toBe(one);
  });

  it('is loaded again when it could not be loaded', async () => {
    const loads = shared();
    await expect(loads.get('a', () => Promise.reject(new Error('gone')))).rejects.toThrow('gone');
    expect(await loads.get('a', load)).toEqual({ values: Float64Array.of(1) });
  });
});
