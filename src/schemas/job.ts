/** What a client asks a training job for: `POST /v1/jobs`. */
import { z } from 'zod';
import { arithmetics } from '../engine/definition.ts';
import { optimizers } from '../engine/optimizers.ts';
import { bugNames } from '../engine/reference/bugs.ts';
import { type ScheduleSpec, schedules, scheduleUnits, timingOptions } from '../engine/schedules.ts';
import { metrics } from '../training/metrics.ts';
import { scalings } from '../training/preprocessing.ts';
import { metadata, names } from './common.ts';
import { inlineData, sampleWeights } from './data.ts';
import type { CheckParams } from './issues.ts';
import { networkExamples, networkInput } from './network.ts';
import { optionShape, specSchema } from './options.ts';
import { webhookInput } from './webhook.ts';

export const optimizer = specSchema(optimizers, {
  id: 'Optimizer',
  description:
    'An optimizer by PyTorch’s equations and defaults: its name, or an object with the name and its options.',
});

export const metric = specSchema(metrics, {
  id: 'Metric',
  description: 'A metric by scikit-learn’s definition: its name, or an object with the name and its options.',
});

/** Names a measured series: of early stopping, a target or a plateau schedule. */
const monitor = z
  .string()
  .min(1)
  .max(100)
  .meta({ description: 'The watched series: `loss`, `validation_loss`, or a metric of this job.' });

const schedule = specSchema<typeof schedules, ScheduleSpec>(schedules, {
  id: 'LearningRateSchedule',
  description: 'A learning-rate schedule: its name, or an object with the name, its options, `unit` and `start`.',
  extra: {
    unit: z.enum(scheduleUnits).optional().meta({ default: 'step', description: 'What the schedule counts.' }),
    monitor: monitor.optional().meta({ description: 'Series that reduce_on_plateau watches; others ignore it.' }),
    ...optionShape(timingOptions),
  },
});

const oneOf = (value: object, keys: readonly string[]): readonly string[] =>
  keys.filter((key) => (value as Record<string, unknown>)[key] !== undefined);

/** Exactly one of the fields must be there. It runs also when other fields are wrong, so that all problems come at once. */
export function exactlyOne(keys: readonly [string, string, ...string[]]) {
  return z.superRefine(
    (value, context) => {
      if (typeof value !== 'object' || value === null || Array.isArray(value)) return;
      const given = oneOf(value, keys);
      if (given.length === 1) return;
      const listed = `${keys.slice(0, -1).join(', ')} or ${keys.at(-1)}`;
      const missing = given.length === 0;
      const params: CheckParams = { code: missing ? 'required' : 'not_allowed', allowed: keys };
      const message = missing ? `One of ${listed} must be given.` : `Only one of ${listed} can be given.`;
      context.addIssue({ code: 'custom', path: [missing ? keys[0] : given[1]], params, message });
    },
    { when: () => true },
  );
}

const clipGradients = z
  .strictObject({
    max_norm: z.number().gt(0).optional().meta({
      description:
        'Largest global L2 norm: every gradient is multiplied by max_norm / (norm + epsilon) where that is below 1.',
    }),
    epsilon: z.number().min(0).optional().meta({ default: 1e-6, description: 'PyTorch’s 1e-6; 0 is TensorFlow’s.' }),
    max_value: z.number().gt(0).optional().meta({ description: 'Clamps every entry to ±max_value.' }),
  })
  .check(exactlyOne(['max_norm', 'max_value']))
  .meta({ id: 'ClipGradients', description: 'By global norm or by value; applied before weight decay and update.' });

const heldOutShape = {
  fraction: z.number().gt(0).lt(1).optional().meta({
    description: 'Share of all rows, drawn by the seed; of classes in equal proportions.',
  }),
  rows: z.array(z.int().min(0)).min(1).optional().meta({ description: '0-based numbers of the rows held out.' }),
};

const validation = z
  .strictObject({
    ...heldOutShape,
    data: inlineData.optional(),
    dataset_id: z.string().min(1).optional().meta({ description: 'A data set of its own.' }),
  })
  .check(exactlyOne(['fraction', 'rows', 'data', 'dataset_id']))
  .meta({ id: 'Validation', description: 'What is measured at the end of every epoch but not trained on.' });

