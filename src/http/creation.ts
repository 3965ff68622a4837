/** What every operation that creates something has in common: the key of a request that may come twice, and its answer. */
import type { FastifyReply } from 'fastify';
import { z } from 'zod';

export const idempotencyKey = z.string().min(1).max(255).optional().meta({
  description:
    'A key of your own: the same request with the same key creates one resource and gets the same answer, however often it is sent, for 24 hours.',
});

export const creationHeaders = z.looseObject({ 'idempotency-key': idempotencyKey });

export const creationResponseHeaders = {
  Location: 'The path of the resource.',
  'Idempotency-Replayed': '`true` when an earlier request with this key was answered so.',
};

interface Answer {
  readonly id: string;
  readonly status: number;
  readonly body: string;
  readonly replayed: boolean;
}

/** Status and headers of the answer; its body is JSON text. */
export function answerCreation(
  reply: FastifyReply,
  collection: string,
  { id, status, replayed }: Answer,
): FastifyReply {
  if (replayed) reply.header('idempotency-replayed', 'true');
  return reply.code(status).type('application/json').header('location', `${collection}/${id}`);
}
