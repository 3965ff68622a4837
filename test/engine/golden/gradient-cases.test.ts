import { describe, expect, test } from 'vitest';
import { globalNorm } from '../../../src/engine/clipping.ts';
import type { Reduction } from '../../../src/engine/definition.ts';
import { plan } from '../../../src/engine/plan.ts';
import { backwardPass } from '../../../src/engine/reference/backward.ts';
import { expectClose } from '../compare.ts';
import { compiledEngines } from './engines.ts';
import {
  dataOf,
  definitionOf,
  flatParameters,
  type GoldenNetwork,
  type GradientTruth,
  initialOf,
  type Matrix,
  readGolden,
  reductionNames,
} from './reference-data.ts';

interface GradientCase extends GoldenNetwork {
  readonly expected: GradientTruth & {
    readonly loss_by_reduction?: Readonly<Record<string, number>>;
    readonly per_sample_loss_sum_over_outputs?: readonly number[];
    readonly pre_activations?: readonly Matrix[];
    readonly grad_x: Matrix;
    readonly grad_global_norm?: number;
  };
}

const golden = readGolden<{ cases: readonly GradientCase[]; kink_cases: readonly GradientCase[] }>(
  '2-gradient-cases.json',
);

// Widths are at most 12 and depths at most 5: sums of a few dozen terms, each rounded to 1.1e-16, stay two orders
// below this. A wrong subgradient or a lost factor is at least seven orders above.
const tolerance = { scaled: 1e-12, absolute: 1e-300 };

function explain(entry: GradientCase, reduction?: Reduction) {
  const planned = plan(definitionOf(entry, reduction));
  return backwardPass(planned, initialOf(planned, entry), dataOf(entry));
}

describe.each([...golden.cases, ...golden.kink_cases])('$id', (entry) => {
  const { expected } = entry;

  test('outputs, loss and every gradient are within 1e-12 of the largest entry', () => {
    const { loss, pass } = explain(entry);
    expectClose(pass.layers[pass.layers.length - 1].outputs, expected.outputs, tolerance, 'outputs');
    expectClose([loss], expected.loss, tolerance, 'loss');
    for (const [index, { layer }] of pass.layers.entries()) {
      const at = (slice: { offset: number; length: number } | null) =>
        slice === null ? [] : pass.gradients.subarray(slice.offset, slice.offset + slice.length);
      expectClose(at(layer.weights), expected.grad_weights[index], tolerance, `weights of layer ${layer.number}`);
      expectClose(at(layer.biases), expected.grad_biases[index], tolerance, `biases of layer ${layer.number}`);
    }
    expectClose(pass.input_gradients, expected.grad_x, tolerance, 'input gradients');
    expect(pass.gradients.length).toBe(flatParameters(entry.weights, entry.biases).length);
  });
});

const compiledCases = [...golden.cases, ...golden.kink_cases].flatMap((entry) =>
  compiledEngines.map((engine) => ({ id: entry.id, entry, ...engine })),
);

test.each(compiledCases)('$id, compiled: outputs, loss and every gradient agree: $engine', ({ entry, create }) => {
  const { expected } = entry;
  const planned = plan(definitionOf(entry));
  const data = dataOf(entry);
  const setup = { optimizer: 'sgd', arithmetic: 'fused', batch_size: data.rows, seed: 0 } as const;
  const initial = initialOf(planned, entry);
  const backend = create(planned, setup, data, initial);
  expectClose(backend.predict(data.inputs, data.rows), expected.outputs, tolerance, 'outputs');
  const order = Uint32Array.from({ length: data.rows }, (_, row) => row);
  // A step of sgd at rate 1 subtracts the gradient itself.
  const learning_rates = Float64Array.of(1);
  const { losses } = backend.train({ order, epoch_rows: data.rows, first_step: 1, learning_rates });
  expectClose(losses, expected.loss, tolerance, 'loss');
  const { parameters } = backend.state();
  const gradients = parameters.map((after, i) => initial.parameters[i] - after);
  // The difference is exact, or rounded as the update was: by half an ulp of the parameter before or after it.
  const largest = Math.max(...initial.parameters.map(Math.abs), ...parameters.map(Math.abs));
  const want = flatParameters(expected.grad_weights, expected.grad_biases);
  expectClose(gradients, want, { scaled: tolerance.scaled, absolute: 2 ** -52 * largest }, 'gradients');
});

describe.each(golden.cases)('$id', (entry) => {
  const { expected } = entry;

  test('pre-activations, losses of the rows and the global norm agree', () => {
    const { pass } = explain(entry);
    for (const [index, { pre_activations: z, layer }] of pass.layers.entries()) {
      expectClose(z, expected.pre_activations?.[index] ?? [], tolerance, `pre-activations of layer ${layer.number}`);
    }
    expectClose(pass.row_losses, expected.per_sample_loss_sum_over_outputs ?? [], tolerance, 'losses of the rows');
    expectClose([globalNorm(pass.gradients)], expected.grad_global_norm ?? 'NaN', tolerance, 'global norm');
  });

  test.each(Object.entries(expected.loss_by_reduction ?? {}))(
    'the loss under the reduction %s agrees',
    (name, want) => {
      expectClose([explain(entry, reductionNames[name]).loss], want, tolerance, 'loss');
    },
  );
});
