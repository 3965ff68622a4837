/** What is asked of a trained model, and what it answers. */
import { z } from 'zod';
import { finiteOrNot } from './common.ts';
import { inlineData } from './data.ts';
import { bugMark, exactlyOne, metric } from './job.ts';
import { judgementShape } from './judgement.ts';

const xorInputs = [
  [0, 0],
  [0, 1],
];

export const predictInput = z
  .strictObject({
    inputs: z
      .array(z.unknown())
      .min(1)
      .meta({
        items: {
          anyOf: [
            { type: 'array', items: { type: ['number', 'string', 'boolean'] } },
            { type: 'object', additionalProperties: { type: ['number', 'string', 'boolean'] } },
          ],
        },
        description:
          'One row per sample in the unit of the training data: one number per feature; or, when the job was trained on a stored data set, an object by column name, or a list in the order of its columns, with texts as texts.',
      }),
  })
  .meta({ id: 'PredictInput', description: 'Rows to predict.', examples: [{ inputs: xorInputs }] });

export const predictExamples = {
  two_rows: { inputs: xorInputs },
  by_name: { inputs: [{ petal_length_cm: 1.4, petal_width_cm: 0.2, colour: 'blue' }] },
};

const label = z.union([z.int(), z.string(), z.null()]);

export const prediction = z
  .strictObject({
    job_id: z.string(),
    step: z.int().meta({ description: 'The step whose parameters were used.' }),
    parameters_sha256: z.string(),
    simulate_bug: bugMark,
    outputs: z.array(z.array(finiteOrNot)).meta({ description: 'One row per sample, in the unit of the targets.' }),
    labels: z
      .array(z.union([label, z.array(label)]))
      .optional()
      .meta({
        description:
          'The class of each row (largest output), or its 0/1 (±1) decisions; by name when the job was trained on a stored data set with classes; absent for plain values.',
      }),
  })
  .meta({
    id: 'Prediction',
    description: 'The outputs of the network.',
    examples: [
      {
        job_id: 'job_0198c5d2-7a3e-7bc1-9f00-5d3c1c0a8e21',
        step: 300,
        parameters_sha256: '9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08',
        outputs: [[0.98, 0.02]],
        labels: ['setosa'],
      },
    ],
  });

export const evaluateInput = z
  .strictObject({
    data: inlineData.optional(),
    dataset_id: z.string().min(1).optional(),
    metrics: z.array(metric).max(32).optional().meta({
      description:
        'Default: for classes accuracy, precision, recall, F1 and the confusion matrix; for numbers RMSE, MAE and R².',
    }),
  })
  .check(exactlyOne(['dataset_id', 'data']))
  .meta({ id: 'EvaluateInput', description: 'Rows whose truth is known.' });

export type EvaluateInput = z.output<typeof evaluateInput>;

export const evaluateExamples = {
  xor: { data: { inputs: xorInputs, targets: [[0], [1]] }, metrics: ['accuracy'] },
};

export const evaluation = z
  .strictObject({
    job_id: z.string(),
    step: z.int(),
    simulate_bug: bugMark,
    ...judgementShape,
  })
  .meta({ id: 'Evaluation', description: 'How good a model is on these rows.' });

export type Evaluation = z.output<typeof evaluation>;
