/** Gradients on the wire: explained, checked and audited. */
import { z } from 'zod';
import { observedKinds } from '../engine/audit/observations.ts';
import { bugNames } from '../engine/reference/bugs.ts';
import { finiteOrNot } from './common.ts';
import { matrixSchema } from './data.ts';
import type { CheckParams } from './issues.ts';
import { networkInput } from './network.ts';

const exactParameters = z
  .strictObject({
    layers: z.unknown().meta({
      type: 'array',
      items: { type: 'object' },
      description: 'Per layer `weights[unit][input]`, `biases`, and `gamma`, `beta` where normalised.',
    }),
  })
  .meta({ id: 'ExactParameters', description: 'The parameters at which the gradients are taken.' });

const exerciseData = z
  .strictObject({
    inputs: matrixSchema('One row per sample. Features first, as [features][samples], is recognised and said.'),
    targets: matrixSchema('One row per sample, or outputs first like the inputs; labels as a plain list.', {
      flat: true,
    }),
  })
  .meta({ id: 'ExerciseData', description: 'One batch.' });

const exercise = { network: networkInput, data: exerciseData };
const seed = z.int().min(0).max(Number.MAX_SAFE_INTEGER);
const notes = z.array(z.string()).meta({ description: 'How the request was read, where that was not obvious.' });
const layerNumber = z.int().meta({ description: '1 is the layer next to the inputs.' });
const index = z.array(z.int()).meta({ description: 'Counted from 0: [unit, input], [unit], or [row, unit].' });

export const explainable = ['pre_activations', 'activations', 'deltas', 'input_gradients'] as const;

export const gradientsInput = z
  .strictObject({
    ...exercise,
    parameters: exactParameters,
    include: z
      .array(z.enum(explainable))
      .default([])
      .meta({ description: 'Intermediate values to add, each with shape and formula.' }),
  })
  .meta({ id: 'GradientsRequest', description: 'One pass to explain.' });
export type GradientsInput = z.output<typeof gradientsInput>;

const vector = z.array(finiteOrNot);
export const layerGradients = z
  .strictObject({
    weights: z.array(vector),
    biases: vector.optional(),
    gamma: vector.optional(),
    beta: vector.optional(),
  })
  .meta({ id: 'LayerGradients', description: 'dLoss/d of each tensor of a layer, in its shape.' });
export const explainedTensor = z
  .strictObject({
    layer: layerNumber.optional(),
    shape: z.array(z.int()),
    formula: z.string(),
    values: z.array(vector),
  })
  .meta({ id: 'ExplainedTensor', description: 'An intermediate value, one row per sample.' });
const explained = z.array(explainedTensor).optional();

export const gradientsView = z
  .strictObject({
    loss: finiteOrNot,
    outputs: z.array(vector),
    gradients: z.strictObject({ layers: z.array(layerGradients) }),
    global_norm: finiteOrNot.meta({ description: 'L2 norm of all gradients together.' }),
    pre_activations: explained,
    activations: explained,
    deltas: explained,
    input_gradients: explainedTensor.optional(),
    notes,
  })
  .meta({ id: 'Gradients', description: 'One backward pass in float64.' });
export type GradientsView = z.output<typeof gradientsView>;

export const gradientCheckInput = z
  .strictObject({
    ...exercise,
    parameters: exactParameters.optional(),
    seed: seed.default(0).meta({ description: 'Draws the parameters when none are given.' }),
  })
  .meta({ id: 'GradientCheckRequest', description: 'A network to hold against central differences.' });
export type GradientCheckInput = z.output<typeof gradientCheckInput>;

const tensorCheck = z.strictObject({
  layer: layerNumber,
  tensor: z.string(),
  entries: z.int(),
  relative_error: finiteOrNot.meta({ description: 'The largest of the tensor, over entries without a kink.' }),
  index,
  backprop: finiteOrNot,
  difference: finiteOrNot,
  kinks: z.int().meta({ description: 'Entries beside a corner, where no derivative exists; they are not judged.' }),
  passed: z.boolean(),
});

