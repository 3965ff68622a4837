import { describe, expect, test } from 'vitest';
import type { LayerParameters, NetworkDefinition } from '../../src/engine/definition.ts';
import { fromWire, ParameterShapeError, parameterBytes, toWire } from '../../src/engine/parameters.ts';
import { initialParameters, plan } from '../../src/engine/plan.ts';

const definition: NetworkDefinition = {
  input_size: 2,
  layers: [
    { units: 3, batch_norm: true },
    { units: 1, use_bias: false },
  ],
  loss: 'mean_squared_error',
  precision: 'float64',
};
const planned = plan(definition);

const first: LayerParameters = {
  weights: [
    [1, 2],
    [3, 4],
    [5, 6],
  ],
  biases: [7, 8, 9],
  gamma: [10, 11, 12],
  beta: [13, 14, 15],
  running_mean: [1, 2, 3],
  running_variance: [4, 5, 6],
};
const wire = { layers: [first, { weights: [[16, 17, 18]] }] };

test('wire to flat and back gives the same', () => {
  const { parameters, statistics } = fromWire(planned, wire);
  expect(parameters).toEqual(Float64Array.from({ length: 18 }, (_, i) => i + 1));
  expect(statistics).toEqual(Float64Array.of(1, 2, 3, 4, 5, 6));
  expect(toWire(planned, parameters, statistics)).toEqual(wire);
});

test('flat to wire and back keeps every bit in float32 too', () => {
  const single = { ...definition, precision: 'float32' } as const;
  const { parameters, statistics } = initialParameters(plan(single), single, 1);
  expect(fromWire(plan(single), toWire(plan(single), parameters, statistics))).toEqual({ parameters, statistics });
});

test('gradients go to the wire without statistics', () => {
  const { parameters } = fromWire(planned, wire);
  const { running_mean: _mean, running_variance: _variance, ...trained } = first;
  expect(toWire(planned, parameters)).toEqual({ layers: [trained, { weights: [[16, 17, 18]] }] });
});

test('running statistics that are left out start at 0 and 1', () => {
  const { running_mean: _mean, running_variance: _variance, ...trained } = first;
  const { statistics } = fromWire(planned, { layers: [trained, wire.layers[1]] });
  expect(statistics).toEqual(Float64Array.of(0, 0, 0, 1, 1, 1));
});

describe('what does not fit is named by path, expected shape and found shape', () => {
  function problemsOf(layers: unknown[]) {
    try {
      fromWire(planned, { layers } as never);
    } catch (error) {
      if (error instanceof ParameterShapeError) return error.problems;
      throw error;
    }
    return [];
  }

  test.each([
    { what: 'a layer too few', layers: [first], path: '/layers', expected: '2 layers', found: '1 layers' },
    {
      what: 'transposed weights',
      layers: [first, { weights: [[16], [17], [18]] }],
      path: '/layers/1/weights',
      expected: '[1, 3]',
      found: '[3, 1]',
    },
    {
      what: 'a ragged row',
      layers: [{ ...first, weights: [[1, 2], [3], [5, 6]] }, wire.layers[1]],
      path: '/layers/0/weights/1',
      expected: '[2]',
      found: '[1]',
    },
    {
      what: 'missing biases',
      layers: [{ ...first, biases: undefined }, wire.layers[1]],
      path: '/layers/0/biases',
      expected: '[3]',
      found: 'nothing',
    },
    {
      what: 'biases where there are none',
      layers: [first, { weights: [[16, 17, 18]], biases: [1] }],
      path: '/layers/1/biases',
      expected: 'nothing: the layer has no such tensor',
      found: '[1]',
    },
    {
      what: 'a number that is none',
      layers: [{ ...first, beta: [1, Number.NaN, 3] }, wire.layers[1]],
      path: '/layers/0/beta/1',
      expected: 'a finite number',
      found: 'NaN',
    },
    {
      what: 'a string',
      layers: [{ ...first, beta: [1, '2', 3] }, wire.layers[1]],
      path: '/layers/0/beta/1',
      expected: 'a finite number',
      found: 'string',
    },
  ])('$what', ({ layers, path, expected, found }) => {
    expect(problemsOf(layers)).toEqual([{ path, expected, found }]);
  });

  test('all problems at once', () => {
    expect(problemsOf([{ ...first, biases: [1], beta: 7 }, { weights: null }]).map(({ path }) => path)).toEqual([
      '/layers/0/biases',
      '/layers/0/beta',
      '/layers/1/weights',
    ]);
  });

  test('a number that overflows float32', () => {
    const single = plan({ ...definition, precision: 'float32' });
    const layers = [{ ...first, gamma: [1, 1e39, 1] }, wire.layers[1]];
    expect(() => fromWire(single, { layers })).toThrow('/layers/0/gamma/1: expected a finite number, found 1e+39');
  });
});

test('bytes are little-endian, parameters before statistics', () => {
  const single = plan({ ...definition, precision: 'float32' });
  const bytes = parameterBytes(single, Float32Array.of(1, -2), Float32Array.of(0.5));
  expect(Array.from(bytes)).toEqual([0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0, 0, 0, 0, 0x3f]);
  const double = parameterBytes(planned, Float64Array.of(1), new Float64Array(0));
  expect(Array.from(double)).toEqual([0, 0, 0, 0, 0, 0, 0xf0, 0x3f]);
});
