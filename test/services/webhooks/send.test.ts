import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createSend } from '../../../src/services/webhooks/send.ts';

interface Received {
  readonly url: string | undefined;
  readonly host: string | undefined;
  readonly body: string;
}

let server: http.Server;
let port: number;
let received: Received[] = [];
const never = new AbortController().signal;

beforeAll(async () => {
  server = http.createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += String(chunk);
    received.push({ url: request.url, host: request.headers.host, body });
    const status = Number(request.url?.slice(1));
    if (status === 0) return;
    response.writeHead(status, { location: `http://127.0.0.1:${port}/200` });
    // A receiver that never ends its answer holds nobody up.
    if (status === 204) response.end();
    else response.write('x'.repeat(1000));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  port = (server.address() as AddressInfo).port;
});

afterAll(() => {
  server.close();
  server.closeAllConnections();
});

const request = (status: number, host = '127.0.0.1') => ({
  url: `http://${host}:${port}/${status}`,
  headers: { 'content-type': 'application/json' },
  body: '{"ö":1}',
});

describe('a webhook', () => {
  const send = createSend({ allowPrivate: true });

  it('is posted, and accepted with any 2xx, without waiting for the rest of the answer', async () => {
    received = [];
    expect(await send(request(204), never)).toBe(204);
    expect(await send(request(200), never)).toBe(200);
    expect(received[0]).toEqual({ url: '/204', host: `127.0.0.1:${port}`, body: '{"ö":1}' });
  });

  it.each([301, 307, 400, 410, 500])('is not accepted with %i, and no redirect is followed', async (status) => {
    received = [];
    await expect(send(request(status), never)).rejects.toMatchObject({ status });
    expect(received).toHaveLength(1);
  });

  it('goes to the address that was checked, under the name of the host, and the name is asked for once', async () => {
    received = [];
    let asked = 0;
    const resolve = async () => [{ address: asked++ === 0 ? '127.0.0.1' : '127.9.9.9', family: 4 }];
    expect(await createSend({ allowPrivate: true, resolve })(request(200, 'hooks.example'), never)).toBe(200);
    expect([asked, received[0]?.host]).toEqual([1, `hooks.example:${port}`]);
  });

  it('is not sent at all to an address that is not public', async () => {
    received = [];
    const strict = createSend({ allowPrivate: false });
    await expect(strict(request(200), never)).rejects.toThrow('not public');
    const resolve = async () => [{ address: '127.0.0.1', family: 4 }];
    const rebound = createSend({ allowPrivate: false, resolve });
    await expect(rebound(request(200, 'hooks.example'), never)).rejects.toThrow('not public');
    expect(received).toEqual([]);
  });

  it('is given up when nobody answers in time, listens, or the service ends', async () => {
    const hasty = createSend({ allowPrivate: true, timeoutMs: 20 });
    await expect(hasty(request(0), never)).rejects.toThrow('no answer within 0.02 s');
    const stuck = createSend({ allowPrivate: true, timeoutMs: 20, resolve: () => new Promise(() => {}) });
    await expect(stuck(request(200, 'hooks.example'), never)).rejects.toThrow('no answer within 0.02 s');
    await expect(send({ ...request(200), url: 'http://127.0.0.1:1/' }, never)).rejects.toThrow('ECONNREFUSED');
    await expect(send(request(0), AbortSignal.abort())).rejects.toThrow('the connection failed');
  });
});
