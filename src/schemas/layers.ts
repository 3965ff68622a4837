/** The statistics of a job's layers over time, on the wire. */
import { z } from 'zod';
import { layerFigures, measuredTensors, tensorFigures } from '../training/layer-statistics.ts';
import { finiteOrNot, names, queryInteger } from './common.ts';
import { bugMark } from './job.ts';

export const layersQuery = z.strictObject({
  layer: queryInteger(1, Number.MAX_SAFE_INTEGER)
    .optional()
    .meta({ description: 'Only this layer; 1 is the one next to the inputs.' }),
});

const column = z.array(finiteOrNot);

const figures = z
  .strictObject(
    Object.fromEntries(names(tensorFigures).map((name) => [name, column.meta({ description: tensorFigures[name] })])),
  )
  .meta({ id: 'TensorFigures', description: 'One value per sampled step, of the finite values of a tensor.' });

const tensorShape = Object.fromEntries(
  names(measuredTensors).map((name) => [name, figures.meta({ description: measuredTensors[name] })]),
) as Record<keyof typeof measuredTensors, typeof figures>;

const figureShape = Object.fromEntries(
  names(layerFigures).map((name) => {
    const description = `${layerFigures[name].description} null: says nothing about this layer.`;
    return [name, column.nullable().meta({ description })];
  }),
) as Record<keyof typeof layerFigures, z.ZodNullable<typeof column>>;

const layer = z
  .strictObject({
    layer: z.int().meta({ description: '1-based.' }),
    units: z.int(),
    activation: z.string(),
    ...tensorShape,
    ...figureShape,
  })
  .meta({ id: 'LayerStatisticsOfOne', description: 'One layer over time.' });

export const layerStatistics = z
  .strictObject({
    job_id: z.string(),
    step: z.array(z.int()).meta({ description: 'The sampled steps, ascending.' }),
    epoch: z.array(z.int()),
    rows: z.array(z.int()).meta({ description: 'Rows of the batch that gradients and activations were taken from.' }),
    layers: z.array(layer),
    simulate_bug: bugMark,
  })
  .meta({ id: 'LayerStatistics', description: 'Weights, gradients, updates and activations, column by column.' });

export type LayerStatistics = z.output<typeof layerStatistics>;
