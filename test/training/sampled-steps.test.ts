import { describe, expect, it } from 'vitest';
import { plan } from '../../src/engine/plan.ts';
import { frameWork, maxFrames, type RunSize, samplingSchedule, stepWork } from '../../src/training/sampled-steps.ts';

const network = (...sizes: number[]) =>
  plan({
    input_size: sizes[0],
    layers: sizes.slice(1).map((units) => ({ units, activation: 'relu' })),
    loss: 'mean_squared_error',
  });

const shapes = { tiny: network(3, 3, 4, 2), small: network(30, 64, 32, 1), large: network(784, 512, 512, 10) };
const sizes: RunSize[] = Object.values(shapes).flatMap((shape) =>
  [1, 2, 7, 500, 10_000, 1_000_000, 2_000_000_000].flatMap((steps) =>
    [1, 10, 128].map((batch_size): RunSize => ({ plan: shape, optimizer: 'adam', batch_size, steps })),
  ),
);

describe('the steps that are looked at', () => {
  it('cost at every step at most 3 % of the work so far and 15 ms', () => {
    for (const size of sizes) {
      const { rows, steps } = samplingSchedule(size);
      const price = frameWork(size, rows);
      const dear = steps.filter((step, i) => (i + 1) * price > 0.03 * step * stepWork(size) + 15e6);
      expect(dear).toEqual([]);
    }
  });

  it('are ascending whole numbers of the run, and at most 200', () => {
    for (const size of sizes) {
      const { steps } = samplingSchedule(size);
      expect(steps.length).toBeLessThanOrEqual(maxFrames);
      for (const [index, step] of steps.entries()) {
        expect(Number.isInteger(step) && step <= size.steps && step > (steps[index - 1] ?? 0)).toBe(true);
      }
    }
  });

  it('are dense at first, reach the end, and are many for a run that can pay for them', () => {
    const { steps } = samplingSchedule({ plan: shapes.tiny, optimizer: 'sgd', batch_size: 10, steps: 10_000 });
    expect(steps.slice(0, 4)).toEqual([1, 2, 4, 8]);
    expect(steps.at(-1)).toBe(10_000);
    expect(steps.length).toBeGreaterThan(40);
    const long = samplingSchedule({ plan: shapes.large, optimizer: 'sgd', batch_size: 128, steps: 3_000_000 });
    expect(long.steps.length).toBeGreaterThan(190);
    expect(long.rows).toBe(64);
  });

  it('are all of a run that is very short', () => {
    const { rows, steps } = samplingSchedule({ plan: shapes.tiny, optimizer: 'sgd', batch_size: 4, steps: 5 });
    expect({ rows, steps }).toEqual({ rows: 4, steps: [1, 2, 3, 4, 5] });
  });

  it('are none where a single look would cost more than the whole run allows', () => {
    const { steps } = samplingSchedule({ plan: shapes.large, optimizer: 'sgd', batch_size: 128, steps: 10 });
    expect(steps).toEqual([]);
  });
});
