import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JobView } from '../../src/schemas/job-view.ts';
import { signedHeaders } from '../../src/services/webhooks/signature.ts';
import { startApp, useApp } from '../support/app.ts';
import { job, train } from '../support/jobs.ts';

const secret = 'whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD';
const own = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';

interface Message {
  readonly path: string | undefined;
  readonly headers: http.IncomingHttpHeaders;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: the data of a message are free JSON.
  readonly body: any;
}

const running = useApp({ ALLOW_PRIVATE_WEBHOOKS: 'true', WEBHOOK_SECRET: secret });
const received: Message[] = [];
let arrived = Promise.withResolvers<void>();
let server: http.Server;
let base: string;

beforeAll(async () => {
  server = http.createServer(async (request, response) => {
    let text = '';
    for await (const chunk of request) text += String(chunk);
    received.push({ path: request.url, headers: request.headers, text, body: JSON.parse(text) });
    response.writeHead(204).end();
    arrived.resolve();
    arrived = Promise.withResolvers();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterAll(() => {
  server.close();
  server.closeAllConnections();
});

async function untilReceived(path: string, count: number): Promise<Message[]> {
  for (;;) {
    const messages = received.filter((message) => message.path === path);
    if (messages.length >= count) return messages;
    await arrived.promise;
  }
}

async function untilDelivered({ urls }: JobView): Promise<{ deliveries: { state: string }[] }[]> {
  for (;;) {
    const { body } = await running.request.get(urls.webhooks).expect(200);
    const deliveries = body.data.flatMap((one: { deliveries: { state: string }[] }) => one.deliveries);
    if (deliveries.every(({ state }: { state: string }) => state !== 'pending')) return body.data;
  }
}

describe('the webhooks of a job', () => {
  it('are told of its states in order, signed, and of a threshold once', async () => {
    const threshold = { monitor: 'loss', below: 0.69 };
    const webhooks = [{ url: `${base}/a` }, { url: `${base}/b?x=1`, secret: own, events: [], threshold }];
    const done = await train(running, { ...job, epochs: 200, external_id: 'hooked', webhooks });
    const states = await untilReceived('/a', 3);
    expect(states.map(({ body }) => [body.type, body.data.event_id, body.data.state])).toEqual([
      ['job.state', 1, 'queued'],
      ['job.state', 2, 'running'],
      ['job.state', expect.any(Number), 'succeeded'],
    ]);
    expect(states[0]?.body.data).toMatchObject({ job_id: done.id, job_url: done.urls.self, external_id: 'hooked' });
    const [reached] = await untilReceived('/b?x=1', 1);
    expect(reached?.body).toMatchObject({ type: 'job.threshold_reached', data: { ...threshold, webhook: 2 } });
    const { epoch, value } = reached!.body.data;
    const { body: history } = await running.request.get(`${done.urls.loss_history}?max_points=1000`);
    const first = history.series.loss.findIndex((loss: number) => loss < 0.69);
    expect([epoch, value]).toEqual([first + 1, history.series.loss[first]]);
    for (const { headers, text, path } of [...states, reached!]) {
      const at = 1000 * Number(headers['webhook-timestamp']);
      const signed = signedHeaders({ id: String(headers['webhook-id']), at, body: text }, path === '/a' ? secret : own);
      expect(headers).toMatchObject(signed);
    }
    const views = await untilDelivered(done);
    expect(views).toMatchObject([
      { number: 1, url: `${base}/a`, events: ['state'], threshold: null, disabled_at: null },
      { number: 2, url: `${base}/b?x=1`, events: ['threshold_reached'], threshold },
    ]);
    expect(views[1]?.deliveries).toMatchObject([{ state: 'delivered', attempts: 1, status: 204, error: null }]);
    expect(received.filter(({ path }) => path === '/b?x=1')).toHaveLength(1);
  });

  it('never show a secret, in no answer and in no line of the log', async () => {
    const done = await train(running, { ...job, webhooks: [{ url: `${base}/c`, secret: own }] });
    await untilDelivered(done);
    const answers = await Promise.all(
      ['', '/events', '/webhooks'].map((path) => running.request.get(`${done.urls.self}${path}`)),
    );
    const { text } = await running.request.get('/v1/jobs');
    const shown = JSON.stringify([answers.map((answer) => answer.text), text, running.log]);
    for (const hidden of [own, secret]) expect(shown).not.toContain(hidden.slice(6));
  });

  it('that a job has none of is an empty list; those of a job that is not there a 404', async () => {
    const done = await train(running, job);
    expect((await running.request.get(done.urls.webhooks)).body).toEqual({ data: [] });
    expect((await running.request.get('/v1/jobs/job_none/webhooks')).status).toBe(404);
  });

  it('are not forgotten by reusing an equal run', async () => {
    await train(running, { ...job, seed: 77 });
    const again = running.request.post('/v1/jobs').set('Prefer', 'reuse');
    expect((await again.send({ ...job, seed: 77, webhooks: [{ url: `${base}/d` }] })).status).toBe(201);
  });
});

describe('a webhook is refused', () => {
  const url = 'https://hooks.example/';
  const cases: readonly (readonly [string, object, Readonly<Record<string, string>>])[] = [
    ['without a URL', { secret: own }, { '/webhooks/0/url': 'required' }],
    ['that is no URL', { url: 'hooks', secret: own }, { '/webhooks/0/url': 'wrong_format' }],
    ['of another scheme', { url: 'ftp://hooks.example/', secret: own }, { '/webhooks/0/url': 'wrong_format' }],
    ['with a password', { url: 'https://a:b@hooks.example/', secret: own }, { '/webhooks/0/url': 'wrong_format' }],
    ['with a poor secret', { url, secret: 'whsec_hunter2' }, { '/webhooks/0/secret': 'wrong_format' }],
    ['for an unknown event', { url, secret: own, events: ['stat'] }, { '/webhooks/0/events/0': 'unknown_name' }],
    [
      'for a series that is not measured',
      { url, secret: own, threshold: { monitor: 'accuracy', above: 0.9 } },
      { '/webhooks/0/threshold/monitor': 'unknown_name' },
    ],
    [
      'for a threshold without a value',
      { url, secret: own, threshold: { monitor: 'loss' } },
      { '/webhooks/0/threshold/below': 'required' },
    ],
    [
      'for a threshold with two values',
      { url, secret: own, threshold: { monitor: 'loss', below: 1, above: 2 } },
      { '/webhooks/0/threshold/above': 'not_allowed' },
    ],
  ];

  it.each(cases)('%s', async (_what, webhook, want) => {
    const { body, text } = await running.request
      .post('/v1/jobs')
      .send({ ...job, webhooks: [webhook] })
      .expect(422);
    const found = body.errors.map(({ pointer, code }: { pointer: string; code: string }) => [pointer, code]);
    expect(Object.fromEntries(found)).toEqual(want);
    expect(text).not.toContain('hunter2');
  });

  it('when it is one too many, without any secret to sign with, and at an address that is not public', async () => {
    const many = Array(9).fill({ url });
    const { body } = await running.request
      .post('/v1/jobs')
      .send({ ...job, webhooks: many })
      .expect(422);
    expect(body).toMatchObject({ code: 'limit_exceeded', limit: { name: 'max_webhooks', value: 8 } });
    const strict = await startApp();
    const webhooks = [{ url: 'http://169.254.169.254/' }, { url }];
    const answer = await strict.request.post('/v1/jobs').send({ ...job, webhooks });
    expect(answer.body.errors.map(({ pointer, code }: Record<string, string>) => `${pointer} ${code}`)).toEqual([
      '/webhooks/0/url not_allowed',
      '/webhooks/0/secret required',
      '/webhooks/1/secret required',
    ]);
    await strict.stop();
    strict.remove();
  });
});