export const gradientCheckView = z
  .strictObject({
    passed: z.boolean(),
    threshold: z.number(),
    loss: finiteOrNot,
    tensors: z.array(tensorCheck),
    notes,
  })
  .meta({ id: 'GradientCheck', description: 'Backpropagation against central differences, tensor by tensor.' });
export type GradientCheckView = z.output<typeof gradientCheckView>;

export const selfTestView = z
  .strictObject({
    passed: z.boolean(),
    threshold: z.number(),
    results: z.array(
      z.strictObject({
        activation: z.string(),
        loss: z.string(),
        relative_error: finiteOrNot,
        kinks: z.int(),
        passed: z.boolean(),
      }),
    ),
  })
  .meta({ id: 'SelfTest', description: 'Every defined activation and loss, checked on this machine just now.' });
export type SelfTestView = z.output<typeof selfTestView>;

const sentLayers = (description: string) =>
  z.strictObject({ layers: z.array(z.unknown()).meta({ description }) }).optional();

const yours = z
  .strictObject({
    gradients: sentLayers(
      'Per layer `{weights, biases}`; tensors and layers (null) may be left out. What is not finite is "NaN", "Infinity" or "-Infinity".',
    ),
    activations: z
      .array(z.unknown())
      .optional()
      .meta({ description: 'Per layer a matrix [rows][units]; null leaves a layer out.' }),
    parameters_after: sentLayers('The parameters after one plain gradient step p − learning_rate·g.'),
    learning_rate: z.number().positive().optional().meta({
      description: 'Needed for `parameters_after`, and to recognise weights updated too early.',
    }),
  })
  .superRefine((value, context) => {
    const given = observedKinds.filter((kind) => value[kind] !== undefined);
    const report = (code: CheckParams['code'], path: string[], message: string) => {
      const params: CheckParams = { code };
      context.addIssue({ code: 'custom', path, params, message });
    };
    if (given.length === 0) report('required', [], `Give one of ${observedKinds.join(', ')}.`);
    if (given.length > 1) report('not_allowed', [given[1]], `Give only one of ${observedKinds.join(', ')}.`);
    if (value.parameters_after !== undefined && value.learning_rate === undefined)
      report('required', ['learning_rate'], 'parameters_after needs the learning_rate of the step.');
  })
  .meta({ id: 'YourNumbers', description: 'What your own code has computed.' });

export const gradientAuditInput = z
  .strictObject({ ...exercise, parameters: exactParameters, yours })
  .meta({ id: 'GradientAuditRequest', description: 'Your backpropagation, to be checked.' });
export type GradientAuditInput = z.output<typeof gradientAuditInput>;

const bugReport = z
  .strictObject({
    bugs: z.array(
      z.strictObject({
        bug: z.enum(bugNames as readonly [string, ...string[]]),
        variant: z.string(),
        explanation: z.string(),
        usual_line: z.string(),
        fix: z.string(),
      }),
    ),
    bug: z.string().meta({ description: 'The names, joined by " + ".' }),
    explanation: z.string(),
    fix: z.string(),
    relative_error: finiteOrNot,
  })
  .meta({ id: 'BugReport', description: 'One known bug, or two together, that give exactly your numbers.' });
export type BugReport = z.output<typeof bugReport>;

