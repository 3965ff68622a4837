/** The catalog on the wire: every name that a client can use, with its defaults, ranges and formula. */
import { z } from 'zod';
import { limits } from '../config.ts';
import { errorCodes } from '../errors.ts';
import { finiteOrNot, names } from './common.ts';

const option = z
  .strictObject({
    name: z.string(),
    type: z.enum(['number', 'integer', 'boolean']),
    default: z.union([z.number(), z.boolean()]).optional().meta({ description: 'Absent: it must be given.' }),
    minimum: z.number().optional(),
    maximum: z.number().optional(),
    exclusive_minimum: z.number().optional(),
    exclusive_maximum: z.number().optional(),
    description: z.string(),
  })
  .meta({ id: 'CatalogOption', description: 'An option of an entry, with its range.' });

const entry = z.strictObject({
  name: z.string(),
  description: z.string(),
  formula: z.string().optional(),
  options: z.array(option),
});

const plainEntry = entry.meta({ id: 'CatalogEntry', description: 'A name that a request can use.' });

const interval = z.strictObject({ minimum: finiteOrNot, maximum: finiteOrNot });

const activationEntry = entry
  .extend({
    derivative_formula: z.string(),
    range: interval.meta({ description: 'The values that the outputs can take.' }),
  })
  .meta({ id: 'CatalogActivation', description: 'An activation function.' });

const lossEntry = entry
  .extend({
    derivative_formula: z.string(),
    categorical: z.boolean().meta({ description: 'One term per sample: its `mean` is over the batch alone.' }),
    targets: z.string().meta({ description: 'What the targets must be.' }),
    activations: z.array(z.string()).meta({ description: 'Output activations for which the loss is defined.' }),
  })
  .meta({ id: 'CatalogLoss', description: 'A loss.' });

const metricEntry = entry
  .extend({
    better: z.enum(['higher', 'lower', 'none']),
    targets: z.array(z.string()).meta({ description: 'Kinds of targets that it can be measured on.' }),
  })
  .meta({ id: 'CatalogMetric', description: 'A metric.' });

const described = z
  .strictObject({ name: z.string(), description: z.string() })
  .meta({ id: 'CatalogName', description: 'A name and what it means.' });

export const catalog = z
  .strictObject({
    activations: z.array(activationEntry),
    losses: z.array(lossEntry),
    reductions: z.array(z.string()),
    initializers: z.array(plainEntry),
    optimizers: z.array(plainEntry),
    learning_rate_schedules: z.array(plainEntry),
    metrics: z.array(metricEntry),
    scalings: z
      .array(described.extend({ formula: z.string() }))
      .meta({ description: 'Of inputs and targets; fitted on the training rows, part of the model.' }),
    toy_datasets: z
      .array(entry.extend({ default_rows: z.int() }))
      .meta({ description: 'Kinds of `POST /v1/datasets/generate`.' }),
    upload_formats: z
      .array(described.extend({ media_types: z.array(z.string()) }))
      .meta({ description: 'Formats of `POST /v1/datasets`, by `Content-Type`.' }),
    missing_policies: z.array(described).meta({ description: 'Values of `?missing=` of an upload.' }),
    bugs: z
      .array(z.strictObject({ name: z.string(), computes: z.string(), usual_line: z.string(), mending: z.string() }))
      .meta({
        description: 'Mistakes of hand-written backpropagation that a job can simulate and an audit can recognise.',
      }),
    precisions: z.array(z.string()),
    states: z
      .array(described.extend({ terminal: z.boolean(), actions: z.array(z.string()) }))
      .meta({ description: 'States of a job, and the actions that each allows.' }),
    stop_reasons: z.array(described),
    warnings: z
      .array(described)
      .meta({ description: 'Codes of the warnings about a definition or a job, before it runs.' }),
    run_warnings: z
      .array(described.extend({ level: z.enum(['info', 'warning']), source: z.string(), advice: z.string() }))
      .meta({ description: 'Codes of the warnings while a job trains, and where their thresholds come from.' }),
    causes: z
      .array(described)
      .meta({ description: 'Codes of the causes in a diagnosis, in the order in which they are believed.' }),
    fixes: z.array(described).meta({ description: 'Kinds of the fixes that a diagnosis tries.' }),
    errors: z.array(
      z.strictObject({
        code: z.enum(errorCodes),
        type: z.string(),
        status: z.int(),
        title: z.string(),
        description: z.string(),
      }),
    ),
    problem_codes: z
      .array(described)
      .meta({ description: 'Codes of single problems: the entries of `errors` in an error.' }),
    limits: z.array(
      z.strictObject({
        name: z.enum(names(limits)),
        value: z.number(),
        default: z.number(),
        status: z.int().meta({ description: 'Of the error that answers a request over the limit.' }),
        description: z.string(),
      }),
    ),
  })
  .meta({ id: 'Catalog', description: 'Everything that has a name.' });

export type Catalog = z.output<typeof catalog>;
export type CatalogOption = z.output<typeof option>;
