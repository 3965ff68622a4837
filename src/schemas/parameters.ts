/** Parameters on the wire. */
import { z } from 'zod';
import { finiteOrNot, queryInteger } from './common.ts';
import { bugMark } from './job.ts';

export const parametersQuery = z.strictObject({
  step: queryInteger(0, Number.MAX_SAFE_INTEGER)
    .optional()
    .meta({ description: 'A step of which there is a checkpoint; default: the model of the job.' }),
  layer: queryInteger(1, Number.MAX_SAFE_INTEGER)
    .optional()
    .meta({ description: 'Only this layer; 1 is the one next to the inputs.' }),
});

const vector = z.array(finiteOrNot);

const layer = z
  .strictObject({
    weights: z.array(vector).meta({ description: '`weights[unit][input]`.' }),
    biases: vector.optional(),
    gamma: vector.optional().meta({ description: 'Scale of a normalisation.' }),
    beta: vector.optional().meta({ description: 'Shift of a normalisation.' }),
    running_mean: vector.optional().meta({ description: 'batch_norm: what prediction uses.' }),
    running_variance: vector.optional(),
  })
  .meta({ id: 'LayerParameters', description: 'The tensors of one layer.' });

const scaling = z
  .strictObject({
    name: z.string(),
    shift: vector,
    scale: vector,
    unit: vector.optional(),
    residual: vector.optional(),
  })
  .nullable();

export const parametersView = z
  .strictObject({
    job_id: z.string(),
    step: z.int().meta({ description: 'The step whose parameters these are.' }),
    epoch: z.int(),
    sha256: z
      .string()
      .meta({ description: 'Of the little-endian bytes of all parameters, then the running statistics.' }),
    preprocessing: z
      .strictObject({ inputs: scaling, targets: scaling })
      .meta({ description: 'x′ = (x·unit − shift − residual) / scale, column by column; null: not scaled.' }),
    layer: z.int().optional(),
    simulate_bug: bugMark,
    layers: z.array(layer),
  })
  .meta({ id: 'Parameters', description: 'A trained model.' });
