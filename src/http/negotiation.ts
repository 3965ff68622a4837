/** What a client prefers: the representation (`Accept`), whether it has it already (`If-None-Match`), how long it waits (`Prefer`). */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ProblemError } from '../errors.ts';
import { inTurns } from './pieces.ts';

interface Range {
  readonly type: string;
  readonly quality: number;
}

/** RFC 9110 §12.5.1, without parameters other than q. */
function ranges(accept: string): Range[] {
  return accept.split(',').map((part) => {
    const [type, ...parameters] = part.split(';').map((text) => text.trim().toLowerCase());
    const quality = parameters.find((parameter) => parameter.startsWith('q='))?.slice(2) ?? '1';
    return { type, quality: Number(quality) || 0 };
  });
}

/** How well a media type matches: 3 exactly, 2 by its main type, 1 because anything is accepted, 0 not at all. */
function specificity(range: string, type: string): number {
  if (range === type) return 3;
  if (range === `${type.split('/', 1)[0]}/*`) return 2;
  return range === '*/*' ? 1 : 0;
}

/**
 * The media type that suits the client best; of equals the first offered one.
 * @throws {ProblemError} `not_acceptable` when it accepts none of them
 */
export function preferredType<Type extends string>(request: FastifyRequest, offered: readonly [Type, ...Type[]]): Type {
  const { accept } = request.headers;
  if (accept === undefined || accept.trim() === '') return offered[0];
  const wanted = ranges(accept);
  const qualities = offered.map((type) => {
    const matching = wanted.filter((range) => specificity(range.type, type) > 0);
    matching.sort((a, b) => specificity(b.type, type) - specificity(a.type, type));
    return matching[0]?.quality ?? 0;
  });
  const best = Math.max(...qualities);
  if (best > 0) return offered[qualities.indexOf(best)];
  throw new ProblemError('not_acceptable', `This resource is available as ${offered.join(', ')}.`);
}

/** The preferences of a request by their names (RFC 7240 §2), without parameters; of equal ones the first holds. */
export function preferencesOf({ headers }: Pick<FastifyRequest, 'headers'>): ReadonlyMap<string, string> {
  const preferences = new Map<string, string>();
  for (const part of [headers.prefer ?? []].flat().join(',').split(',')) {
    const [, name, value = ''] = /^\s*([^\s=;]+)\s*(?:=\s*"?([^";]*?)"?\s*)?(?:;|$)/.exec(part) ?? [];
    if (name !== undefined && !preferences.has(name.toLowerCase())) preferences.set(name.toLowerCase(), value);
  }
  return preferences;
}

/** Seconds of `wait=30` (RFC 7240 §4.3); undefined when the client does not ask to wait. */
export function waitPreference(preferences: ReadonlyMap<string, string>): number | undefined {
  const seconds = preferences.get('wait') ?? '';
  return /^\d{1,9}$/.test(seconds) ? Number(seconds) : undefined;
}

/**
 * Answers text of a media type, long ones piece by piece, or 304 when the client has it already.
 * @param etag null for what may still change: it must not be cached
 */
export function sendText(
  request: FastifyRequest,
  reply: FastifyReply,
  {
    type,
    text,
    etag,
  }: { readonly type: string; readonly text: () => string | Iterable<string>; readonly etag: string | null },
): FastifyReply {
  reply.header('vary', 'accept');
  if (etag === null) return reply.header('cache-control', 'no-store').type(type).send(inTurns(text()));
  // Each representation has a tag of its own: a strong one promises the same bytes.
  const tag = `"${etag}-${type.replace(/^.*[/-]/, '')}"`;
  reply.header('etag', tag).header('cache-control', 'no-cache');
  const known = (request.headers['if-none-match'] ?? '').split(',').map((one) => one.trim().replace(/^W\//, ''));
  if (known.includes(tag) || known.includes('*')) return reply.code(304).send();
  return reply.type(type).send(inTurns(text()));
}