const test = z
  .strictObject(heldOutShape)
  .check(exactlyOne(['fraction', 'rows']))
  .meta({
    id: 'TestSplit',
    description:
      'Rows that neither train nor validate: the model is measured on them once, at the end, and the job answers with it in `test`. No row can be in two parts.',
  });

const classWeights = z.union([z.literal('balanced'), z.record(z.string().min(1), z.number().min(0))]).meta({
  description:
    'How much the rows of a class count in the training loss: by the names of the classes (of inline data their numbers), 1 for those that are not named; or `balanced`: n / (k·n_c) over the training rows, as in scikit-learn. The loss of a batch is Σ wᵢ·ℓᵢ over its number of rows, as in Keras; PyTorch divides by Σ wᵢ. Validation, test and metrics count every row once.',
  examples: ['balanced', { setosa: 1, virginica: 2.5 }],
});

const mode = z.enum(['min', 'max']).optional().meta({ description: 'Default: the direction that is better.' });

const earlyStopping = z
  .strictObject({
    monitor: monitor.optional().meta({ description: 'Default: `validation_loss` with validation, else `loss`.' }),
    patience: z.int().min(0).default(10).meta({ description: 'Epochs without an improvement before training ends.' }),
    min_delta: z.number().min(0).default(0).meta({ description: 'A change must exceed this to be an improvement.' }),
    mode,
    restore_best: z.boolean().default(true).meta({ description: 'The result is the model of the best epoch.' }),
  })
  .meta({ id: 'EarlyStopping', description: 'Ends training when the watched series stops improving.' });

const target = z
  .strictObject({ monitor, value: z.number().meta({ description: 'Good enough.' }), mode })
  .meta({ id: 'Target', description: 'Ends training as a success once the watched series is at least this good.' });

const scaling = z.enum(names(scalings)).optional();

const scalingChoice = z
  .strictObject({
    inputs: scaling.meta({ description: 'How the features are scaled.' }),
    targets: scaling.meta({ description: 'How the targets are scaled; predictions come back in your unit.' }),
  })
  .meta({ id: 'Scaling', description: 'Fitted on the training rows; part of the model.' });

const seconds = z.number().gt(0).optional();

const initialParameters = z
  .strictObject({
    layers: z
      .unknown()
      .optional()
      .meta({
        type: 'array',
        items: { type: 'object' },
        description: 'Exact values per layer: `weights[unit][input]`, `biases`, and `gamma`, `beta` where normalised.',
      }),
    job_id: z.string().min(1).optional().meta({ description: 'Start from the model of this job.' }),
    step: z.int().min(0).optional().meta({ description: 'From its checkpoint of this step; default: its newest.' }),
  })
  .check(exactlyOne(['layers', 'job_id']))
  .meta({ id: 'InitialParameters', description: 'The start, instead of drawing it from the seed.' });

/** Everything of a job that reaches its numbers, besides network and data. */
const trainingShape = {
  epochs: z.int().min(1).meta({ description: 'Passes over the training rows.' }),
  batch_size: z.int().min(1).default(32).meta({
    description: 'Rows of a batch; the last one of an epoch may be smaller, and there are never more than rows.',
  }),
  shuffle: z.boolean().default(true).meta({ description: 'Draws a new order of the rows for every epoch.' }),
  seed: z.int().min(0).max(Number.MAX_SAFE_INTEGER).default(0).meta({
    description: 'Of everything that is random: initial weights, order of rows, dropout, split.',
  }),
  optimizer: optimizer.default('adam'),
  learning_rate_schedule: z
    .union([schedule, z.array(schedule).max(16)])
    .default([])
    .meta({ description: 'One, or a list applied in order.' }),
  clip_gradients: clipGradients.optional(),
  validation: validation.optional(),
  test: test.optional(),
  class_weights: classWeights.optional(),
  sample_weights: sampleWeights.optional(),
  early_stopping: earlyStopping.optional(),
  target: target.optional(),
  standardize: z.boolean().default(false).meta({ description: 'Short for `"scaling": {"inputs": "standardize"}`.' }),
  scaling: scalingChoice.optional(),
  metrics: z.array(metric).max(32).default([]).meta({ description: 'Measured at the end of every epoch.' }),
  initial_parameters: initialParameters.optional(),
  arithmetic: z.enum(arithmetics).default('fused').meta({
    description:
      '`fused`: multiply-adds round once where the machine can, and a job that is saved on one machine goes on on another that rounds otherwise only when a client says so (`resume`). `strict`: multiply, then add, each rounded; the same bytes on every machine.',
  }),
  simulate_bug: z
    .enum(bugNames as readonly [string, ...string[]])
    .optional()
    .meta({ description: 'Trains with this bug put into the backward pass; every answer of the job says so.' }),
};

