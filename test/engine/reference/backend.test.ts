import { describe, expect, test } from 'vitest';
import type { Data, Plan, TrainingBlock, TrainingSetup } from '../../../src/engine/backend.ts';
import type { NetworkDefinition } from '../../../src/engine/definition.ts';
import { initialParameters, plan } from '../../../src/engine/plan.ts';
import { uniform } from '../../../src/engine/prng.ts';
import { createReferenceBackend } from '../../../src/engine/reference/backend.ts';
import { expectClose } from '../compare.ts';

const rows = 20;
const draw = (length: number, stream: number) =>
  Float64Array.from({ length }, (_, i) => 2 * uniform(1, 'generate', stream, i) - 1);
const data: Data = { rows, inputs: draw(rows * 3, 1), targets: draw(rows * 2, 2) };

const definition: NetworkDefinition = {
  input_size: 3,
  // No biases under batch_norm: their true gradient is 0, and nadam would magnify its rounding error.
  layers: [{ units: 8, activation: 'relu', use_bias: false, batch_norm: true, dropout: 0.2, l2: 0.001 }, { units: 2 }],
  loss: 'mean_squared_error',
  precision: 'float64',
};

const setup: TrainingSetup = {
  optimizer: { name: 'nadam', weight_decay: 0.01 },
  clip_gradients: { max_norm: 1 },
  arithmetic: 'strict',
  batch_size: 6,
  seed: 3,
};

function create(options: Partial<TrainingSetup> = {}, network = definition, rowsOf = data) {
  const planned: Plan = plan(network);
  return createReferenceBackend(planned, { ...setup, ...options }, rowsOf, initialParameters(planned, network, 1));
}

/** Whole epochs in row order, four batches of 6, 6, 6 and 2 rows each. */
function epochs(first: number, count: number, rate = 0.05): TrainingBlock {
  return {
    order: Uint32Array.from({ length: count * rows }, (_, i) => i % rows),
    epoch_rows: rows,
    first_step: first * 4 + 1,
    learning_rates: new Float64Array(count * 4).fill(rate),
  };
}

describe('a block of steps', () => {
  test('cuts every epoch into batches, the last one short', () => {
    const { steps_done, losses, divergence } = create().train(epochs(0, 3));
    expect({ steps_done, losses: losses.length, divergence }).toEqual({ steps_done: 12, losses: 12, divergence: null });
  });

  test('lowers the loss', () => {
    const backend = create();
    const before = backend.evaluate(data);
    backend.train(epochs(0, 60));
    expect(backend.evaluate(data)).toBeLessThan(0.5 * before);
  });

  test('may be cut anywhere without changing a bit', () => {
    const [whole, parts] = [create(), create()];
    whole.train(epochs(0, 5));
    for (let epoch = 0; epoch < 5; epoch++) parts.train(epochs(epoch, 1));
    expect(parts.state()).toEqual(whole.state());
  });

  test('ends after the step under way when told to', () => {
    const backend = create();
    const { steps_done } = backend.train({ ...epochs(0, 3), control: Int32Array.of(1) });
    expect(steps_done).toBe(1);
  });

  test('abandons a long step when told to, as if it had not begun', () => {
    const units = 600;
    const definition = {
      input_size: units,
      layers: [{ units, batch_norm: true }],
      loss: 'mean_squared_error',
    } as const;
    const planned = plan(definition);
    const rows = 100;
    const wave = Float32Array.from({ length: rows * units }, (_, i) => Math.sin(i));
    const setup = { optimizer: 'adam', arithmetic: 'strict', batch_size: rows, seed: 1 } as const;
    const of = { rows, inputs: wave, targets: wave };
    const [asked, plain] = [0, 1].map(() =>
      createReferenceBackend(planned, setup, of, initialParameters(planned, definition, 1)),
    );
    const order = Uint32Array.from({ length: rows }, (_, i) => i);
    const block = { order, epoch_rows: rows, first_step: 1, learning_rates: Float64Array.of(0.01) };
    const before = asked.state();
    expect(asked.train({ ...block, control: Int32Array.of(1) })).toMatchObject({ steps_done: 0, divergence: null });
    expect(asked.state()).toEqual(before);
    expect(asked.train({ ...block, control: Int32Array.of(0) })).toEqual(plain.train(block));
    expect(asked.state()).toEqual(plain.state());
    expect(asked.state()).not.toEqual(before);
  });
});

test('the state copied into another back end continues the run bit for bit', () => {
  const [whole, first, second] = [create(), create(), create()];
  whole.train(epochs(0, 6));
  first.train(epochs(0, 2));
  const state = first.state();
  second.restore(structuredClone(state));
  first.train(epochs(2, 1));
  second.train(epochs(2, 4));
  expect(second.state()).toEqual(whole.state());
  expect(state.parameters).not.toEqual(second.state().parameters);
});

describe('in float32', () => {
  const single = create({}, { ...definition, precision: 'float32' });

  test('every number of the state is a float32, and stays near float64', () => {
    const double = create();
    single.train(epochs(0, 2));
    double.train(epochs(0, 2));
    expect(single.state().parameters).toBeInstanceOf(Float32Array);
    // Eight steps; nadam's steps of 0.05 turn a relative error of 1e-6 in a gradient into 5e-8.
    expectClose(single.state().parameters, Array.from(double.state().parameters), { absolute: 1e-4 }, 'parameters');
  });

  test('inputs are rounded before they are used', () => {
    const rounded = single.predict(Float32Array.from(data.inputs), rows);
    expect(single.predict(data.inputs, rows)).toEqual(rounded);
  });
});

