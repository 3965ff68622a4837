import { describe, expect, it } from 'vitest';
import type { BackendState, Plan } from '../../src/engine/backend.ts';
import type { NetworkDefinition } from '../../src/engine/definition.ts';
import { plan } from '../../src/engine/plan.ts';
import { decodeCheckpoint, encodeCheckpoint } from '../../src/training/checkpoint.ts';
import { type Frame, LayerProbe } from '../../src/training/layer-statistics.ts';
import type { RunRequest } from '../../src/training/request.ts';
import { Run } from '../../src/training/run.ts';
import { smallRequest } from './fixtures/requests.ts';

const state = (planned: Plan, parameters: readonly number[]): BackendState => {
  expect(parameters).toHaveLength(planned.parameter_count);
  return {
    parameters: Float64Array.from(parameters),
    statistics: new Float64Array(0),
    slots: [],
    scalars: new Float64Array(0),
  };
};

/** Looks at one step of a network of one input; `batch` are the inputs, all targets are 0. */
function look(
  layers: NetworkDefinition['layers'],
  parameters: readonly number[],
  batch: readonly number[],
  options: {
    readonly after?: readonly number[];
    readonly loss?: NetworkDefinition['loss'];
    readonly rows?: number;
  } = {},
) {
  const { after = parameters, loss = 'mean_squared_error', rows = batch.length } = options;
  const planned = plan({ input_size: 1, layers, loss, precision: 'float64' });
  const targets = new Float64Array(batch.length * planned.output_size);
  const data = { rows: batch.length, inputs: Float64Array.from(batch), targets };
  const probe = new LayerProbe(planned, { seed: 0 }, data, rows);
  probe.begin({
    step: 1,
    learning_rate: 1,
    batch: Uint32Array.from(batch.keys()),
    before: state(planned, parameters),
  });
  return probe.end(state(planned, after).parameters);
}

const line = { use_bias: false } as const;