export const gradientAuditView = z
  .strictObject({
    verdict: z.enum(['correct', 'bug_found', 'no_match']),
    relative_error: finiteOrNot.meta({ description: 'Of your numbers from the truth.' }),
    threshold: z.string().meta({ description: 'What counts as equal here, derived from the precision sent.' }),
    precision: z.strictObject({
      kind: z.enum(['float64', 'float32', 'rounded']),
      significant_digits: z.int(),
      decimals: z.int(),
    }),
    first_difference: z
      .strictObject({
        layer: layerNumber,
        tensor: z.string(),
        relative_error: finiteOrNot,
        index,
        yours: finiteOrNot,
        expected: finiteOrNot,
      })
      .nullable()
      .meta({ description: 'Forward for activations; else from the last layer back, weights before biases.' }),
    match: bugReport.nullable(),
    candidates: z.array(bugReport),
    indistinguishable: z.boolean().meta({ description: 'Several bugs give the same numbers on this data.' }),
    telling_data: z
      .strictObject({
        inputs: z.array(z.array(z.number())),
        targets: z.array(z.array(z.number())),
        gap: z.number().meta({ description: 'The smallest relative difference between what any two of them give.' }),
        tells_apart: z.array(z.string()),
      })
      .nullable()
      .meta({
        description:
          'A batch on which those differ that look alike on yours: the candidates, or the verdict and what it does not reveal. Send its numbers next.',
      }),
    non_finite: z
      .strictObject({
        count: z.int(),
        first: z.strictObject({ layer: layerNumber, tensor: z.string(), index, value: finiteOrNot }),
        causes: z.array(
          z.strictObject({ cause: z.string(), explanation: z.string(), detail: z.string(), fix: z.string() }),
        ),
      })
      .nullable()
      .meta({ description: 'Where your numbers are NaN or infinite first, and what makes them so on this data.' }),
    not_revealed: z
      .array(z.strictObject({ bug: z.string(), reason: z.string() }))
      .meta({ description: 'Bugs that would not show in these numbers.' }),
    notes,
  })
  .meta({
    id: 'GradientAudit',
    description: 'Whether your backpropagation is right, and which known bug it has if not.',
  });
export type GradientAuditView = z.output<typeof gradientAuditView>;

const wrongGradients = [
  {
    weights: [
      [-0.0037736, -0.0051255, -0.0013368],
      [-0.0068976, -0.011271, -0.004315],
      [-0.0079088, -0.012575, -0.0046057],
    ],
    biases: [-0.00025551, -0.00056101, -0.00062609],
  },
  {
    weights: [
      [-0.0035263, -0.0073481, -0.005798],
      [-0.0009856, -0.0030602, -0.004893],
      [-0.0068253, -0.013407, -0.0085689],
      [-0.0015924, -0.003971, -0.0047408],
    ],
    biases: [-0.0027376, -0.0019075, -0.0043725, -0.0019771],
  },
  {
    weights: [
      [-0.0068402, -0.020635, -0.016724, -0.0076334],
      [-0.0022075, -0.0069796, -0.0052511, -0.0011617],
    ],
    biases: [-0.043725, -0.018378],
  },
];

const seedNetwork = {
  input_size: 3,
  layers: [
    { units: 3, activation: 'relu' },
    { units: 4, activation: 'relu' },
    { units: 2, activation: 'softmax' },
  ],
  loss: { name: 'binary_cross_entropy', reduction: 'batch_mean' },
};
const parameters = {
  layers: [
    {
      weights: [
        [0, 0.04, 0.05],
        [0.03, 0.07, 0.1],
        [0.04, 0.08, 0.01],
      ],
      biases: [0, 0, 0],
    },
    {
      weights: [
        [0.05, 0, 0.04],
        [0, 0.09, 0.1],
        [0, 0.08, 0.07],
        [0.06, 0.02, 0.01],
      ],
      biases: [0, 0, 0, 0],
    },
    {
      weights: [
        [0.05, 0.01, 0.1, 0.02],
        [0.03, 0.08, 0, 0.06],
      ],
      biases: [0, 0],
    },
  ],
};
const data = {
  inputs: [
    [17, 3, 5],
    [13, 20, 7],
    [2, 11, 19],
  ],
  targets: [
    [0, 1],
    [1, 1],
    [1, 0],
  ],
};
const seedExercise = { network: seedNetwork, parameters, data };

export const gradientExamples = {
  explain: { seed: { ...seedExercise, include: ['deltas'] } },
  check: { seed: seedExercise },
  audit: {
    /** Gradients of the seed question's code, which takes z·(1 − z) for the derivative, with five digits. */
    seed: { ...seedExercise, yours: { gradients: { layers: wrongGradients } } },
  },
};
