/** Networks on the wire: what a client defines, and what the service says about it. */
import { z } from 'zod';
import { type ActivationSpec, activations } from '../engine/activations.ts';
import { type NetworkDefinition, precisions, type Reduction, reductions } from '../engine/definition.ts';
import { initializers } from '../engine/initializers.ts';
import { type LossSpec, losses } from '../engine/losses.ts';
import { resolve } from '../engine/options.ts';
import { undefinedPair } from '../engine/output-loss.ts';
import { listOf, metadata, text, timestamp } from './common.ts';
import type { CheckParams } from './issues.ts';
import { specSchema } from './options.ts';

export const activation = specSchema(activations, {
  id: 'Activation',
  description: 'An activation function: its name, or an object with the name and its options.',
});

export const initializer = specSchema(initializers, {
  id: 'Initializer',
  description:
    'How the weights of a layer are drawn from the job’s seed: a name, or an object with the name and its options.',
});

const reductionTexts: Readonly<Record<Reduction, string>> = {
  mean: 'over batch and outputs; for the categorical losses over the batch',
  batch_mean: 'sum over outputs, mean over the batch',
  sum: 'over batch and outputs',
};

export const loss = specSchema<typeof losses, LossSpec>(losses, {
  id: 'Loss',
  description: 'A loss: its name, or an object with the name, its options and the reduction.',
  extra: {
    reduction: z
      .enum(reductions)
      .optional()
      .meta({
        default: 'mean',
        description: `How the losses of a batch become one number: ${reductions.map((name) => `\`${name}\` (${reductionTexts[name]})`).join(', ')}.`,
      }),
  },
});

const epsilon = z
  .number()
  .gt(0)
  .optional()
  .meta({ default: 1e-5, description: 'Added to the variance under the root.' });

const batchNorm = z.union([
  z.boolean(),
  z.strictObject({
    epsilon,
    momentum: z
      .number()
      .gt(0)
      .max(1)
      .optional()
      .meta({ default: 0.1, description: 'Weight of the newest batch in the running statistics.' }),
  }),
]);

const layerNorm = z.union([z.boolean(), z.strictObject({ epsilon })]);

const penalty = (formula: string) =>
  z
    .number()
    .min(0)
    .optional()
    .meta({ default: 0, description: `Adds ${formula} over this layer’s weights to the loss.` });

const layerShape = {
  units: z.int().min(1).meta({ description: 'Number of units, which is the number of outputs.' }),
  activation: activation.optional().meta({ default: 'linear' }),
  initializer: initializer
    .optional()
    .meta({ description: 'Default: `he_uniform` for the relu family, else `glorot_uniform`.' }),
  use_bias: z.boolean().optional().meta({ default: true }),
  dropout: z.number().min(0).lt(1).optional().meta({
    default: 0,
    description: 'Probability that an output is set to 0 while training; the others are divided by 1 − dropout.',
  }),
  l1: penalty('l1·Σ|w|'),
  l2: penalty('l2·Σw²'),
  batch_norm: batchNorm
    .optional()
    .meta({ default: false, description: 'Normalises each unit over the batch, before the activation.' }),
  layer_norm: layerNorm
    .optional()
    .meta({ default: false, description: 'Normalises the units of each sample, before the activation.' }),
};

const layer = z
  .strictObject(layerShape)
  .superRefine((value, context) => {
    if (!value.batch_norm || !value.layer_norm) return;
    const params: CheckParams = { code: 'not_allowed' };
    context.addIssue({
      code: 'custom',
      path: ['layer_norm'],
      params,
      message: 'A layer has batch_norm or layer_norm, not both.',
    });
  })
  .meta({
    id: 'Layer',
    description: 'A fully connected layer: z = W·a + b, then batch_norm or layer_norm, the activation, dropout.',
  });

const networkShape = {
  name: text(200).optional().meta({ description: 'For people; need not be unique.' }),
  input_size: z.int().min(1).meta({ description: 'Number of features of a sample.' }),
  layers: z.array(layer).min(1).meta({ description: 'From the input to the output.' }),
  loss: loss,
  precision: z
    .enum(precisions)
    .optional()
    .meta({ default: 'float32', description: 'The numbers in which the network is trained.' }),
  metadata: metadata.optional(),
};

export const networkExamples = {
  seed: {
    name: 'seed',
    input_size: 3,
    layers: [
      { units: 3, activation: 'relu' },
      { units: 4, activation: 'relu' },
      { units: 2, activation: 'softmax' },
    ],
    loss: { name: 'binary_cross_entropy', reduction: 'batch_mean' },
    metadata: { team: 'a' },
  },
  xor: {
    input_size: 2,
    layers: [
      { units: 8, activation: 'tanh' },
      { units: 1, activation: 'sigmoid' },
    ],
    loss: 'binary_cross_entropy',
    precision: 'float64',
  },
  regularised: {
    input_size: 64,
    layers: [
      { units: 128, activation: { name: 'leaky_relu', negative_slope: 0.1 }, batch_norm: true, dropout: 0.2, l2: 1e-4 },
      { units: 10, activation: 'softmax' },
    ],
    loss: 'sparse_categorical_cross_entropy',
  },
};

export const networkInput = z
  .strictObject(networkShape)
  .check(z.superRefine(checkOutputPair, { when: () => true }), z.superRefine(checkOutputDropout, { when: () => true }))
  .meta({ id: 'NetworkDefinition', description: 'A network to define.', examples: Object.values(networkExamples) });

export type NetworkInput = z.output<typeof networkInput>;

/** The part of a network that the engine computes with. */
export const definitionOf = ({ input_size, layers, loss: spec, precision }: NetworkInput): NetworkDefinition => ({
  input_size,
  layers,
  loss: spec,
  precision,
});

/**
 * The loss must be defined on the outputs of the last layer. It runs also when other fields are wrong, so that all
 * problems come at once; a name that is wrong itself is reported by its own field.
 */
function checkOutputPair(value: unknown, context: z.RefinementCtx): void {
  if (typeof value !== 'object' || value === null) return;
  const { layers, loss: lossSpec } = value as Partial<NetworkInput>;
  const last = Array.isArray(layers) ? layers.at(-1) : undefined;
  const output = activation.safeParse((last as { activation?: unknown } | undefined)?.activation ?? 'linear');
  const wanted = loss.safeParse(lossSpec);
  if (last === undefined || !output.success || !wanted.success) return;
  const reason = undefinedPair(resolve(activations, output.data as ActivationSpec), resolve(losses, wanted.data));
  if (reason === null) return;
  const params: CheckParams = { code: 'undefined_pair' };
  context.addIssue({ code: 'custom', path: ['loss'], params, message: `This loss is not defined here: ${reason}.` });
}

/** The outputs of the last layer are the answer: a loss of dropped ones would compare targets with 0. */
function checkOutputDropout(value: unknown, context: z.RefinementCtx): void {
  const { layers } = (value ?? {}) as Partial<NetworkInput>;
  const last = Array.isArray(layers) ? layers.length - 1 : -1;
  const dropout = (layers?.[last] as { dropout?: unknown } | null | undefined)?.dropout;
  if (typeof dropout !== 'number' || dropout === 0) return;
  const params: CheckParams = { code: 'not_allowed' };
  const message = 'The last layer cannot have dropout: its outputs are the predictions. Put it on a hidden layer.';
  context.addIssue({ code: 'custom', path: ['layers', last, 'dropout'], params, message });
}

/** RFC 6902, as far as a warning's remedy needs it. */
export const patchOperation = z
  .strictObject({
    op: z.enum(['add', 'remove', 'replace']),
    path: z.string().meta({ description: 'RFC 6901 pointer into the definition.' }),
    value: z.unknown().optional(),
  })
  .meta({ id: 'PatchOperation', description: 'One step of a JSON Patch (RFC 6902).' });

export const warning = z
  .strictObject({
    code: z.string(),
    pointer: z.string().meta({ description: 'RFC 6901 pointer to what is suspicious.' }),
    detail: z.string(),
    patch: z.array(patchOperation).meta({ description: 'A JSON Patch that mends it.' }),
  })
  .meta({ id: 'Warning', description: 'Something that is allowed but probably not meant.' });

export type Warning = z.output<typeof warning>;

const layerView = z
  .strictObject({
    ...layerShape,
    input_size: z.int().meta({ description: 'Number of inputs of this layer.' }),
    parameter_count: z.int().meta({ description: 'Trained values of this layer.' }),
  })
  .meta({ id: 'LayerView', description: 'A layer with its sizes.' });

const previewShape = {
  name: z.string().nullable(),
  input_size: networkShape.input_size,
  output_size: z.int().meta({ description: 'Units of the last layer.' }),
  layers: z.array(layerView),
  loss: networkShape.loss,
  precision: z.enum(precisions),
  parameter_count: z.int().meta({ description: 'Trained values of the whole network.' }),
  metadata: z.record(z.string(), z.unknown()),
  warnings: z.array(warning),
};

/** What `?validate_only=true` answers. */
export const networkPreview = z
  .strictObject(previewShape)
  .meta({ id: 'NetworkPreview', description: 'A definition that was checked but not stored.' });

export const networkView = z.strictObject({ id: z.string(), ...previewShape, created_at: timestamp }).meta({
  id: 'Network',
  description: 'A stored network: its definition as it was given, with its sizes and warnings.',
});

export type NetworkPreview = z.output<typeof networkPreview>;
export type NetworkView = z.output<typeof networkView>;

export const networkList = listOf(networkView, 'NetworkList');
