import { expect, test } from 'vitest';
import { EpochColumns, epochPoints, joinEpochs } from '../../src/training/epoch-points.ts';

function columns(first: number, values: readonly (Record<string, number> | null)[]) {
  const made = new EpochColumns(first, values.length);
  values.forEach((measured, i) => {
    made.add(10 * (first + i), first + i, 0.5, measured);
  });
  return made.points();
}

test('consecutive epochs are laid end to end', () => {
  const joined = joinEpochs([columns(3, [{ accuracy: 0.5 }, { accuracy: 0.75 }]), columns(5, [{ accuracy: 1 }])]);
  expect(joined).toEqual({
    first_epoch: 3,
    steps: Float64Array.of(30, 40, 50),
    series: {
      loss: Float64Array.of(3, 4, 5),
      learning_rate: Float64Array.of(0.5, 0.5, 0.5),
      accuracy: Float64Array.of(0.5, 0.75, 1),
    },
  });
});

test('what a diverged epoch has not measured is left out, not NaN', () => {
  const joined = joinEpochs([columns(1, [{ validation_loss: 2 }]), columns(2, [null])]);
  expect(epochPoints(joined)).toEqual([
    { epoch: 1, step: 10, values: { loss: 1, learning_rate: 0.5, validation_loss: 2 } },
    { epoch: 2, step: 20, values: { loss: 2, learning_rate: 0.5 } },
  ]);
});

test('no epochs are no points', () => {
  expect(epochPoints(joinEpochs([]))).toEqual([]);
});
