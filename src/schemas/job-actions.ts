/** What an action on a job may be given. */
import { z } from 'zod';

export const resumeInput = z
  .strictObject({
    accept_other_rounding: z.boolean().default(false).meta({
      description:
        'The job may go on on a machine that rounds multiply-adds otherwise than the one that saved it, from now on. The bits of its result are then not those of any single machine: the event `rounding_changed` and `rounding_changes` name the step, `run_sha256` changes with it, and `Prefer: reuse` does not find the job for the run that it began as.',
    }),
  })
  .meta({ id: 'ResumeInput', description: 'How a job may go on.' });

export const resumeExamples = { anywhere: { accept_other_rounding: true } };
