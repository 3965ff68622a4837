import { once } from 'node:events';
import { Agent, get } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import fastify from 'fastify';
import { afterEach, describe, expect, it } from 'vitest';
import { answerSignal, type SentEvent, sendEvents } from '../../src/http/event-stream.ts';

let app = fastify();

afterEach(() => app.close());

/** Serves endless large events; resolves with their number when the stream is over. */
async function serve(stalled_ms: number): Promise<{ readonly port: number; readonly sent: Promise<number> }> {
  const over = Promise.withResolvers<number>();
  async function* endless(): AsyncGenerator<SentEvent> {
    let id = 0;
    try {
      for (;;) yield { id: ++id, event: 'large', data: 'x'.repeat(2 ** 20) };
    } finally {
      over.resolve(id);
    }
  }
  app = fastify();
  app.get('/', (request, reply) => sendEvents(request, reply, endless(), stalled_ms));
  await app.listen({ host: '127.0.0.1', port: 0 });
  return { port: (app.server.address() as AddressInfo).port, sent: over.promise };
}

describe('the signal of an answer', () => {
  it('comes when the answer has been sent, and leaves nothing behind on a connection that is used again', async () => {
    const signals: AbortSignal[] = [];
    const listeners: number[] = [];
    app = fastify();
    app.get('/', (request, reply) => {
      signals.push(answerSignal(reply));
      listeners.push(request.raw.socket.listenerCount('close'));
      return 'ok';
    });
    await app.listen({ host: '127.0.0.1', port: 0 });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    for (let i = 0; i < 5; i++) {
      const [answer] = await once(get({ port: (app.server.address() as AddressInfo).port, agent }), 'response');
      await once(answer.resume(), 'close');
    }
    agent.destroy();
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, true, true, true, true]);
    expect(new Set(listeners.slice(1)).size).toBe(1);
  });
});

describe('a stream of events', () => {
  it('cuts off a reader that takes nothing, and piles nothing up for it', async () => {
    const { port, sent } = await serve(100);
    const reader = connect(port, '127.0.0.1').pause();
    reader.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    reader.on('error', () => {});
    // What fits into the buffers of both sides of a connection on this machine: a few MB.
    expect(await sent).toBeLessThan(32);
    reader.destroy();
  });

  it('goes on for a reader that is slow but reads, longer than nothing may be taken', async () => {
    const { port, sent } = await serve(100);
    const reader = connect(port, '127.0.0.1');
    reader.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    let bytes = 0;
    const started = performance.now();
    for await (const chunk of reader) {
      bytes += chunk.length;
      if (bytes > 64 * 2 ** 20 && performance.now() - started > 300) break;
    }
    expect(await sent).toBeGreaterThanOrEqual(64);
  });

  it('ends with the connection', async () => {
    const { port, sent } = await serve(60_000);
    const reader = connect(port, '127.0.0.1');
    reader.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    await once(reader, 'data');
    reader.destroy();
    expect(await sent).toBeGreaterThan(0);
  });
});
