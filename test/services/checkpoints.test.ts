import { describe, expect, it } from 'vitest';
import { damageCheckpoints } from '../../scripts/checkpoints/damage.ts';
import { killWhileSaving } from '../../scripts/checkpoints/kills.ts';

describe('checkpoints', () => {
  it('are whole, and those of an undisturbed run, after a process was killed while it saved them', async () => {
    const { faults, read } = await killWhileSaving(2, 2);
    expect(faults).toEqual([]);
    expect(read).toBeGreaterThan(0);
  });

  it('that are cut off or have a bit turned over are passed over, and the job ends as if nothing had happened', async () => {
    expect(await damageCheckpoints(8, 2)).toEqual({ truncated: 4, flipped: 4, faults: [] });
  });
});
