/** Fastify's validator: every part of a request through its zod schema, all problems of the part at once. */
import { Readable } from 'node:stream';
import type { FastifySchemaCompiler } from 'fastify';
import { ZodType } from 'zod';
import { ProblemError, problemError } from '../errors.ts';
import { check, jsonPointer } from '../schemas/issues.ts';

/** How a path becomes a pointer in each part of a request. */
const pointers: Readonly<Record<string, (path: readonly PropertyKey[]) => string>> = {
  body: jsonPointer,
  querystring: (path) => `?${path.map(String).join('.')}`,
  params: (path) => `{${path.map(String).join('.')}}`,
  headers: (path) => path.map(String).join('.'),
};

export const validatorCompiler: FastifySchemaCompiler<ZodType> = ({ schema, httpPart = 'body' }) => {
  if (!(schema instanceof ZodType)) throw new TypeError(`the ${httpPart} schema must be a zod schema`);
  return (data: unknown) => {
    // A body that a parser of the route's own gives as a stream is read, and checked, by the route.
    if (httpPart === 'body' && data instanceof Readable) return { value: data };
    // Fastify turns a missing body into null; the parser has refused a missing one where a body is needed.
    const value = data === null && schema.safeParse(undefined).success ? undefined : data;
    const result = check(schema, value, pointers[httpPart]);
    if (result.problems === undefined) return { value: result.data };
    return { error: httpPart === 'params' ? nowhere() : problemError(result.problems) };
  };
};

/** A path whose parts cannot be right leads nowhere; that is no mistake in a field. */
const nowhere = () => new ProblemError('not_found', 'There is no resource with this path.');
