/** What a job is warned of: when it is created, and while it trains. */
import { z } from 'zod';
import { finiteOrNot } from './common.ts';
import { patchOperation } from './network.ts';

export const jobWarning = z
  .strictObject({
    code: z.string(),
    level: z.enum(['info', 'warning']).meta({ description: '`info`: worth knowing, and nothing is wrong.' }),
    pointer: z.string().optional().meta({
      description: 'RFC 6901 pointer to what is suspicious in the body of the job, its network written inline.',
    }),
    layer: z.int().optional().meta({ description: '1-based; absent where the whole run is meant.' }),
    step: z.int().optional().meta({
      description: 'The step at which it was seen; 0: in the data, before the first. Absent: when the job was created.',
    }),
    detail: z.string(),
    evidence: z.record(z.string(), finiteOrNot).optional().meta({ description: 'The numbers that show it.' }),
    advice: z.string().optional(),
    patch: z.array(patchOperation).optional().meta({
      description: 'A JSON Patch that mends it, for the body of the job with its network written inline.',
    }),
  })
  .meta({ id: 'JobWarning', description: 'Something that looks wrong in a job.' });

export type JobWarning = z.output<typeof jobWarning>;
