import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type OwnServer, startServer } from '../../../scripts/own-server.ts';
import { createSend } from '../../../src/services/webhooks/send.ts';
import { newAuthority } from '../../support/certificates.ts';
import { job } from '../../support/jobs.ts';

const authority = newAuthority('Trainyard test authority');
const servers: http.Server[] = [];
const received: string[] = [];

async function listen(server: http.Server): Promise<number> {
  servers.push(server);
  server.on('request', async (request: http.IncomingMessage, response: http.ServerResponse) => {
    for await (const chunk of request) received.push(`${request.headers.host} ${JSON.parse(String(chunk)).type}`);
    response.writeHead(204).end();
  });
  // All addresses of the name, whichever the service takes.
  server.listen(0, 'localhost');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

const receiver = (host: string, valid?: readonly [string, string]) =>
  listen(https.createServer(authority.issue(host, valid)));

const directory = mkdtempSync(join(tmpdir(), 'trainyard-tls-'));
/** A service that trusts the authority, which a process reads when it starts. */
let service: OwnServer;
let trusted: number;

beforeAll(async () => {
  const NODE_EXTRA_CA_CERTS = join(directory, 'authority.pem');
  writeFileSync(NODE_EXTRA_CA_CERTS, authority.certificate);
  trusted = await receiver('localhost');
  service = await startServer({ NODE_EXTRA_CA_CERTS, ALLOW_PRIVATE_WEBHOOKS: 'true' });
});

afterAll(async () => {
  await service.stop();
  for (const server of servers) server.close();
  rmSync(directory, { recursive: true });
});

interface Delivery {
  readonly state: string;
  readonly attempts: number;
  readonly status: number | null;
  readonly error: string | null;
}

/** Trains a job with a webhook, and gives its first delivery once that has been tried. */
async function deliveryTo(port: number): Promise<Delivery> {
  const webhooks = [{ url: `https://localhost:${port}/hook`, secret: 'whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD' }];
  const answer = await fetch(`${service.base}/v1/jobs`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ...job, webhooks }),
  });
  const { urls } = (await answer.json()) as { readonly urls: { readonly webhooks: string } };
  for (;;) {
    const { data } = (await (await fetch(`${service.base}${urls.webhooks}`)).json()) as {
      readonly data: readonly [{ readonly deliveries: readonly [Delivery, ...Delivery[]] }];
    };
    const first = data[0].deliveries.at(0);
    if (first !== undefined && first.attempts > 0) return first;
  }
}

describe('a webhook by https', () => {
  it('is delivered to a receiver whose authority is trusted by NODE_EXTRA_CA_CERTS', async () => {
    expect(await deliveryTo(trusted)).toMatchObject({ state: 'delivered', status: 204, error: null });
    expect(received[0]).toBe(`localhost:${trusted} job.state`);
  });

  it.each([
    [
      'whose certificate has expired',
      () => receiver('localhost', ['000101000000Z', '010101000000Z']),
      'CERT_HAS_EXPIRED',
      /has expired/,
    ],
    [
      'whose certificate is not valid yet',
      () => receiver('localhost', ['490101000000Z', '491231235959Z']),
      'CERT_NOT_YET_VALID',
      /not valid yet/,
    ],
    [
      'whose certificate is for another host',
      () => receiver('other.test'),
      'ERR_TLS_CERT_ALTNAME_INVALID',
      /not for this host/,
    ],
    [
      'of another authority',
      () => listen(https.createServer(newAuthority('Another').issue('localhost'))),
      'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
      /authority .* not trusted/,
    ],
    ['that does not speak TLS', () => listen(http.createServer()), 'EPROTO', /does not speak TLS/],
  ] as const)(
    'is not sent to a receiver %s; its record says so, and it will be tried again',
    async (_what, start, code, words) => {
      const port = await start();
      const delivery = await deliveryTo(port);
      expect(delivery).toMatchObject({ state: 'pending', attempts: 1, status: null });
      expect(delivery.error).toMatch(words);
      expect(delivery.error).toContain(`(${code})`);
      // The job before may still be telling of its end.
      expect(received.filter((line) => line.startsWith(`localhost:${port} `))).toEqual([]);
    },
  );

  it('is not sent where nobody has said that the authority is to be trusted', async () => {
    const send = createSend({ allowPrivate: true });
    const request = { url: `https://localhost:${trusted}/hook`, headers: {}, body: '{}' };
    await expect(send(request, new AbortController().signal)).rejects.toMatchObject({
      status: null,
      message:
        'the connection failed: the authority of the receiver’s certificate is not trusted by this service (UNABLE_TO_VERIFY_LEAF_SIGNATURE)',
    });
  });
});
