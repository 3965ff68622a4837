import { expect, test } from 'vitest';
import { HistoryBuffer } from '../../src/training/history-buffer.ts';

const block = (first_step: number, losses: number[], rates: number[]) => ({
  steps: { first_step, losses: Float64Array.from(losses), learning_rates: Float64Array.from(rates) },
  epochs: { first_epoch: 1, steps: new Float64Array(0), series: {} },
  frames: [],
  notes: [],
});

test('joins blocks in order and keeps one rate where all are the same', () => {
  const buffer = new HistoryBuffer();
  buffer.add(block(4, [1, 2], [0.1]));
  buffer.add(block(6, [3], [0.1]));
  expect(buffer.points).toBe(3);
  expect(buffer.drain().steps).toEqual({
    first_step: 4,
    losses: Float64Array.of(1, 2, 3),
    learning_rates: Float64Array.of(0.1),
  });
  expect(buffer.isEmpty).toBe(true);
});

test('keeps every rate where they differ, and every loss that is not finite', () => {
  const buffer = new HistoryBuffer();
  buffer.add(block(1, [Number.NaN, Number.POSITIVE_INFINITY], [0.1, 0.2]));
  const { losses, learning_rates } = buffer.drain().steps;
  expect([...losses]).toEqual([Number.NaN, Number.POSITIVE_INFINITY]);
  expect([...learning_rates]).toEqual([0.1, 0.2]);
});

test('a note alone is worth a report', () => {
  const buffer = new HistoryBuffer();
  buffer.note({ type: 'learning_rate_changed', step: 1, learning_rate: 1 });
  expect(buffer.isEmpty).toBe(false);
  expect(buffer.drain()).toMatchObject({ notes: [{ step: 1 }], steps: { losses: new Float64Array(0) } });
});

test('what was handed out does not change any more', () => {
  const buffer = new HistoryBuffer();
  const steps = block(1, [1], [1]);
  buffer.add(steps);
  const { losses } = buffer.drain().steps;
  steps.steps.losses[0] = 5;
  expect(losses[0]).toBe(1);
});

test('the memory of what was added is given back when it has been handed out', () => {
  const buffer = new HistoryBuffer();
  const { steps, epochs, ...rest } = block(1, [1, 2], [0.1, 0.2]);
  const series = { loss: Float64Array.of(1.5) };
  const added = { ...rest, steps, epochs: { ...epochs, steps: Float64Array.of(2), series } };
  buffer.add(added);
  const drained = buffer.drain();
  expect([...drained.epochs.series.loss]).toEqual([1.5]);
  const arrays = [steps.losses, steps.learning_rates, added.epochs.steps, series.loss];
  expect(arrays.map(({ length }) => length)).toEqual([0, 0, 0, 0]);
});
