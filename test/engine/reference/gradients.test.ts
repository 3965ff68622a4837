import { describe, expect, test } from 'vitest';
import type { LayerDefinition, NetworkDefinition } from '../../../src/engine/definition.ts';
import { initialParameters, plan } from '../../../src/engine/plan.ts';
import { uniform } from '../../../src/engine/prng.ts';
import { backwardPass } from '../../../src/engine/reference/backward.ts';
import { forwardPass } from '../../../src/engine/reference/forward.ts';
import { expectClose } from '../compare.ts';

const draw = (length: number, stream: number) =>
  Float64Array.from({ length }, (_, i) => 2 * uniform(1, 'generate', stream, i) - 1);

const rows = 6;
const data = { rows, inputs: draw(rows * 3, 1), targets: draw(rows * 2, 2) };

function network(...hidden: Partial<LayerDefinition>[]): NetworkDefinition {
  return {
    input_size: 3,
    layers: [...hidden.map((layer) => ({ units: 4, ...layer })), { units: 2 }],
    loss: 'mean_squared_error',
    precision: 'float64',
  };
}

/**
 * For h = 1e-6: truncation h²·f‴/6, where layer_norm over four units with a small variance has f‴ up to 1e6 (3e-7 of
 * gradients of 30), and rounding 1e-16·|loss|/h ≈ 1e-9.
 */
const tolerance = { scaled: 1e-7, absolute: 1e-8 };
const h = 1e-6;

describe.each([
  { title: 'two relu layers', definition: network({ activation: 'relu' }, { activation: 'relu' }) },
  { title: 'l1 and l2', definition: network({ activation: 'relu', l1: 0.01, l2: 0.1 }, { l2: 0.3 }) },
  { title: 'batch_norm', definition: network({ activation: 'relu', batch_norm: true }) },
  {
    title: 'layer_norm without biases',
    definition: network({ layer_norm: true, use_bias: false }, { activation: 'relu' }),
  },
  { title: 'dropout', definition: network({ activation: 'relu', dropout: 0.4 }, { dropout: 0.2 }) },
  {
    title: 'all of them',
    definition: network(
      { activation: 'relu', batch_norm: true, dropout: 0.3, l2: 0.1 },
      { layer_norm: true, l1: 0.02 },
    ),
  },
])('with $title', ({ definition }) => {
  const planned = plan(definition);
  const initial = initialParameters(planned, definition, 5);
  const weights = draw(rows, 3).map((w) => w + 1.5);

  test.each([
    { what: 'gradients', rowWeights: undefined },
    { what: 'gradients of weighted rows', rowWeights: weights },
  ])('$what agree with central differences', ({ rowWeights }) => {
    const loss = (parameters: Float64Array, inputs: Float64Array = data.inputs) =>
      backwardPass(planned, { ...initial, parameters }, { ...data, inputs, weights: rowWeights }).loss;
    const slopes = (values: Float64Array, at: (moved: Float64Array) => number) =>
      Array.from(values, (_, i) => {
        const [up, down] = [values.slice(), values.slice()];
        up[i] += h;
        down[i] -= h;
        return (at(up) - at(down)) / (2 * h);
      });
    const parameters = Float64Array.from(initial.parameters);
    const { pass } = backwardPass(planned, initial, { ...data, weights: rowWeights });
    expectClose(pass.gradients, slopes(parameters, loss), tolerance, 'parameters');
    const byInput = slopes(data.inputs, (inputs) => loss(parameters, inputs));
    expectClose(pass.input_gradients, byInput, tolerance, 'inputs');
  });
});

test('a row of weight 2 counts like the row twice', () => {
  const definition = {
    ...network({ activation: 'relu' }),
    loss: { name: 'mean_squared_error', reduction: 'sum' } as const,
  };
  const planned = plan(definition);
  const initial = initialParameters(planned, definition, 5);
  const one = { rows: 1, inputs: data.inputs.slice(0, 3), targets: data.targets.slice(0, 2) };
  const twice = {
    rows: 2,
    inputs: Float64Array.of(...one.inputs, ...one.inputs),
    targets: Float64Array.of(...one.targets, ...one.targets),
  };
  const weighted = backwardPass(planned, initial, { ...one, weights: Float64Array.of(2) });
  const repeated = backwardPass(planned, initial, twice);
  expect(weighted.loss).toBe(repeated.loss);
  expect(weighted.pass.gradients).toEqual(repeated.pass.gradients);
});

test('a forward pass keeps every intermediate value', () => {
  const definition = network({ activation: 'relu' });
  const planned = plan(definition);
  const { layers } = forwardPass(planned, initialParameters(planned, definition, 5), data.inputs, rows);
  const [hidden, output] = layers;
  expect(hidden.inputs).toEqual(data.inputs);
  expect(hidden.activations).toEqual(hidden.pre_activations.map((z) => Math.max(z, 0)));
  expect(output.inputs).toBe(hidden.activations);
  expect(output.activations).toEqual(output.pre_activations);
});
