import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { JobFeed } from '../../../src/services/feed.ts';
import { silentLog } from '../../../src/services/log.ts';
import { DeliveryError } from '../../../src/services/webhooks/addresses.ts';
import { maxAttempts, Outbox, pauseAfter } from '../../../src/services/webhooks/outbox.ts';
import type { Send, WebhookRequest } from '../../../src/services/webhooks/send.ts';
import { openStore } from '../../../src/store/open.ts';
import { type Store, StoreError } from '../../../src/store/store.ts';
import { noon, queuedJob } from '../../store/records.ts';

const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
const hook = (number: number) => ({
  number,
  url: `https://hooks.example/${number}`,
  secret,
  events: ['state'],
  threshold: null,
});
const state = (name: string) => ({ type: 'state', data: { state: name, reason: null } });

let directory: string;
let store: Store;
let outbox: Outbox;
let feed: JobFeed;
let clock: number;
let settle: Store['webhooks']['settle'];
let answer: (request: WebhookRequest) => Promise<number>;
/** What was sent, and who waits for the next. */
let sent: WebhookRequest[];
let next: PromiseWithResolvers<void>;

const send: Send = (request, abort) => {
  sent.push(request);
  next.resolve();
  next = Promise.withResolvers();
  const broken = Promise.withResolvers<never>();
  abort.addEventListener('abort', () => broken.reject(new DeliveryError('broken off')));
  return Promise.race([answer(request), broken.promise]);
};

/** Starts the outbox of a process. */
function open(): void {
  feed = new JobFeed();
  const webhooks: Store['webhooks'] = { ...store.webhooks, settle: (...given) => settle(...given) };
  outbox = new Outbox({ store: { webhooks }, feed, send, log: silentLog, now: () => clock, storage_retry_ms: 1 });
  outbox.start();
}

async function untilSent(count: number): Promise<void> {
  while (sent.length < count) await next.promise;
}

/** Waits until no delivery of a webhook is as it was. */
async function untilSettled(id: string, attempts: number): Promise<void> {
  for (;;) {
    const [newest] = (await store.webhooks.deliveries(id, 1, 99)).slice(-1);
    if (newest !== undefined && newest.attempts >= attempts) return;
    await new Promise(setImmediate);
  }
}

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'trainyard-outbox-'));
  store = await openStore({ data_dir: directory });
  clock = noon;
  sent = [];
  next = Promise.withResolvers();
  answer = async () => 204;
  settle = (...given) => store.webhooks.settle(...given);
});

afterEach(async () => {
  await outbox.close();
  await store.close();
  rmSync(directory, { recursive: true });
});

