import { expect, it } from 'vitest';
import type { Fixture } from '../conformance.ts';
import { claimJob, noon, queuedJob, runningJob } from '../records.ts';

export function queueConforms(fixture: Fixture): void {
  it('gives jobs out by priority, then by age', async () => {
    const first = await queuedJob(fixture.store);
    const second = await queuedJob(fixture.store);
    const urgent = await queuedJob(fixture.store, { priority: 5, created_at: noon + 5 });
    const idle = await queuedJob(fixture.store, { priority: -1, created_at: noon - 5 });
    const claimed = [];
    for (let i = 0; i < 5; i++) claimed.push((await claimJob(fixture.store))?.id);
    expect(claimed).toEqual([urgent.id, first.id, second.id, idle.id, undefined]);
  });

  it('follows a priority that is changed while a job waits', async () => {
    await queuedJob(fixture.store);
    const { id } = await queuedJob(fixture.store);
    await fixture.store.jobs.change({ id, at: noon, set: { priority: 1 } });
    expect(await claimJob(fixture.store)).toMatchObject({ id, priority: 1 });
  });

  it('gives out those that are to come last when no other waits', async () => {
    const first = await queuedJob(fixture.store, { priority: 9 });
    const second = await queuedJob(fixture.store);
    const claim = () =>
      fixture.store.queue.claim({ owner: 'a', now: noon, lease_expires_at: noon + 9, last: [first.id, 'job_other'] });
    expect([(await claim())?.id, (await claim())?.id, await claim()]).toEqual([second.id, first.id, undefined]);
  });

  it('starts an attempt with a claim: state, transition, events, lease', async () => {
    const { id } = await queuedJob(fixture.store);
    const events = [{ type: 'started', data: { worker: 1 } }];
    const claimed = await fixture.store.queue.claim({ owner: 'a', now: noon + 1, lease_expires_at: noon + 9, events });
    expect(claimed).toMatchObject({ id, state: 'running', attempt: 1, started_at: noon + 1, last_event_id: 1 });
    expect(await fixture.store.jobs.get(id)).toEqual(claimed);
    expect((await fixture.store.jobs.transitions(id)).at(-1)).toEqual({
      state: 'running',
      at: noon + 1,
      reason: null,
      attempt: 1,
    });
    expect((await fixture.store.events.list(id, { limit: 9 })).data).toEqual([{ id: 1, at: noon + 1, ...events[0] }]);
    expect(await fixture.store.queue.depth()).toEqual({ waiting: 0, leased: 1 });
    expect(await fixture.store.queue.leases()).toEqual([{ job_id: id, attempt: 1, owner: 'a', expires_at: noon + 9 }]);
  });

  it('never gives one job to two claims, and leaves none behind', async () => {
    const ids = [];
    for (let i = 0; i < 12; i++) ids.push((await queuedJob(fixture.store)).id);
    const claims = await Promise.all(Array.from({ length: 20 }, (_, i) => claimJob(fixture.store, `server-${i}`)));
    const got = claims.filter((claimed) => claimed !== undefined);
    expect(got.map(({ id }) => id).sort()).toEqual(ids.sort());
    expect(got.every(({ attempt }) => attempt === 1)).toBe(true);
    const owners = (await fixture.store.queue.leases()).map(({ owner }) => owner);
    expect(new Set(owners).size).toBe(12);
  });

  it('puts a job that crashed back at its old place, and one that was resumed at the end', async () => {
    const { jobs } = fixture.store;
    const crashed = await runningJob(fixture.store);
    const resumed = await runningJob(fixture.store);
    const waiting = await queuedJob(fixture.store, { created_at: noon + 50 });
    const enter = { state: 'queued', reason: 'worker_crashed', queue: 'enter' } as const;
    await jobs.change({ id: resumed.id, at: noon + 60, to: { state: 'paused', reason: null, queue: 'leave' } });
    await jobs.change({ id: resumed.id, at: noon + 70, to: { ...enter, reason: 'resume' } });
    await jobs.change({ id: crashed.id, at: noon + 80, to: enter });
    const claimed = [];
    for (let i = 0; i < 3; i++) claimed.push(await claimJob(fixture.store));
    expect(claimed.map((job) => [job?.id, job?.attempt])).toEqual([
      [crashed.id, 2],
      [waiting.id, 1],
      [resumed.id, 2],
    ]);
  });

  it('does not give out a job that waits no more or is being cancelled', async () => {
    const { jobs } = fixture.store;
    const paused = await queuedJob(fixture.store);
    const cancelling = await queuedJob(fixture.store);
    await jobs.change({ id: paused.id, at: noon, to: { state: 'paused', reason: null, queue: 'leave' } });
    await jobs.change({ id: cancelling.id, at: noon, to: { state: 'cancelling', reason: null, queue: 'keep' } });
    expect(await claimJob(fixture.store)).toBeUndefined();
  });

  it('prolongs a lease for its own attempt only', async () => {
    const { queue, jobs } = fixture.store;
    const { id, attempt } = await runningJob(fixture.store);
    const beat = (of: number) => queue.heartbeat({ job_id: id, attempt: of, expires_at: noon + 5000 });
    expect(await beat(attempt)).toBe(true);
    expect((await queue.leases())[0]?.expires_at).toBe(noon + 5000);
    expect(await beat(attempt - 1)).toBe(false);
    await jobs.change({ id, at: noon, to: { state: 'queued', reason: null, queue: 'enter' } });
    expect(await beat(attempt)).toBe(false);
    expect(await queue.leases()).toEqual([]);
  });

  it('lists the leases that have expired', async () => {
    const { id } = await runningJob(fixture.store);
    expect(await fixture.store.queue.leases(noon + 1000)).toEqual([]);
    expect((await fixture.store.queue.leases(noon + 1001)).map(({ job_id }) => job_id)).toEqual([id]);
  });

  it('lists the jobs that have waited beyond their deadline', async () => {
    const { queue } = fixture.store;
    await queuedJob(fixture.store);
    const { id } = await queuedJob(fixture.store, { priority: 1 }, { deadline: noon + 100 });
    expect(await queue.overdue(noon + 99)).toEqual([]);
    expect(await queue.overdue(noon + 100)).toEqual([id]);
    await claimJob(fixture.store);
    expect(await queue.overdue(noon + 100)).toEqual([]);
  });
}
