import { describe, expect, it } from 'vitest';
import { droppedSteps, keptEpochCheckpoints, keptRatioBytes, type Wishes } from '../../src/services/retention.ts';
import type { CheckpointRecord } from '../../src/store/store.ts';

type Kept = Pick<CheckpointRecord, 'step' | 'epoch' | 'kind' | 'size'>;

const nothing: Wishes = { every_epochs: undefined, best_step: undefined };

/** What is kept after one checkpoint after the other; a step is an epoch. */
function keptAfter(
  steps: readonly number[],
  wishes: Wishes = nothing,
  { kind = 'periodic', size = 1000 } = {},
): number[] {
  let kept: Kept[] = [];
  for (const step of steps) {
    const dropped = new Set(droppedSteps(kept, { step }, wishes));
    kept = [...kept.filter((one) => !dropped.has(one.step)), { step, epoch: step, kind, size }];
  }
  return kept.map(({ step }) => step);
}

const upTo = (last: number, every = 1) => Array.from({ length: Math.floor(last / every) }, (_, i) => (i + 1) * every);

describe('the checkpoints that are kept', () => {
  it('are the newest two, and before them the first of every doubling of the steps', () => {
    expect(keptAfter(upTo(1000))).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 999, 1000]);
    expect(keptAfter(upTo(1000, 300))).toEqual([300, 600, 900]);
  });

  it('stay few however long the job is', () => {
    const steps = Array.from({ length: 500 }, (_, i) => Math.floor(1.05 ** i) + i);
    expect(keptAfter(steps).length).toBeLessThanOrEqual(2 + Math.ceil(Math.log2(steps.at(-1)!)));
  });

  it('stand further apart when they are large', () => {
    const third = { size: keptRatioBytes / 3 };
    expect(keptAfter(upTo(1000), nothing, third)).toEqual([1, 16, 256, 999, 1000]);
    expect(keptAfter(upTo(1000), nothing, { size: keptRatioBytes + 1 })).toEqual([999, 1000]);
  });

  it('include that of the best epoch as long as it is the best', () => {
    expect(keptAfter(upTo(100), { ...nothing, best_step: 40 })).toContain(40);
    const kept = [38, 40, 99, 100].map((step) => ({ step, epoch: step, kind: 'periodic', size: 1 }));
    expect(droppedSteps(kept, { step: 101 }, { ...nothing, best_step: 38 })).toEqual([40]);
    expect(droppedSteps(kept, { step: 101 }, { ...nothing, best_step: 99 })).toEqual([40]);
  });

  it('include those that were asked for, evenly spread when there are many', () => {
    const asked = { ...nothing, every_epochs: 10 };
    expect(keptAfter(upTo(500, 10), asked, { kind: 'epoch' })).toEqual(upTo(500, 10));
    const kept = keptAfter(upTo(10_000, 10), asked, { kind: 'epoch' });
    const even = kept.filter((step) => step % 160 === 0);
    expect(even).toEqual(upTo(10_000, 160));
    expect(even.length).toBeLessThanOrEqual(keptEpochCheckpoints);
  });
});
