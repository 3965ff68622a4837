/** API keys: as `Authorization: Bearer <key>` or `X-API-Key: <key>`, compared in constant time. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { ProblemError } from '../errors.ts';

/** Paths that a probe must reach without a key. */
const open: ReadonlySet<string> = new Set(['/livez', '/readyz']);

// Digests have one length, so the comparison tells nothing about a key, not even its length.
const digest = (key: string): Buffer => createHash('sha256').update(key).digest();

function keyOf({ headers }: FastifyRequest): string | undefined {
  const bearer = /^Bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1];
  return bearer ?? [headers['x-api-key']].flat()[0];
}

/** Lets only requests with a valid key pass; does nothing when the service has no keys. */
export function requireApiKey(app: FastifyInstance, keys: readonly string[]): void {
  if (keys.length === 0) return;
  const digests = keys.map(digest);
  app.addHook('onRequest', async (request, reply) => {
    if (open.has(request.url.split('?', 1)[0])) return;
    const given = keyOf(request);
    const candidate = digest(given ?? '');
    // Every key is compared, so that the time does not tell which one came near.
    const matches = digests.filter((known) => timingSafeEqual(known, candidate)).length;
    if (given !== undefined && matches > 0) return;
    reply.header('www-authenticate', 'Bearer realm="trainyard"');
    throw new ProblemError(
      'unauthorized',
      given === undefined ? 'The request has no API key.' : 'The API key is not valid.',
    );
  });
}
