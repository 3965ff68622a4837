import { describe, expect, test } from 'vitest';
import type { Data, TrainingSetup } from '../../../src/engine/backend.ts';
import type { NetworkDefinition } from '../../../src/engine/definition.ts';
import { plan } from '../../../src/engine/plan.ts';
import { createReferenceBackend } from '../../../src/engine/reference/backend.ts';
import { backwardPass } from '../../../src/engine/reference/backward.ts';
import { type ChosenBug, simulatedRules } from '../../../src/engine/reference/bugs.ts';
import { expectClose } from '../compare.ts';
import { engines } from './engines.ts';
import { dataOf, flatParameters, initialOf, type Matrix, readGolden } from './reference-data.ts';

interface Parameters {
  readonly weights: readonly Matrix[];
  readonly biases: Matrix;
}

interface CorrectRun {
  readonly epoch_loss: readonly number[];
  readonly batch_losses_of_epoch_1: readonly number[];
  readonly gradient_of_first_batch: Parameters;
  readonly parameters_after_epoch: Readonly<Record<string, Parameters>>;
  readonly compare_rtol_by_epoch: number | readonly number[];
}

interface BuggyRun {
  readonly first_non_finite: { readonly step: number; readonly quantity: string; readonly layer: number } | null;
  readonly robust_to_rounding: boolean;
  readonly first_batch_losses: readonly number[];
  readonly gradient_of_first_batch: Parameters;
}

interface SeedNet extends Parameters {
  readonly dims: readonly number[];
  readonly correct: Readonly<Record<'softmax' | 'sigmoid', CorrectRun>>;
  readonly buggy: Readonly<Record<string, BuggyRun>>;
}

interface Scenario {
  readonly seed: number;
  readonly X: Matrix;
  readonly Y: Matrix;
  readonly nets: Readonly<Record<string, SeedNet>>;
}

const { scenarios } = readGolden<{ scenarios: readonly Scenario[] }>('4-seed-scenario.json');
const nets = scenarios.flatMap((scenario) =>
  Object.entries(scenario.nets).map(([name, net]) => ({ title: `seed ${scenario.seed}, ${name}`, scenario, net })),
);

const EPOCHS = 50;
const BATCHES = 10;

const transpose = (matrix: Matrix): Matrix => matrix[0].map((_, column) => matrix.map((row) => row[column]));

function definitionOf({ dims }: SeedNet, output: 'softmax' | 'sigmoid'): NetworkDefinition {
  const units = dims.slice(1);
  return {
    input_size: dims[0],
    layers: units.map((size, layer) => ({ units: size, activation: layer === units.length - 1 ? output : 'relu' })),
    loss: { name: 'binary_cross_entropy', reduction: 'batch_mean' },
    precision: 'float64',
  };
}

const setup: TrainingSetup = {
  optimizer: { name: 'sgd', learning_rate: 0.5 },
  arithmetic: 'strict',
  batch_size: 10,
  seed: 0,
};

function dataOfScenario({ X, Y }: Scenario): Data {
  return dataOf({ x: transpose(X), y: transpose(Y) });
}

function block(epoch: number, batches: number = BATCHES) {
  const order = Uint32Array.from({ length: batches * 10 }, (_, row) => row);
  return {
    order,
    epoch_rows: order.length,
    first_step: epoch * BATCHES + 1,
    learning_rates: new Float64Array(batches).fill(0.5),
  };
}

const firstBatch = (data: Data): Data => ({
  rows: 10,
  inputs: data.inputs.slice(0, 30),
  targets: data.targets.slice(0, 20),
});
const mean = (values: ArrayLike<number>) => Array.from(values).reduce((sum, value) => sum + value, 0) / values.length;

