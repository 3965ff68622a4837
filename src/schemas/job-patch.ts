/** What can be changed of a job that is there: `PATCH /v1/jobs/{id}`. */
import { z } from 'zod';
import { metadata, timestamp } from './common.ts';

export const jobPatch = z
  .strictObject({
    learning_rate: z.number().min(0).optional().meta({
      description:
        'The optimizer’s rate from the next step on. Schedules are not restarted: they count on and are applied to it as if the job had begun with it, reductions of a plateau included.',
    }),
    metadata: metadata.optional().meta({
      description: 'Merged into the labels: null removes one, what is not named stays.',
      examples: [{ team: 'b', note: null }],
    }),
  })
  .meta({ id: 'JobPatch', description: 'A JSON Merge Patch (RFC 7396) of the fields that can be changed.' });

export type JobPatch = z.output<typeof jobPatch>;

export const jobPatchExamples = {
  slower: { learning_rate: 0.001 },
  relabelled: { metadata: { team: 'b', note: null } },
};

export const learningRateChange = z
  .strictObject({
    learning_rate: z.number(),
    first_step: z.int().nullable().meta({
      description:
        'The first step trained with it; null: not yet, or the job has ended before. A resumed job changes it at this step again.',
    }),
    requested_at: timestamp,
  })
  .meta({ id: 'LearningRateChange', description: 'A change that was asked for while the job was under way.' });
