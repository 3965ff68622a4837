/** Server-sent events (WHATWG HTML §9.2) from anything that can be iterated. */
import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';

export interface SentEvent {
  /** What `Last-Event-ID` brings back; absent for events that are not replayed. */
  readonly id?: number;
  readonly event: string;
  readonly data: unknown;
}

export const eventStreamType = 'text/event-stream';

/** A reader that takes nothing for so long is cut off; heartbeats come several times in this time. */
const stalledMs = 60_000;

/** The text of an event; null is a comment, which keeps the connection alive. */
function textOf(item: SentEvent | null): string {
  if (item === null) return ': heartbeat\n\n';
  const id = item.id === undefined ? '' : `id: ${item.id}\n`;
  return `${id}event: ${item.event}\ndata: ${JSON.stringify(item.data)}\n\n`;
}

/** Aborted when the answer is over: sent whole, or the client has gone. A connection outlives its answers. */
export function answerSignal(reply: FastifyReply): AbortSignal {
  const over = new AbortController();
  if (reply.raw.closed) over.abort();
  else reply.raw.once('close', () => over.abort());
  return over.signal;
}

/**
 * Streams events. The next one is asked for when the client has taken the last: nothing piles up for a slow reader, and
 * one that does not read at all is cut off.
 */
export function sendEvents(
  request: FastifyRequest,
  reply: FastifyReply,
  events: AsyncIterable<SentEvent | null>,
  stalled_ms = stalledMs,
): FastifyReply {
  const { socket } = request.raw;
  const cutOff = () => socket.destroy();
  socket.setTimeout(stalled_ms, cutOff);
  const texts = (async function* () {
    try {
      yield ': connected\n\n';
      for await (const item of events) yield textOf(item);
    } finally {
      socket.setTimeout(0).off('timeout', cutOff);
    }
  })();
  return reply
    .type(eventStreamType)
    .header('cache-control', 'no-store')
    .header('x-accel-buffering', 'no')
    .send(Readable.from(texts));
}

/** The number of the last event that a client has seen, when it comes back. */
export function lastEventId(request: FastifyRequest): number | undefined {
  const id = request.headers['last-event-id'];
  return typeof id === 'string' && /^\d{1,15}$/.test(id) ? Number(id) : undefined;
}
