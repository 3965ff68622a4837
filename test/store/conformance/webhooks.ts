import { expect, it } from 'vitest';
import type { Delivery, NewWebhook } from '../../../src/store/store.ts';
import type { Fixture } from '../conformance.ts';
import { noon, queuedJob } from '../records.ts';

const hook = (number: number, fields: Partial<NewWebhook> = {}): NewWebhook => ({
  number,
  url: `https://example.com/${number}`,
  secret: `secret ${number}`,
  events: ['state'],
  threshold: null,
  ...fields,
});

const state = (data: object = {}) => ({ type: 'state', data });
const pending = (job_id: string, webhook: number, event_id: number, at: number): Delivery => ({
  job_id,
  webhook,
  event_id,
  state: 'pending',
  attempts: 0,
  next_attempt_at: at,
  last_attempt_at: null,
  status: null,
  error: null,
});

export function webhooksConform(fixture: Fixture): void {
  it('puts a delivery for every event of interest into the outbox, in the transaction of the event', async () => {
    const { jobs, webhooks } = fixture.store;
    const threshold = { monitor: 'loss', below: 0.5 };
    const both = [hook(1), hook(2, { events: ['diverged', 'threshold_reached'], threshold })];
    const { id } = await queuedJob(fixture.store, {}, { events: [state()], webhooks: both });
    expect(await webhooks.list(id)).toEqual(both.map((one) => ({ ...one, disabled_at: null, threshold_reached: 0 })));
    const events = [{ type: 'checkpoint', data: {} }, { type: 'diverged', data: null }, state()];
    await jobs.change({ id, at: noon + 5, events });
    expect(await jobs.change({ id, at: noon + 6, attempt: 9, events })).toBeUndefined();
    expect(await webhooks.deliveries(id, 1, 9)).toEqual([pending(id, 1, 4, noon + 5), pending(id, 1, 1, noon)]);
    expect(await webhooks.deliveries(id, 2, 9)).toEqual([pending(id, 2, 3, noon + 5)]);
    expect(await webhooks.deliveries(id, 1, 1)).toEqual([pending(id, 1, 4, noon + 5)]);
  });

  it('puts an event that names a webhook into the outbox for that one alone, and remembers that it was reached', async () => {
    const { jobs, webhooks } = fixture.store;
    const events = ['threshold_reached'];
    const { id } = await queuedJob(fixture.store, {}, { webhooks: [hook(1, { events }), hook(2, { events })] });
    await jobs.change({ id, at: noon, events: [{ type: 'threshold_reached', data: { webhook: 2 } }] });
    expect(await webhooks.deliveries(id, 1, 9)).toEqual([]);
    expect((await webhooks.list(id)).map(({ threshold_reached }) => threshold_reached)).toEqual([0, 1]);
  });

  it('hands out what is due with all that is needed to send it, of each webhook the oldest', async () => {
    const { jobs, webhooks } = fixture.store;
    const creation = { webhooks: [hook(1), hook(2)] };
    const a = await queuedJob(fixture.store, { external_id: 'a' }, { ...creation, events: [state({ n: 1 })] });
    await jobs.change({ id: a.id, at: noon + 1, events: [state({ n: 2 })] });
    const b = await queuedJob(fixture.store, { created_at: noon - 5 }, { ...creation, events: [state()] });
    const due = async (now: number, limit = 9) =>
      (await webhooks.due(now, limit)).map(({ job_id, webhook, event_id }) => [
        job_id === a.id ? 'a' : 'b',
        webhook,
        event_id,
      ]);
    expect(await webhooks.nextAttemptAt()).toBe(noon - 5);
    expect(await due(noon - 1)).toEqual([
      ['b', 1, 1],
      ['b', 2, 1],
    ]);
    expect(await due(noon + 9, 3)).toEqual([
      ['b', 1, 1],
      ['b', 2, 1],
      ['a', 1, 1],
    ]);
    const [first] = await webhooks.due(noon + 9, 1);
    const known = { url: 'https://example.com/1', secret: 'secret 1', type: 'state', data: {}, at: noon - 5 };
    expect(first).toEqual({ ...pending(b.id, 1, 1, noon - 5), ...known, external_id: null });
  });

  it('settles a delivery: tried again later, then delivered, and only then comes the next', async () => {
    const { jobs, webhooks } = fixture.store;
    const { id } = await queuedJob(fixture.store, {}, { webhooks: [hook(1)], events: [state()] });
    await jobs.change({ id, at: noon, events: [state()] });
    const failed: Delivery = {
      ...pending(id, 1, 1, noon + 100),
      attempts: 1,
      last_attempt_at: noon + 1,
      status: 500,
      error: 'it answered 500',
    };
    await webhooks.settle(failed);
    expect(await webhooks.due(noon + 99, 9)).toEqual([]);
    // Not that of the event behind it, which is due but has to wait: whoever sleeps until then would never wake.
    expect(await webhooks.nextAttemptAt()).toBe(noon + 100);
    expect(await webhooks.due(noon + 100, 9)).toMatchObject([failed]);
    await webhooks.settle({
      ...failed,
      state: 'delivered',
      attempts: 2,
      next_attempt_at: null,
      status: 204,
      error: null,
    });
    expect(await webhooks.due(noon + 100, 9)).toMatchObject([{ event_id: 2 }]);
    await webhooks.settle({ ...pending(id, 1, 2, noon), state: 'failed', next_attempt_at: null });
    expect(await webhooks.nextAttemptAt()).toBeUndefined();
  });

  it('tells a webhook that is disabled nothing more', async () => {
    const { jobs, webhooks } = fixture.store;
    const { id } = await queuedJob(fixture.store, {}, { webhooks: [hook(1), hook(2)], events: [state()] });
    await jobs.change({ id, at: noon, events: [state()] });
    const gone = { ...pending(id, 1, 1, noon), state: 'failed', next_attempt_at: null, error: 'gone' } as const;
    await webhooks.settle({ ...gone, last_attempt_at: noon + 7 }, true);
    await jobs.change({ id, at: noon, events: [state()] });
    expect((await webhooks.list(id)).map(({ disabled_at }) => disabled_at)).toEqual([noon + 7, null]);
    expect((await webhooks.deliveries(id, 1, 9)).map((one) => [one.event_id, one.state, one.error])).toEqual([
      [2, 'failed', 'gone'],
      [1, 'failed', 'gone'],
    ]);
    expect(await webhooks.deliveries(id, 2, 9)).toHaveLength(3);
  });

  it('forgets the webhooks of a job with the job', async () => {
    const { jobs, webhooks } = fixture.store;
    const { id } = await queuedJob(fixture.store, {}, { webhooks: [hook(1)], events: [state()] });
    await jobs.delete(id, ['queued']);
    expect([await webhooks.list(id), await webhooks.deliveries(id, 1, 9), await webhooks.due(noon, 9)]).toEqual([
      [],
      [],
      [],
    ]);
  });
}
