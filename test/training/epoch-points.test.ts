import { describe, expect, test } from 'vitest';
import { EpochColumns, epochLosses, epochPoints, takeJoinedEpochs } from '../../src/training/epoch-points.ts';

function columns(first: number, values: readonly (Record<string, number> | null)[]) {
  const made = new EpochColumns(first, values.length);
  made.place(10 * (first - 1), 10, Float64Array.of(0.5), 0);
  values.forEach((measured, i) => {
    made.losses[i] = first + i;
    made.measure(i, measured ?? {});
  });
  return made.points();
}

test('consecutive epochs are laid end to end', () => {
  const joined = takeJoinedEpochs([columns(3, [{ accuracy: 0.5 }, { accuracy: 0.75 }]), columns(5, [{ accuracy: 1 }])]);
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
  const joined = takeJoinedEpochs([columns(1, [{ validation_loss: 2 }]), columns(2, [null])]);
  expect(epochPoints(joined)).toEqual([
    { epoch: 1, step: 10, values: { loss: 1, learning_rate: 0.5, validation_loss: 2 } },
    { epoch: 2, step: 20, values: { loss: 2, learning_rate: 0.5 } },
  ]);
});

test('no epochs are no points', () => {
  expect(epochPoints(takeJoinedEpochs([]))).toEqual([]);
});

describe('the losses of epochs', () => {
  // 3 batches of 4, 4 and 2 rows.
  const cut = { steps_per_epoch: 3, batch_size: 4, last_rows: 2, rows: 10 };

  test('are the means over their rows, from the middle of one epoch to the middle of another', () => {
    const means = new Float64Array(2);
    const rest = epochLosses(Float32Array.of(3, 5, 1, 2, 4, 8), { steps: 1, loss_sum: 28 }, cut, means);
    expect([...means]).toEqual([(28 + 12 + 10) / 10, (4 + 8 + 8) / 10]);
    expect(rest).toBe(32);
  });

  test('of an epoch that does not end are a sum', () => {
    expect(epochLosses(Float64Array.of(3), { steps: 1, loss_sum: 28 }, cut, new Float64Array(0))).toBe(40);
    expect(epochLosses(new Float64Array(0), { steps: 2, loss_sum: 40 }, cut, new Float64Array(0))).toBe(40);
  });

  test('of one batch each are those of the batches', () => {
    const means = new Float64Array(3);
    const single = { steps_per_epoch: 1, batch_size: 16, last_rows: 10, rows: 10 };
    expect(epochLosses(Float64Array.of(1, 2, 3), { steps: 0, loss_sum: 0 }, single, means)).toBe(0);
    expect([...means]).toEqual([1, 2, 3]);
  });
});

test('the rate of an epoch is that of its last step', () => {
  const made = new EpochColumns(4, 2);
  made.place(9, 3, Float64Array.of(0.2, 0.3, 0.4, 0.5, 0.6), 1);
  expect([...made.steps]).toEqual([12, 15]);
  expect([...made.rates]).toEqual([0.3, 0.6]);
});
