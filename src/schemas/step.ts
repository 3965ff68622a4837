/** A step of a finished job, explained. */
import { z } from 'zod';
import { arithmetics, precisions } from '../engine/definition.ts';
import { batchTensors, parameterTensors } from '../training/post-mortem/step-tensors.ts';
import { finiteOrNot } from './common.ts';
import { explainedTensor, layerGradients } from './gradients.ts';
import { bugMark } from './job.ts';
import { jobError } from './job-view.ts';

const includable = [...batchTensors, ...parameterTensors] as const;

export const stepQuery = z.strictObject({
  include: z
    .string()
    .transform((text) => text.split(',').map((name) => name.trim()))
    .pipe(z.array(z.enum(includable)))
    .default([])
    .meta({
      type: 'string',
      description: `Whole tensors to add, separated by commas: ${includable.map((name) => `\`${name}\``).join(', ')}.`,
      examples: ['deltas,gradients'],
    }),
});
export type StepQuery = z.output<typeof stepQuery>;

export const statistics = z
  .strictObject({
    abs_max: finiteOrNot.meta({ description: 'Largest absolute value among those that are finite.' }),
    mean: finiteOrNot,
    std: finiteOrNot.meta({ description: 'Of the population.' }),
    zero_fraction: z.number().meta({ description: 'Share of values that are exactly 0.' }),
    non_finite: z.int().meta({ description: 'How many values are NaN or infinite.' }),
  })
  .meta({ id: 'TensorStatistics', description: 'A tensor in a few numbers.' });

export const replayReport = z
  .strictObject({
    from_step: z.int().meta({ description: 'The checkpoint that was begun with; 0: the initial parameters.' }),
    steps: z.int().meta({ description: 'Steps that were trained again.' }),
    compared: z.int().meta({ description: 'Steps whose loss was compared with the recorded one.' }),
    bit_identical: z.boolean().nullable().meta({
      description:
        'Whether all of these were equal to the last bit; false on a machine that computes otherwise, null where there was nothing to compare.',
    }),
  })
  .meta({ id: 'ReplayReport', description: 'How the numbers were computed again, and that they are the same.' });

const explainedLayer = z
  .strictObject({
    layer: z.int().meta({ description: '1 is the layer next to the inputs.' }),
    activation: z.string(),
    units: z.int(),
    pre_activations: statistics,
    activations: statistics,
    deltas: statistics.meta({ description: 'dLoss/dz of the layer.' }),
    tensors: z.array(
      z.strictObject({
        tensor: z.string(),
        shape: z.array(z.int()),
        parameters: statistics.meta({ description: 'Before the update.' }),
        gradients: statistics.meta({ description: 'Before clipping.' }),
        updates: statistics.nullable().meta({ description: 'What was added; null: the step was not carried out.' }),
        update_ratio: finiteOrNot.nullable().meta({
          description: 'Norm of the update by norm of the parameters; null where these are all 0.',
        }),
      }),
    ),
  })
  .meta({ id: 'StepLayer', description: 'What a layer computed in a step.' });

const whole = z.array(explainedTensor).optional();
const likeParameters = z.strictObject({ layers: z.array(layerGradients) }).optional();

export const stepView = z
  .strictObject({
    job_id: z.string(),
    simulate_bug: bugMark,
    step: z.int(),
    epoch: z.int().meta({ description: '1-based.' }),
    batch: z.int().meta({ description: '1-based number of the batch in its epoch.' }),
    rows: z.array(z.int()).meta({ description: '0-based numbers of the rows of the batch in the data.' }),
    learning_rate: z.number(),
    loss: finiteOrNot.nullable().meta({ description: 'As recorded; null: the step ended before it.' }),
    error: jobError.nullable().meta({ description: 'Why the step was not carried out.' }),
    precision: z.enum(precisions),
    arithmetic: z.enum(arithmetics).meta({
      description:
        'Loss, parameters and updates are those of the run to the last bit. With `fused` the other tensors, which are computed in strict arithmetic, can differ from its own by rounding.',
    }),
    gradient_norm: finiteOrNot.meta({ description: 'L2 norm of all gradients together, before clipping.' }),
    clipping: z
      .strictObject({
        factor: z.number().nullable().meta({ description: 'What every gradient was multiplied by.' }),
        clamped: z.number().nullable().meta({ description: 'With `max_value`: share of the gradients it clamped.' }),
      })
      .nullable()
      .meta({ description: 'null: the job does not clip.' }),
    layers: z.array(explainedLayer),
    pre_activations: whole,
    activations: whole,
    deltas: whole,
    input_gradients: explainedTensor.optional(),
    gradients: likeParameters,
    updates: likeParameters,
    parameters: likeParameters,
    replay: replayReport,
  })
  .meta({ id: 'StepExplanation', description: 'One step of a finished job, replayed under instruments.' });
export type StepView = z.output<typeof stepView>;
