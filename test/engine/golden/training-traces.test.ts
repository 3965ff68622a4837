import { describe, expect, test } from 'vitest';
import { globalNorm } from '../../../src/engine/clipping.ts';
import { resolveOptimizer } from '../../../src/engine/optimizers.ts';
import { plan } from '../../../src/engine/plan.ts';
import { createReferenceBackend } from '../../../src/engine/reference/backend.ts';
import { backwardPass } from '../../../src/engine/reference/backward.ts';
import { learningRate, resolveSchedules } from '../../../src/engine/schedules.ts';
import { expectClose } from '../compare.ts';
import {
  clipOf,
  dataOf,
  definitionOf,
  flatParameters,
  type GoldenNetwork,
  initialOf,
  optimizerOf,
  readGolden,
  type Trace,
} from './reference-data.ts';

const { traces } = readGolden<{ traces: readonly Trace[] }>('3-training-traces.json');

// 18 steps of sums of at most a dozen terms: PyTorch itself stays below 1e-13 of the truth.
const tolerance = { relative: 1e-11, absolute: 1e-12 };

/** PyTorch's names of the moments, in the order of ours. */
const slotNames: Readonly<Record<string, string>> = {
  velocity: 'momentum_buffer',
  mean_square: 'square_avg',
  mean: 'grad_avg',
  sum_of_squares: 'sum',
};
const adamSlotNames: Readonly<Record<string, string>> = {
  mean: 'exp_avg',
  mean_square: 'exp_avg_sq',
  largest_mean_square: 'max_exp_avg_sq',
};

function setUp(trace: Trace) {
  const planned = plan(definitionOf(trace));
  const batchSize = Math.max(...trace.steps.map(({ batch }) => batch.length));
  const setup = {
    optimizer: optimizerOf(trace.optimizer),
    clip_gradients: clipOf(trace.clip),
    arithmetic: 'strict' as const,
    batch_size: batchSize,
    seed: 0,
  };
  return { planned, backend: createReferenceBackend(planned, setup, dataOf(trace), initialOf(planned, trace)) };
}

describe.each(traces)('$id: $what', (trace) => {
  test('learning rate, loss, gradient norm and every parameter agree after every step', () => {
    const { planned, backend } = setUp(trace);
    const schedules = resolveSchedules(trace.schedule ?? undefined);
    for (const want of trace.steps) {
      const rate = learningRate(trace.optimizer.lr, schedules, { step: want.step - 1, epoch: want.epoch - 1 });
      expectClose([rate], want.lr, { relative: 1e-14 }, `learning rate of step ${want.step}`);
      const rows = { x: want.batch.map((row) => trace.x[row]), y: want.batch.map((row) => trace.y[row]) };
      const { pass } = backwardPass(planned, backend.state(), dataOf(rows as Pick<GoldenNetwork, 'x' | 'y'>));
      expectClose([globalNorm(pass.gradients)], want.grad_norm, tolerance, `gradient norm of step ${want.step}`);
      const result = backend.train({
        order: Uint32Array.from(want.batch),
        epoch_rows: want.batch.length,
        first_step: want.step,
        learning_rates: Float64Array.of(rate),
      });
      expect(result.divergence).toBeNull();
      expectClose(result.losses, [want.loss], tolerance, `loss of step ${want.step}`);
      const parameters = flatParameters(want.weights, want.biases);
      expectClose(backend.state().parameters, parameters, tolerance, `parameters after step ${want.step}`);
    }
    const { outputs, loss_full_batch: loss } = trace.final;
    expectClose(backend.predict(dataOf(trace).inputs, trace.x.length), outputs, tolerance, 'outputs');
    expectClose([backend.evaluate(dataOf(trace))], loss, tolerance, 'final loss');
  });
});

const withState = traces.filter((trace) => trace.optimizer_state_after_last_step);

test.each(withState)('$id: the moments agree after the last step', (trace) => {
  const { backend } = setUp(trace);
  const state = trace.optimizer_state_after_last_step ?? {};
  const schedules = resolveSchedules(trace.schedule ?? undefined);
  for (const { step, epoch, batch } of trace.steps) {
    const rate = learningRate(trace.optimizer.lr, schedules, { step: step - 1, epoch: epoch - 1 });
    const order = Uint32Array.from(batch);
    backend.train({ order, epoch_rows: order.length, first_step: step, learning_rates: Float64Array.of(rate) });
  }
  const { entry, options } = resolveOptimizer(optimizerOf(trace.optimizer));
  const names = trace.optimizer.name.startsWith('adam') ? adamSlotNames : slotNames;
  const { slots } = backend.state();
  for (const [index, { name }] of entry.slots(options).entries()) {
    const want = state[names[name]];
    if (typeof want !== 'object') expect.fail(`no reference for the moment ${name}`);
    expectClose(slots[index], flatParameters(want.weights, want.biases), tolerance, name);
  }
});
