import { describe, expect, test } from 'vitest';
import type { NetworkDefinition } from '../../src/engine/definition.ts';
import { estimate, initializerOf, initialParameters, plan } from '../../src/engine/plan.ts';

const definition: NetworkDefinition = {
  input_size: 3,
  layers: [
    { units: 4, activation: 'relu', batch_norm: { momentum: 0.2 } },
    { units: 5, use_bias: false, layer_norm: true, dropout: 0.25, l2: 0.1 },
    { units: 2 },
  ],
  loss: { name: 'mean_squared_error', reduction: 'sum' },
  precision: 'float64',
};

test('tensors follow each other: per layer weights, biases, gamma, beta', () => {
  const { layers, parameter_count, statistic_count } = plan(definition);
  const [first, second, third] = layers;
  expect(first.weights).toEqual({ offset: 0, length: 12, shape: [4, 3] });
  expect(first.biases).toEqual({ offset: 12, length: 4, shape: [4] });
  expect(first.normalization?.gamma).toEqual({ offset: 16, length: 4, shape: [4] });
  expect(first.normalization?.beta).toEqual({ offset: 20, length: 4, shape: [4] });
  expect(second.weights).toEqual({ offset: 24, length: 20, shape: [5, 4] });
  expect(second.biases).toBeNull();
  expect(second.normalization?.gamma.offset).toBe(44);
  expect(third.weights.offset).toBe(54);
  expect(parameter_count).toBe(54 + 10 + 2);
  expect(statistic_count).toBe(8);
});

test('every default is filled in', () => {
  const { layers, precision, reduction, input_size, output_size } = plan({ ...definition, loss: 'mean_squared_error' });
  expect({ precision, reduction, input_size, output_size }).toEqual({
    precision: 'float64',
    reduction: 'mean',
    input_size: 3,
    output_size: 2,
  });
  expect(layers[2]).toMatchObject({ number: 3, input_size: 5, dropout: 0, l1: 0, l2: 0, normalization: null });
  expect(layers[2].activation.name).toBe('linear');
  expect(layers[0].normalization).toMatchObject({ kind: 'batch_norm', epsilon: 1e-5, momentum: 0.2 });
  expect(layers[1].normalization).toMatchObject({ kind: 'layer_norm', epsilon: 1e-5, running_mean: null });
  const { precision: _given, ...rest } = definition;
  expect(plan(rest).precision).toBe('float32');
});

test('dropout on the output layer is refused', () => {
  const layers = [{ units: 2, dropout: 0.5 }];
  expect(() => plan({ input_size: 1, layers, loss: 'mean_squared_error' })).toThrow(RangeError);
});

describe('the parameters before training', () => {
  const planned = plan(definition);
  const { parameters, statistics } = initialParameters(planned, definition, 42);

  test('have gamma 1, beta and biases 0, running mean 0 and variance 1', () => {
    expect(Array.from(parameters.subarray(12, 24))).toEqual([0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0]);
    expect(Array.from(statistics)).toEqual([0, 0, 0, 0, 1, 1, 1, 1]);
    expect(parameters.subarray(0, 12).every((w) => w !== 0)).toBe(true);
  });

  test('are the same in float32, rounded once', () => {
    const single = { ...definition, precision: 'float32' } as const;
    const rounded = initialParameters(plan(single), single, 42).parameters;
    expect(rounded).toEqual(Float32Array.from(parameters));
  });

  test('depend on the seed and differ from layer to layer', () => {
    expect(initialParameters(planned, definition, 43).parameters).not.toEqual(parameters);
    const twin: NetworkDefinition = { ...definition, input_size: 2, layers: [{ units: 2 }, { units: 2 }] };
    const drawn = initialParameters(plan(twin), twin, 1).parameters;
    expect(drawn.subarray(0, 4)).not.toEqual(drawn.subarray(6, 10));
  });
});

test('the relu family starts from he_uniform, the others from glorot_uniform, unless told otherwise', () => {
  const [relu, linear] = plan(definition).layers.map(({ activation }) => activation);
  expect(initializerOf({ units: 1 }, relu).name).toBe('he_uniform');
  expect(initializerOf({ units: 1 }, linear).name).toBe('glorot_uniform');
  expect(initializerOf({ units: 1, initializer: 'orthogonal' }, relu).name).toBe('orthogonal');
});

test('the estimate counts bytes before anything is allocated', () => {
  const huge: NetworkDefinition = {
    input_size: 1e6,
    layers: [{ units: 1e6 }],
    loss: 'mean_squared_error',
    precision: 'float64',
  };
  const got = estimate(plan(huge), { batch_size: 10, optimizer: 'adam' });
  const count = 1e12 + 1e6;
  expect(got).toEqual({
    parameters: 16 * count,
    gradients: 8 * count,
    moments: 32 * count,
    activations: 8 * 10 * 5e6,
    total: 56 * count + 4e8,
  });
});