describe.each(nets)('$title', ({ scenario, net }) => {
  const data = dataOfScenario(scenario);

  const outputs = ['softmax', 'sigmoid'] as const;
  const runs = outputs.flatMap((output) => engines.map((engine) => ({ output, ...engine })));

  test.each(runs)('fifty epochs with $output follow the correct run: $engine', ({ output, create }) => {
    const want = net.correct[output];
    const planned = plan(definitionOf(net, output));
    const backend = create(planned, setup, data, initialOf(planned, net));
    const gradient = flatParameters(want.gradient_of_first_batch.weights, want.gradient_of_first_batch.biases);
    const { pass } = backwardPass(planned, backend.state(), firstBatch(data));
    expectClose(pass.gradients, gradient, { scaled: 1e-12 }, 'gradient of the first batch');
    for (let epoch = 0; epoch < EPOCHS; epoch++) {
      const { losses, divergence } = backend.train(block(epoch));
      expect(divergence).toBeNull();
      const rtol = want.compare_rtol_by_epoch;
      const relative = typeof rtol === 'number' ? rtol : rtol[epoch];
      if (relative > 1e-3) break;
      expectClose([mean(losses)], want.epoch_loss[epoch], { relative }, `loss of epoch ${epoch + 1}`);
      if (epoch === 0) expectClose(losses, want.batch_losses_of_epoch_1, { relative }, 'losses of epoch 1');
      const parameters = want.parameters_after_epoch[epoch + 1];
      if (parameters === undefined) continue;
      const flat = flatParameters(parameters.weights, parameters.biases);
      expectClose(
        backend.state().parameters,
        flat,
        { relative, scaled: relative },
        `parameters after epoch ${epoch + 1}`,
      );
    }
  });
});

/** The five variants of the question, as bugs of the table. The question's relu layers are right, so the bug is in the output layer. */
const variants: Readonly<Record<string, { output: 'softmax' | 'sigmoid'; bugs: readonly ChosenBug[] }>> = {
  'softmax-classes__z(1-z)': { output: 'softmax', bugs: ['derivative_on_pre_activation'] },
  'softmax-samples__z(1-z)': { output: 'softmax', bugs: ['derivative_on_pre_activation', 'softmax_over_batch_axis'] },
  'sigmoid__z(1-z)': { output: 'sigmoid', bugs: ['derivative_on_pre_activation'] },
  'softmax-classes__a(1-a)': { output: 'softmax', bugs: ['softmax_diagonal_only'] },
  'softmax-samples__a(1-a)': { output: 'softmax', bugs: ['softmax_over_batch_axis', 'softmax_diagonal_only'] },
};

const buggyRuns = nets.flatMap(({ title, scenario, net }) =>
  Object.entries(net.buggy).map(([variant, want]) => ({
    title: `${title}: ${variant}`,
    scenario,
    net,
    want,
    ...variants[variant],
  })),
);

/** Our report of a delta that is not finite is that of the layer's gradient. */
const quantities: Readonly<Record<string, string>> = {
  output_delta: 'gradient',
  weight_gradient: 'gradient',
  bias_gradient: 'gradient',
  updated_parameters: 'parameters',
};

test.each(buggyRuns)(
  '$title: the gradient of the first batch is that of the wrong code',
  ({ scenario, net, want, output, bugs }) => {
    const planned = plan(definitionOf(net, output));
    const { pass } = backwardPass(
      planned,
      initialOf(planned, net),
      firstBatch(dataOfScenario(scenario)),
      undefined,
      simulatedRules(bugs, planned),
    );
    const gradient = flatParameters(want.gradient_of_first_batch.weights, want.gradient_of_first_batch.biases);
    expectClose(pass.gradients, gradient, { scaled: 1e-11 }, 'gradient of the first batch');
  },
);

const singleBugs = buggyRuns.filter(({ bugs, want }) => bugs.length === 1 && want.robust_to_rounding);

test.each(singleBugs)(
  '$title: training goes wrong where the wrong code does',
  ({ scenario, net, want, output, bugs }) => {
    const planned = plan(definitionOf(net, output));
    const bug = bugs[0] as string;
    const initial = initialOf(planned, net);
    const backend = createReferenceBackend(planned, { ...setup, simulate_bug: bug }, dataOfScenario(scenario), initial);
    const { losses, divergence } = backend.train(block(0));
    const first = want.first_batch_losses.slice(0, 3);
    expectClose(losses.subarray(0, first.length), first, { relative: 1e-9 }, 'losses of the first batches');
    if (want.first_non_finite === null) return expect(divergence).toBeNull();
    let found = divergence;
    for (let epoch = 1; epoch < 200 && found === null; epoch++) found = backend.train(block(epoch)).divergence;
    const { step, quantity } = want.first_non_finite;
    expect({ step: found?.step, quantity: found?.quantity }).toEqual({
      step,
      quantity: quantities[quantity] ?? quantity,
    });
  },
);
