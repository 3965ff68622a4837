/** The body parser: strict UTF-8 JSON, without poisoned prototypes and without bottomless nesting. */
import { isUtf8 } from 'node:buffer';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import type { Limits } from '../config.ts';
import { ProblemError } from '../errors.ts';
import { locateJsonFault } from './json-position.ts';

/**
 * Parses a JSON text. Of keys that occur twice in an object the last one counts, as everywhere in JavaScript; a number
 * beyond float64 arrives as Infinity and is refused by the field's own check, which knows its pointer.
 * @throws {ProblemError} malformed_json, unsafe_json, json_too_deep.
 */
export function parseJson(body: Buffer, maxDepth: number): unknown {
  const text = decode(body);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw malformed(text, error);
  }
  inspect(value, maxDepth);
  return value;
}

/** The text without a byte order mark. */
function decode(body: Buffer): string {
  if (!isUtf8(body)) throw new ProblemError('malformed_json', 'The body is not valid UTF-8.');
  const text = body.toString('utf8');
  return text.startsWith('\ufeff') ? text.slice(1) : text;
}

function malformed(text: string, cause: unknown): ProblemError {
  const fault = locateJsonFault(text);
  if (fault === null) return new ProblemError('malformed_json', 'The body is not valid JSON.', {}, { cause });
  const { offset, line, column, expected } = fault;
  const found =
    offset >= text.length
      ? 'the text ends'
      : `there is ${JSON.stringify(/^[\w.+-]+|^./su.exec(text.slice(offset, offset + 20))?.[0])}`;
  const hint =
    /^[-+]?(?:NaN|Infinity|inf)\b/i.test(text.slice(offset)) || /^-Inf/i.test(text.slice(Math.max(0, offset - 1)))
      ? ' JSON has no NaN and no Infinity.'
      : '';
  return new ProblemError(
    'malformed_json',
    `Line ${line}, column ${column}: expected ${expected}, but ${found}.${hint}`,
    {},
    { cause },
  );
}

const isNumber = (entry: unknown) => typeof entry === 'number';

/** One iterative pass over objects and arrays; scalars cost one comparison each. */
function inspect(root: unknown, maxDepth: number): void {
  let level: object[] = typeof root === 'object' && root !== null ? [root] : [];
  for (let depth = 1; level.length > 0; depth++) {
    if (depth > maxDepth) {
      const detail = `The body is nested more than ${maxDepth} levels deep.`;
      throw new ProblemError('json_too_deep', detail, { limit: { name: 'max_json_depth', value: maxDepth } });
    }
    const next: object[] = [];
    for (const node of level) {
      if (!Array.isArray(node)) refusePoison(node as Record<string, unknown>);
      const entries: readonly unknown[] = Array.isArray(node) ? node : Object.values(node);
      // Most of a large body are rows of numbers, which V8's own loop passes over in half the time.
      if (entries.every(isNumber)) continue;
      for (let i = 0; i < entries.length; i++) {
        const entry = entries[i];
        if (typeof entry === 'object' && entry !== null) next.push(entry);
      }
    }
    level = next;
  }
}

/** Keys that reach a prototype when an object is merged carelessly: nobody means them. */
function refusePoison(node: Record<string, unknown>): void {
  const nested = Object.hasOwn(node, 'constructor') ? node.constructor : undefined;
  const poisoned = Object.hasOwn(node, '__proto__')
    ? '__proto__'
    : typeof nested === 'object' && nested !== null && Object.hasOwn(nested, 'prototype') && 'constructor';
  if (poisoned) throw new ProblemError('unsafe_json', `The body has the key ${poisoned}, which is not accepted.`);
}

export const jsonType = 'application/json';
/** RFC 7396. */
export const mergePatchType = 'application/merge-patch+json';

function parseAsJson(app: FastifyInstance, type: string, { max_json_depth }: Limits): void {
  app.addContentTypeParser(type, { parseAs: 'buffer' }, async (_request: FastifyRequest, body: Buffer) =>
    body.length === 0 ? undefined : parseJson(body, max_json_depth),
  );
}

/** For the routes of one plugin whose bodies may also come as a JSON Merge Patch. */
export function acceptMergePatch(app: FastifyInstance, limits: Limits): void {
  parseAsJson(app, mergePatchType, limits);
}

/** Replaces Fastify's parsers: only `application/json`, besides what a routes file adds for itself. */
export function acceptJson(app: FastifyInstance, limits: Limits): void {
  app.removeAllContentTypeParsers();
  parseAsJson(app, jsonType, limits);
  app.addHook('preValidation', async (request) => {
    const schema = request.routeOptions.schema?.body;
    if (request.body !== undefined || !(schema instanceof z.ZodType) || schema.safeParse(undefined).success) return;
    throw new ProblemError('empty_body', 'This operation needs a JSON body with Content-Type: application/json.');
  });
}