test('training moves the running statistics, and prediction uses them', () => {
  const backend = create();
  const { layers } = backend.plan;
  const start = backend.state();
  const order = Uint32Array.of(0, 1, 2, 3, 4, 5);
  backend.train({ ...epochs(0, 1, 0), order, epoch_rows: 6 });
  const { statistics, parameters } = backend.state();
  // z of unit 0 over the six rows of the batch; the rate was 0, so the weights are those of the start.
  const z = Array.from(order, (row) =>
    [0, 1, 2].reduce((sum, k) => sum + data.inputs[row * 3 + k] * start.parameters[k], 0),
  );
  const mean = z.reduce((sum, value) => sum + value, 0) / 6;
  const variance = z.reduce((sum, value) => sum + (value - mean) ** 2, 0) / 5;
  const running = layers[0].normalization?.running_variance?.offset ?? Number.NaN;
  expectClose([statistics[0], statistics[running]], [0.1 * mean, 0.9 + 0.1 * variance], { relative: 1e-13 }, 'running');
  const before = backend.predict(data.inputs, rows);
  backend.restore({ ...start, parameters });
  expect(backend.predict(data.inputs, rows)).not.toEqual(before);
});

describe('predicting', () => {
  test('knows no dropout and does not depend on which rows come together', () => {
    const backend = create();
    backend.train(epochs(0, 2));
    const together = backend.predict(data.inputs, rows);
    const alone = Array.from({ length: rows }, (_, row) => [
      ...backend.predict(data.inputs.slice(row * 3, row * 3 + 3), 1),
    ]).flat();
    expect(Array.from(together)).toEqual(alone);
  });

  test('carries more rows than fit one chunk', () => {
    const backend = create();
    const many = Float64Array.from({ length: 700 * 3 }, (_, i) => data.inputs[i % (rows * 3)]);
    const outputs = backend.predict(many, 700);
    expect(outputs.length).toBe(1400);
    expect(outputs.slice(1360, 1400)).toEqual(backend.predict(data.inputs, rows));
  });
});

test('evaluating leaves l1 and l2 out and weighs rows', () => {
  const bare = { ...definition, layers: [{ units: 2, l1: 10, l2: 10 }] };
  const backend = create({}, bare);
  const outputs = backend.predict(data.inputs, rows);
  const squares = Array.from(outputs, (a, i) => (a - data.targets[i]) ** 2);
  const mean = squares.reduce((sum, value) => sum + value, 0) / squares.length;
  expectClose([backend.evaluate(data)], mean, { relative: 1e-14 }, 'loss');
  const weights = new Float64Array(rows).fill(3);
  expectClose([backend.evaluate({ ...data, weights })], 3 * mean, { relative: 1e-14 }, 'weighted loss');
  expect(backend.train(epochs(0, 1)).losses[0]).toBeGreaterThan(10);
});

describe('a step that leaves the finite numbers', () => {
  const wide: NetworkDefinition = {
    input_size: 3,
    layers: [{ units: 4, activation: 'relu', batch_norm: true }, { units: 2 }],
    loss: 'mean_squared_error',
    precision: 'float64',
  };

  test('is reported with its place, and leaves the state of the last good step', () => {
    const inputs = data.inputs.slice();
    // Row 7 is the second of the second batch; the square of 1e200·w does not fit the variance.
    inputs[7 * 3 + 2] = 1e200;
    const backend = create({}, wide, { ...data, inputs });
    const reference = create({}, wide, { ...data, inputs });
    reference.train({ ...epochs(0, 1), order: Uint32Array.of(0, 1, 2, 3, 4, 5), epoch_rows: 6 });
    const { steps_done, losses, divergence } = backend.train(epochs(0, 1));
    expect(steps_done).toBe(1);
    expect(losses.length).toBe(1);
    expect(divergence).toEqual({ step: 2, quantity: 'activation', layer: 1, value: Infinity });
    expect(backend.state()).toEqual(reference.state());
  });

  test('an overflowing loss is the last of the losses', () => {
    const targets = data.targets.slice();
    targets[0] = 1e200;
    const { losses, divergence } = create({}, wide, { ...data, targets }).train(epochs(0, 1));
    expect(divergence).toEqual({ step: 1, quantity: 'loss', value: Infinity });
    expect(Array.from(losses)).toEqual([Infinity]);
  });

  test('an overflowing moment is reported before it stops its parameter in silence', () => {
    const linear: NetworkDefinition = { ...wide, layers: [{ units: 2, initializer: 'zeros' }] };
    const targets = data.targets.map(() => 1e-60);
    const inputs = data.inputs.map(() => 1e220);
    const { divergence } = create({ clip_gradients: undefined, optimizer: 'adam' }, linear, {
      ...data,
      inputs,
      targets,
    }).train(epochs(0, 1));
    expect(divergence).toMatchObject({ step: 1, quantity: 'parameters', layer: 1, tensor: 'weights', index: [0, 0] });
  });

  test('NaN in the data is reported by sample and unit', () => {
    const inputs = data.inputs.slice();
    inputs[2 * 3] = Number.NaN;
    const { divergence } = create({}, wide, { ...data, inputs }).train(epochs(0, 1));
    expect(divergence).toEqual({ step: 1, quantity: 'pre_activation', layer: 1, index: [2, 0], value: Number.NaN });
  });
});

test('an unknown bug is refused', () => {
  expect(() => create({ simulate_bug: 'off_by_two' })).toThrow('unknown bug "off_by_two"');
});
