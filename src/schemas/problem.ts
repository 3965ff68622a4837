/** The wire shape of every error: RFC 9457. */
import { z } from 'zod';
import { errorCodes, problemCodes } from '../errors.ts';
import { names } from './common.ts';

const metLimit = z.strictObject({ name: z.string(), value: z.number(), estimate: z.number().optional() }).meta({
  id: 'MetLimit',
  description: 'A limit of the service that the request is over; `GET /v1/catalog` lists all limits.',
});

export const problem = z
  .strictObject({
    pointer: z.string().meta({
      description: 'RFC 6901 pointer into the body (empty: the whole body), or `?name` for a query parameter.',
    }),
    code: z.enum(names(problemCodes)),
    detail: z.string(),
    allowed: z.array(z.string()).optional().meta({ description: 'The names that can stand here.' }),
    did_you_mean: z.string().optional(),
    limit: metLimit.optional(),
  })
  .meta({ id: 'FieldProblem', description: 'One thing that is wrong with the request.' });

export const problemDocument = z
  .strictObject({
    type: z.string().meta({ description: 'A name for the kind of error: `urn:trainyard:error:<code>`.' }),
    title: z.string(),
    status: z.int(),
    detail: z.string().meta({ description: 'What happened this time, in plain words.' }),
    instance: z.string().meta({ description: 'The path and query that were requested.' }),
    code: z.enum(errorCodes).meta({ description: 'Stable; `GET /v1/catalog` lists all of them.' }),
    request_id: z.string().meta({ description: 'Also in the header `X-Request-Id` and in every line of the log.' }),
    errors: z.array(problem).optional().meta({ description: 'Every problem of the request.' }),
    current_state: z.string().optional(),
    allowed_actions: z.array(z.string()).optional(),
    existing: z
      .strictObject({ id: z.string(), url: z.string() })
      .optional()
      .meta({ description: 'The resource that stands in the way.' }),
    limit: metLimit.optional(),
    retry_after: z.number().optional().meta({ description: 'Seconds, as in the header `Retry-After`.' }),
  })
  .meta({ id: 'Problem', description: 'An error (RFC 9457).' });
