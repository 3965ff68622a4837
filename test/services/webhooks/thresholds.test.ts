import { expect, it } from 'vitest';
import { Thresholds } from '../../../src/services/webhooks/thresholds.ts';

const epochs = (first_epoch: number, ...loss: number[]) => ({
  first_epoch,
  steps: Float64Array.from(loss, (_, i) => 10 * (first_epoch + i)),
  series: { loss: Float64Array.from(loss) },
});

const hook = (number: number, threshold: object | null, threshold_reached = 0) => ({
  number,
  threshold,
  threshold_reached,
});

it('a threshold is reached in the first epoch beyond it, once', () => {
  const below = { monitor: 'loss', below: 0.5 };
  const above = { monitor: 'loss', above: 2 };
  const thresholds = new Thresholds([hook(1, below), hook(2, above), hook(3, null)]);
  expect(thresholds.reachedIn(epochs(1, 1, 0.5, Number.NaN, Number.NEGATIVE_INFINITY))).toEqual([]);
  expect(thresholds.reachedIn(epochs(5, 0.6, 0.4, 0.3))).toEqual([
    { type: 'threshold_reached', data: { webhook: 1, ...below, epoch: 6, step: 60, value: 0.4 } },
  ]);
  expect(thresholds.reachedIn(epochs(8, 0.1, 3))).toEqual([
    { type: 'threshold_reached', data: { webhook: 2, ...above, epoch: 9, step: 90, value: 3 } },
  ]);
  expect(thresholds.reachedIn(epochs(10, 0.1, 3))).toEqual([]);
});

it('one that was told before, or watches what is not measured, is not told', () => {
  const thresholds = new Thresholds([
    hook(1, { monitor: 'loss', below: 1 }, 1),
    hook(2, { monitor: 'accuracy', above: 0 }),
  ]);
  expect(thresholds.reachedIn(epochs(1, 0, 0))).toEqual([]);
});