describe('the outbox', () => {
  it('sends a signed message that names job and event', async () => {
    open();
    const { id } = await queuedJob(store, { external_id: 'mine' }, { webhooks: [hook(1)], events: [state('queued')] });
    feed.signal(id, 'events');
    await untilSent(1);
    const [{ url, headers, body } = { url: '', headers: {} as Record<string, string>, body: '' }] = sent;
    expect(JSON.parse(body)).toEqual({
      type: 'job.state',
      timestamp: new Date(noon).toISOString(),
      data: { state: 'queued', reason: null, job_id: id, external_id: 'mine', event_id: 1, job_url: `/v1/jobs/${id}` },
    });
    expect([url, headers['webhook-id']]).toEqual([hook(1).url, `msg_${id.slice(4)}_1_1`]);
    expect(headers['webhook-signature']).toMatch(/^v1,[A-Za-z0-9+/]{43}=$/);
    expect(JSON.stringify(sent)).not.toContain('MfKQ9r8');
  });

  it('tries again after growing pauses under the same id, and the next event waits for it', async () => {
    answer = async () => {
      throw new DeliveryError('the receiver answered 503', 503);
    };
    open();
    const { id } = await queuedJob(store, {}, { webhooks: [hook(1)], events: [state('queued'), state('running')] });
    feed.signal(id, 'events');
    await untilSettled(id, 1);
    const [, failed] = await store.webhooks.deliveries(id, 1, 9);
    expect(failed).toMatchObject({ state: 'pending', attempts: 1, status: 503, error: 'the receiver answered 503' });
    expect(failed!.next_attempt_at! - noon).toBeGreaterThanOrEqual(5_000);
    answer = async () => 200;
    clock = failed!.next_attempt_at!;
    outbox.wake();
    await untilSent(3);
    expect(sent.map(({ headers }) => headers['webhook-id']?.slice(-3))).toEqual(['1_1', '1_1', '2_1']);
    expect(sent[1]!.body).toBe(sent[0]!.body);
    expect(Number(sent[1]!.headers['webhook-timestamp'])).toBeGreaterThan(
      Number(sent[0]!.headers['webhook-timestamp']),
    );
  });

  it('gives up after the last attempt, and goes on with the next event', async () => {
    answer = async ({ headers }) => {
      if (headers['webhook-id']?.endsWith('_1_1')) throw new DeliveryError('no');
      return 200;
    };
    open();
    const { id } = await queuedJob(store, {}, { webhooks: [hook(1)], events: [state('queued'), state('running')] });
    for (let attempts = 1; attempts <= maxAttempts; attempts++) {
      outbox.wake();
      await untilSettled(id, attempts);
      clock += 24 * 3600 * 1000;
    }
    await untilSent(maxAttempts + 1);
    const [, failed] = await store.webhooks.deliveries(id, 1, 9);
    expect(failed).toMatchObject({ state: 'failed', attempts: maxAttempts, next_attempt_at: null });
  });

  it('sends again what was under way when the process ended', async () => {
    answer = () => new Promise(() => {});
    open();
    const { id } = await queuedJob(store, {}, { webhooks: [hook(1)], events: [state('queued')] });
    feed.signal(id, 'events');
    await untilSent(1);
    await outbox.close();
    expect(await store.webhooks.deliveries(id, 1, 9)).toMatchObject([{ state: 'pending', attempts: 0 }]);
    answer = async () => 200;
    open();
    await untilSettled(id, 1);
    expect(sent.map(({ headers }) => headers['webhook-id'])).toEqual(Array(2).fill(sent[0]!.headers['webhook-id']));
    expect(await store.webhooks.deliveries(id, 1, 9)).toMatchObject([{ state: 'delivered', status: 200 }]);
  });

  it('sends once though the storage cannot write it down at first, and the next event only then', async () => {
    let faults = 3;
    settle = (...given) => {
      if (faults-- > 0) return Promise.reject(new StoreError('storage_full', 'no room'));
      return store.webhooks.settle(...given);
    };
    open();
    const { id } = await queuedJob(store, {}, { webhooks: [hook(1)], events: [state('queued'), state('running')] });
    feed.signal(id, 'events');
    await untilSent(2);
    expect(sent.map(({ headers }) => headers['webhook-id']?.slice(-3))).toEqual(['1_1', '2_1']);
    expect(faults).toBeLessThan(0);
  });

  it('tells a receiver that answers 410 nothing more, and others all the same', async () => {
    answer = async ({ url }) => {
      if (url === hook(1).url) throw new DeliveryError('the receiver answered 410', 410);
      return 200;
    };
    open();
    const events = [state('queued'), state('running')];
    const { id } = await queuedJob(store, {}, { webhooks: [hook(1), hook(2)], events });
    feed.signal(id, 'events');
    await untilSent(3);
    await untilSettled(id, 1);
    expect(sent.filter(({ url }) => url === hook(1).url)).toHaveLength(1);
    expect((await store.webhooks.list(id)).map(({ disabled_at }) => disabled_at)).toEqual([noon, null]);
  });

  it('has a bounded number of requests under way, and loses none', async () => {
    let underWay = 0;
    let most = 0;
    answer = async () => {
      most = Math.max(most, ++underWay);
      await new Promise(setImmediate);
      underWay -= 1;
      return 200;
    };
    for (let i = 0; i < 30; i++) await queuedJob(store, {}, { webhooks: [hook(1)], events: [state('queued')] });
    open();
    await untilSent(30);
    expect(most).toBe(8);
    expect(new Set(sent.map(({ headers }) => headers['webhook-id'])).size).toBe(30);
  });
});

describe('the pause before the next attempt', () => {
  it('grows fourfold from 5 s to 6 h, longer by up to a quarter, differently for each message', () => {
    const bases = [5, 20, 80, 320, 1280, 5120, 20_480, 21_600, 21_600].map((seconds) => 1000 * seconds);
    for (const [i, base] of bases.entries()) {
      const pause = pauseAfter(i + 1, 'msg_a');
      expect([pause >= base, pause <= 1.25 * base]).toEqual([true, true]);
    }
    expect(new Set(['a', 'b', 'c', 'd'].map((id) => pauseAfter(1, id))).size).toBe(4);
  });
});