/** As long as a part of a path may be. */
export const externalId = z
  .string()
  .min(1)
  .max(100)
  .meta({ description: 'Your own key for the job, unique.', examples: ['order-4711'] });

/** What only concerns how the job is run and found. */
const handlingShape = {
  checkpoint: z
    .strictObject({
      every_epochs: z
        .int()
        .min(1)
        .optional()
        .meta({ description: 'Keeps a checkpoint at the end of every n-th epoch.' }),
    })
    .default({})
    .meta({ id: 'CheckpointOptions', description: 'Besides these one is taken every few seconds.' }),
  statistics: z.boolean().default(true).meta({
    description:
      'Looks at weights, gradients, updates and activations of every layer at sampled steps (`GET /v1/jobs/{id}/layers`) and warns of what looks wrong in them. Costs by estimate 0.8 % of training and 15 ms at most, and never changes its numbers.',
  }),
  limits: z
    .strictObject({
      max_runtime_seconds: seconds.meta({ description: 'Training ends then, and the model is kept.' }),
      max_queue_seconds: seconds.meta({ description: 'The job is given up when it still waits then.' }),
    })
    .default({})
    .meta({ id: 'JobLimits', description: 'Limits on the time of this job.' }),
  metadata: metadata.default({}),
  priority: z
    .int()
    .min(-100)
    .max(100)
    .default(0)
    .meta({ description: 'Higher ones first; equals in order of arrival.' }),
  external_id: externalId.optional(),
  webhooks: z.array(webhookInput).default([]).meta({ description: 'Whom to tell of the job’s events.' }),
};

const xor = {
  inputs: [
    [0, 0],
    [0, 1],
    [1, 0],
    [1, 1],
  ],
  targets: [[0], [1], [1], [0]],
};

export const jobExamples = {
  xor: {
    network: networkExamples.xor,
    data: xor,
    epochs: 300,
    batch_size: 4,
    seed: 7,
    optimizer: { name: 'adam', learning_rate: 0.05 },
  },
  validated: {
    network: networkExamples.xor,
    data: xor,
    validation: { data: xor },
    epochs: 20,
    batch_size: 2,
    seed: 1,
    optimizer: { name: 'sgd', learning_rate: 0.5, momentum: 0.9 },
    learning_rate_schedule: { name: 'cosine', unit: 'epoch', t_max: 20 },
    clip_gradients: { max_norm: 1 },
    early_stopping: { monitor: 'validation_loss', patience: 5 },
    metrics: ['accuracy'],
    metadata: { team: 'a' },
  },
};

export const jobInput = z
  .strictObject({
    network_id: z.string().min(1).optional().meta({ description: 'A stored network.' }),
    network: networkInput.optional(),
    dataset_id: z.string().min(1).optional().meta({ description: 'A stored data set.' }),
    data: inlineData.optional(),
    ...trainingShape,
    ...handlingShape,
  })
  .check(exactlyOne(['network_id', 'network']), exactlyOne(['dataset_id', 'data']), z.superRefine(checkScaling))
  .meta({ id: 'JobInput', description: 'A network, data, and how to train.', examples: Object.values(jobExamples) });

export type JobInput = z.output<typeof jobInput>;

function checkScaling(value: { standardize: boolean; scaling?: object | undefined }, context: z.RefinementCtx): void {
  if (!value.standardize || value.scaling === undefined) return;
  const params: CheckParams = { code: 'not_allowed' };
  const message = 'Give standardize or scaling, not both.';
  context.addIssue({ code: 'custom', path: ['standardize'], params, message });
}

/** The names of the options that reach the numbers of a run: what `run_sha256` is taken over. */
export const trainingFields = names(trainingShape);

/** In every answer with numbers of a job that trains with a bug. */
export const bugMark = z
  .string()
  .optional()
  .meta({ description: 'The bug that the job trains with on purpose; absent for honest training.' });
