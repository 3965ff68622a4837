import { describe, expect, test } from 'vitest';
import type { LayerDefinition, NetworkDefinition } from '../../src/engine/definition.ts';
import { checkGradients, checkThreshold } from '../../src/engine/gradient-check.ts';
import { initialParameters, plan } from '../../src/engine/plan.ts';
import { uniform } from '../../src/engine/prng.ts';
import { simulatedRules } from '../../src/engine/reference/bugs.ts';
import { definedPairs, selfTestRow } from '../../src/engine/self-test.ts';

const draw = (length: number, stream: number) =>
  Float64Array.from({ length }, (_, i) => 2 * uniform(1, 'audit', stream, i) - 1);

function network(...layers: LayerDefinition[]) {
  const definition: NetworkDefinition = { input_size: 3, layers, loss: 'mean_squared_error', precision: 'float64' };
  const planned = plan(definition);
  const data = { rows: 6, inputs: draw(18, 20), targets: draw(6 * planned.output_size, 21) };
  return { planned, values: initialParameters(planned, definition, 5), data };
}

test.each(definedPairs)('$activation with $loss agrees with central differences to 1e-7', (pair) => {
  expect(selfTestRow(pair)).toMatchObject({ passed: true, kinks: 0 });
});

describe('a check of right gradients passes', () => {
  test.each([
    {
      what: 'two relu layers',
      layers: [
        { units: 4, activation: 'relu' },
        { units: 4, activation: 'relu' },
      ],
    },
    { what: 'batch_norm and l2', layers: [{ units: 4, activation: 'tanh', batch_norm: true, l2: 0.1 }] },
    { what: 'layer_norm without biases', layers: [{ units: 4, layer_norm: true, use_bias: false }] },
  ] as const)('with $what', ({ layers }) => {
    const { planned, values, data } = network(...layers, { units: 2 });
    const { passed, tensors } = checkGradients(planned, values, data);
    expect(passed).toBe(true);
    expect(tensors.reduce((sum, { entries }) => sum + entries, 0)).toBe(planned.parameter_count);
  });
});

test('a wrong gradient fails in the tensors that are wrong, with the worst entry named', () => {
  const { planned, values, data } = network({ units: 4, activation: 'tanh' }, { units: 2 });
  const { passed, tensors } = checkGradients(planned, values, data, simulatedRules(['bias_not_averaged'], planned));
  expect(passed).toBe(false);
  const failed = tensors.filter((tensor) => !tensor.passed);
  expect(failed.map(({ layer, tensor }) => `${layer} ${tensor}`)).toEqual(['1 biases', '2 biases']);
  for (const { index, backprop, difference } of failed) {
    expect(index).toHaveLength(1);
    // The mistake multiplies by the six rows; the differences are good to 1e-7.
    expect(Math.abs(backprop / difference - 6)).toBeLessThan(1e-5);
  }
});

test('parameters beside the corner of a relu are counted as kinks, not as errors', () => {
  const { planned, values, data } = network({ units: 4, activation: 'relu' }, { units: 2 });
  const first = planned.layers[0];
  const parameters = Float64Array.from(values.parameters);
  // Unit 0 stands exactly on its corner for every row.
  parameters.fill(0, first.weights.offset, first.weights.offset + 3);
  const { passed, tensors } = checkGradients(planned, { ...values, parameters }, data);
  expect(passed).toBe(true);
  expect(tensors[0].kinks).toBe(3);
  expect(tensors[1].kinks).toBe(1);
  expect(tensors[0].relative_error).toBeLessThan(checkThreshold);
});
