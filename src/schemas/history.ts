/** The loss history on the wire: columns, CSV or NDJSON. */
import { z } from 'zod';
import { limits } from '../config.ts';
import { finiteOrNot, queryInteger } from './common.ts';
import { bugMark } from './job.ts';

export const historyResolutions = ['epoch', 'step'] as const;

/** The series whose extremes a sample keeps, where they are measured. */
export const guidingSeries: readonly string[] = ['loss', 'validation_loss'];

/** The fewest points that can be asked for: both ends, and the extremes of the guiding series in one bucket. */
export const smallestSample = 2 + 2 * guidingSeries.length;

const position = queryInteger(1, Number.MAX_SAFE_INTEGER).optional();

export const historyQuery = z.strictObject({
  resolution: z.enum(historyResolutions).default('epoch').meta({
    description: '`epoch`: means and metrics of every epoch. `step`: the loss of every batch, before its update.',
  }),
  from: position.meta({ description: 'First epoch or step, from 1.' }),
  to: position.meta({ description: 'Last epoch or step, inclusive.' }),
  max_points: queryInteger(smallestSample, limits.max_history_points.default)
    .default(500)
    .meta({ description: 'Longer histories are sampled; points that are not finite come on top.' }),
});

export type HistoryQuery = z.output<typeof historyQuery>;

export const lossHistory = z
  .strictObject({
    resolution: z.enum(historyResolutions),
    total_points: z.int().meta({ description: 'Points in the range, before sampling.' }),
    returned_points: z.int(),
    sampled: z.boolean().meta({ description: 'Whether points were left out.' }),
    step: z.array(z.int()),
    epoch: z.array(z.int()),
    series: z
      .record(z.string(), z.array(z.union([finiteOrNot, z.null()])))
      .meta({ description: 'One value per point; null: not measured there.' }),
    simulate_bug: bugMark,
  })
  .meta({ id: 'LossHistory', description: 'A loss curve, column by column.' });

export type LossHistory = z.output<typeof lossHistory>;