describe('a look at a step', () => {
  it.each([3, 400])('shows the same the second time, for a network of %d units as well', (units) => {
    const planned = plan({ input_size: units, layers: [{ units }], loss: 'mean_squared_error', precision: 'float64' });
    const data = { rows: 2, inputs: new Float64Array(2 * units).fill(0.5), targets: new Float64Array(2 * units) };
    const probe = new LayerProbe(planned, { seed: 0 }, data, 2);
    const numbers = (factor: number) => Array.from({ length: planned.parameter_count }, (_, i) => factor * Math.cos(i));
    const [first, second] = [1, 2].map(() => {
      const before = state(planned, numbers(1));
      probe.begin({ step: 5, learning_rate: 1, batch: new Uint32Array([0, 1]), before });
      return probe.end(state(planned, numbers(0.9)).parameters);
    });
    expect(second).toEqual(first);
    expect(first.layers[0].figures.update_ratio).toBeGreaterThan(0.09);
    expect(() => probe.end(state(planned, numbers(1)).parameters)).toThrow('no look has begun');
  });

  it.each([3, 400])(
    'is broken off anywhere and begun again without a trace, for a network of %d units as well',
    (units) => {
      const layers = [{ units, activation: 'relu' as const }, { units: 2 }];
      const planned = plan({ input_size: units, layers, loss: 'mean_squared_error', precision: 'float64' });
      const data = { rows: 2, inputs: new Float64Array(2 * units).fill(0.5), targets: new Float64Array(4) };
      const numbers = (factor: number) =>
        Array.from({ length: planned.parameter_count }, (_, i) => factor * Math.cos(i));
      const observed = () => ({
        step: 5,
        learning_rate: 1,
        batch: new Uint32Array([0, 1]),
        before: state(planned, numbers(1)),
      });
      const updated = () => state(planned, numbers(0.9)).parameters;
      const probe = new LayerProbe(planned, { seed: 0 }, data, 2);
      let asked = 0;
      expect(probe.begin(observed(), () => ++asked < 0)).toBe(true);
      const whole = probe.end(updated());
      // After each row of each product, and before the weights and the gradients of each layer are measured.
      expect(asked).toBe(2 + 2 + (2 + 2) + units + 4);
      for (let place = 1; place <= asked; place += Math.ceil(asked / 40)) {
        let left = place;
        expect(probe.begin(observed(), () => --left === 0)).toBe(false);
        expect(() => probe.end(updated())).toThrow('no look has begun');
        expect(probe.begin(observed())).toBe(true);
        expect(probe.end(updated())).toEqual(whole);
      }
    },
  );

  it('measures weights, gradients, updates and activations as they can be computed by hand', () => {
    // y = 2x on x = 1, 3 with targets 0: loss = mean (2x)² = 4·mean x², gradient 2·2·mean x² = 20.
    const { layers } = look([{ units: 1, ...line }], [2], [1, 3], { after: [1.5] });
    expect(layers).toEqual([
      {
        tensors: {
          weights: expect.objectContaining({ abs_max: 2, mean: 2, std: 0 }),
          gradients: expect.objectContaining({ abs_max: 20, mean: 20, std: 0 }),
          updates: expect.objectContaining({ abs_max: 0.5, mean: -0.5, std: 0 }),
          activations: expect.objectContaining({ abs_max: 6, mean: 4, std: 2 }),
        },
        figures: { update_ratio: 0.25, dead_fraction: null, saturated_fraction: null },
      },
    ]);
  });

  it('calls a unit of the relu family dead when it is 0 on every sampled row, and not when it is on one', () => {
    const relu = [{ units: 4, activation: 'relu', ...line }] as const;
    const dead = (batch: readonly number[]) => look(relu, [1, -1, 0, 2], batch).layers[0].figures.dead_fraction;
    expect(dead([1, 2, 3])).toBe(0.5);
    expect(dead([1, 2, -3])).toBe(0.25);
    expect(look([{ units: 1, activation: 'leaky_relu', ...line }], [-1], [1]).layers[0].figures.dead_fraction).toBe(0);
  });

  it('counts activations near an end of their range as saturated', () => {
    const at = (activation: 'tanh' | 'sigmoid' | 'softsign', batch: readonly number[]) =>
      look([{ units: 1, activation, ...line }], [1], batch).layers[0].figures.saturated_fraction;
    // tanh 2.29 = 0.9797, tanh 2.3 = 0.98010: 1 % of the range of 2 lies above 0.98.
    expect(at('tanh', [2.29, 2.3, -2.3, 0])).toBe(0.5);
    // sigmoid 4.59 = 0.98995, sigmoid 4.6 = 0.99005
    expect(at('sigmoid', [4.59, 4.6, -4.6, 0])).toBe(0.5);
    // softsign z = z/(1 + |z|): 0.98 at z = 49
    expect(at('softsign', [48, 50, -50, 0])).toBe(0.5);
  });

  it('takes the gradient of a loss that is summed over the batch as if all rows had been sampled', () => {
    const gradient = (rows: number) =>
      look([{ units: 1, ...line }], [2], [1, 1, 1, 1], {
        rows,
        loss: { name: 'mean_squared_error', reduction: 'sum' },
      });
    expect(gradient(2).rows).toBe(2);
    expect(gradient(2).layers[0].tensors.gradients.mean).toBe(16);
    expect(gradient(4).layers[0].tensors.gradients.mean).toBe(16);
  });
});

/** All frames of a run, trained in blocks of these sizes. */
function framesOf(run: Run, budgets: readonly number[]): Frame[] {
  const frames: Frame[] = [];
  for (let i = 0; run.end === null; i++) frames.push(...run.advance(budgets[i % budgets.length]).frames);
  return frames;
}

const watched: RunRequest = smallRequest({ epochs: 40, statistics: true });

describe('the frames of a run', () => {
  it('change nothing of what is trained', () => {
    const runs = [true, false].map((statistics) => new Run({ ...watched, statistics }, null));
    const [seen, unseen] = runs.map((run) => framesOf(run, [1000]));
    expect(seen.length).toBeGreaterThan(30);
    expect(unseen).toEqual([]);
    const [one, other] = runs.map((run) => run.checkpoint().state);
    expect(one).toEqual(other);
  });

  it('are numbered from 1 without gaps, and do not depend on how training is cut into blocks', () => {
    const whole = framesOf(new Run(watched, null), [1000]);
    expect(whole.map(({ number }) => number)).toEqual(whole.map((_, i) => i + 1));
    expect(framesOf(new Run(watched, null), [1])).toEqual(whole);
    expect(framesOf(new Run(watched, null), [3, 1, 7])).toEqual(whole);
  });

  it('are the same to the last bit when the run goes on from a checkpoint', () => {
    const whole = framesOf(new Run(watched, null), [1000]);
    for (const stop of [1, 5, 24, 61]) {
      const first = new Run(watched, null);
      const before: Frame[] = [];
      while (first.cursor.step < stop) before.push(...first.advance(stop - first.cursor.step).frames);
      const second = new Run(watched, decodeCheckpoint(encodeCheckpoint(first.checkpoint())));
      expect([...before, ...framesOf(second, [1000])]).toEqual(whole);
    }
  });
});
