import { expect, it } from 'vitest';
import type { Fixture } from '../conformance.ts';
import {
  claim,
  dataset,
  definition,
  everythingAbout,
  job,
  noon,
  progressTo,
  queuedJob,
  runningJob,
} from '../records.ts';

export function jobsConform(fixture: Fixture): void {
  it('creates a job that waits, with its first transition and event', async () => {
    const { jobs, events, queue } = fixture.store;
    const events_ = [{ type: 'queued', data: { position: 1 } }];
    const record = await queuedJob(fixture.store, { metadata: { team: 'a' }, epochs: 2 }, { events: events_ });
    expect(record).toMatchObject({ state: 'queued', attempt: 0, epochs: 2, last_event_id: 1, network: definition });
    expect(await jobs.get(record.id)).toEqual(record);
    expect(await jobs.transitions(record.id)).toEqual([{ state: 'queued', at: noon, reason: null, attempt: 0 }]);
    expect((await events.list(record.id, { limit: 9 })).data).toEqual([{ id: 1, at: noon, ...events_[0] }]);
    expect(await queue.depth()).toEqual({ waiting: 1, leased: 0 });
  });

  it('answers undefined, false or nothing for a job that is not there', async () => {
    const { jobs, events, points, checkpoints } = fixture.store;
    expect(await jobs.get('job_none')).toBeUndefined();
    expect(await jobs.byExternalId('none')).toBeUndefined();
    expect(await jobs.transitions('job_none')).toEqual([]);
    expect(await jobs.change({ id: 'job_none', at: noon, events: [{ type: 'x', data: null }] })).toBeUndefined();
    expect(await jobs.delete('job_none', ['queued'])).toBe(false);
    expect(await events.list('job_none', { limit: 9 })).toEqual({ data: [], has_more: false });
    expect(await points.extent('job_none', 'step')).toBeUndefined();
    expect(await checkpoints.list('job_none')).toEqual([]);
    expect(await checkpoints.newest('job_none')).toBeUndefined();
  });

  it('creates one job when the same key comes many times at once', async () => {
    const { jobs, queue } = fixture.store;
    const attempts = Array.from({ length: 8 }, () => jobs.create({ job: job(), idempotency: claim() }));
    const outcomes = (await Promise.all(attempts)).map(({ outcome }) => outcome).sort();
    expect(outcomes).toEqual(['created', ...Array(7).fill('replayed')]);
    expect(await queue.depth()).toEqual({ waiting: 1, leased: 0 });
  });

  it('refuses a job when the queue is full, and leaves its key free', async () => {
    const { jobs, queue } = fixture.store;
    await queuedJob(fixture.store);
    const creation = { job: job(), idempotency: claim(), max_waiting: 1 };
    expect(await jobs.create(creation)).toEqual({ outcome: 'queue_full', waiting: 1 });
    expect(await jobs.get(creation.job.id)).toBeUndefined();
    expect(await queue.depth()).toEqual({ waiting: 1, leased: 0 });
    expect((await jobs.create({ ...creation, max_waiting: 2 })).outcome).toBe('created');
  });

  it('does not count jobs that have a worker as waiting', async () => {
    await runningJob(fixture.store);
    expect((await fixture.store.jobs.create({ job: job(), max_waiting: 1 })).outcome).toBe('created');
  });

  it('gives an external id to one job only, and leaves nothing of the second', async () => {
    const { jobs, queue } = fixture.store;
    const first = await queuedJob(fixture.store, { external_id: 'nightly' });
    const second = { job: job({ external_id: 'nightly' }), idempotency: claim() };
    expect(await jobs.create(second)).toEqual({ outcome: 'external_id_taken', record: first });
    expect(await jobs.byExternalId('nightly')).toEqual(first);
    expect(await jobs.get(second.job.id)).toBeUndefined();
    expect(await queue.depth()).toEqual({ waiting: 1, leased: 0 });
    expect(await fixture.store.idempotency.find(claim(), noon)).toBeUndefined();
  });

  it('refuses a job whose data set has been deleted', async () => {
    const { jobs, datasets } = fixture.store;
    const { id } = dataset();
    const creation = { job: job({ dataset_id: id }) };
    expect(await jobs.create(creation)).toEqual({ outcome: 'dataset_not_found' });
    expect(await jobs.get(creation.job.id)).toBeUndefined();
    await datasets.create(dataset({ id }));
    expect((await jobs.create(creation)).outcome).toBe('created');
  });

  it('lists jobs newest first by state, network, data set, run and metadata', async () => {
    const { jobs, datasets } = fixture.store;
    const { id: dataset_id } = dataset();
    await datasets.create(dataset({ id: dataset_id }));
    const a = await queuedJob(fixture.store, { network_id: 'net_1', metadata: { team: 'a' }, priority: 1 });
    const b = await queuedJob(fixture.store, {
      network_id: 'net_1',
      dataset_id,
      run_sha256: 'run',
      metadata: { team: 'b' },
    });
    await jobs.change({ id: a.id, at: noon, to: { state: 'cancelled', reason: 'x', queue: 'leave' } });
    const found = async (filter: object) =>
      (await jobs.list({ limit: 9, ...filter })).data.map(({ id }) => (id === a.id ? 'a' : 'b'));
    expect(await found({})).toEqual(['b', 'a']);
    expect(await found({ states: ['queued', 'running'] })).toEqual(['b']);
    expect(await found({ states: ['queued', 'cancelled'], network_id: 'net_1' })).toEqual(['b', 'a']);
    expect(await found({ states: [] })).toEqual([]);
    expect(await found({ network_id: 'net_2' })).toEqual([]);
    expect(await found({ dataset_id })).toEqual(['b']);
    expect(await found({ run_sha256: 'run' })).toEqual(['b']);
    expect(await found({ metadata: { team: 'a' } })).toEqual(['a']);
    expect(await found({ metadata: { team: 'a' }, states: ['queued'] })).toEqual([]);
    expect(await found({ after: b.id, states: ['cancelled'] })).toEqual(['a']);
  });

  it('creates one of many equal runs that are asked for at once, and says which one makes the others needless', async () => {
    const { jobs } = fixture.store;
    const reuse = { ended: ['completed'], active: ['queued', 'running'] };
    const ask = (run_sha256 = 'run') => jobs.create({ job: job({ run_sha256 }), reuse });
    const outcomes = await Promise.all(Array.from({ length: 6 }, () => ask()));
    expect(outcomes.filter(({ outcome }) => outcome === 'created')).toHaveLength(1);
    const [first] = (await jobs.list({ limit: 9 })).data;
    expect(outcomes.filter(({ outcome }) => outcome !== 'created')).toEqual(
      Array(5).fill({ outcome: 'run_exists', record: first }),
    );
    expect((await ask('other')).outcome).toBe('created');
  });

  it('prefers an equal run that has ended, and passes over one that ends otherwise or is asked to', async () => {
    const { jobs } = fixture.store;
    const reuse = { ended: ['completed'], active: ['queued'], diverted_by: ['other_way'] };
    const found = async () => {
      const answer = await jobs.create({ job: job({ run_sha256: 'run' }), reuse, max_waiting: 0 });
      return answer.outcome === 'run_exists' ? answer.record.id : answer.outcome;
    };
    const [ended, stopped, asked, changed] = [
      await queuedJob(fixture.store, { run_sha256: 'run' }),
      await queuedJob(fixture.store, { run_sha256: 'run' }),
      await queuedJob(fixture.store, { run_sha256: 'run' }),
      await queuedJob(fixture.store, { run_sha256: 'run' }),
    ];
    expect(await found()).toBe(changed.id);
    await jobs.change({ id: changed.id, at: noon, learning_rate: 1 });
    expect(await found()).toBe(asked.id);
    await jobs.change({ id: asked.id, at: noon, set: { control: 'stop' } });
    const end = { state: 'succeeded', reason: null, queue: 'leave' } as const;
    await jobs.change({ id: stopped.id, at: noon, to: end, set: { stop_reason: 'stopped' } });
    const waiting = await queuedJob(fixture.store, { run_sha256: 'run' });
    await jobs.change({ id: ended.id, at: noon, to: end, set: { stop_reason: 'completed' } });
    expect(await found()).toBe(ended.id);
    await jobs.delete(ended.id, ['succeeded']);
    expect(await found()).toBe(waiting.id);
    const diverted = { state: 'queued', reason: 'other_way', queue: 'keep' } as const;
    await jobs.change({ id: waiting.id, at: noon, to: diverted });
    expect(await found()).toBe('queue_full');
  });

  it('counts jobs by state', async () => {
    await queuedJob(fixture.store, { priority: -1 });
    await queuedJob(fixture.store, { priority: -1 });
    await runningJob(fixture.store);
    expect(await fixture.store.jobs.counts()).toEqual({ queued: 2, running: 1 });
  });

  it('deletes a job with everything that belongs to it, only in the states given', async () => {
    const { jobs, blobs } = fixture.store;
    const running = await runningJob(fixture.store, { metadata: { team: 'a' }, external_id: 'nightly' });
    const change = progressTo(3, running);
    const { blob_key } = change.checkpoints![0]!;
    await blobs.put(blob_key, new Uint8Array([1, 2, 3]));
    await jobs.change(change);
    expect(await jobs.delete(running.id, ['succeeded'])).toBe(false);
    expect(await blobs.get(blob_key)).toEqual(new Uint8Array([1, 2, 3]));
    expect(await jobs.delete(running.id, ['running'])).toBe(true);
    expect(await everythingAbout(fixture.store, running.id)).toEqual({
      job: undefined,
      learningRates: [],
      transitions: [],
      events: { data: [], has_more: false },
      points: [],
      checkpoints: [],
      depth: { waiting: 0, leased: 0 },
      leases: [],
    });
    expect(await blobs.get(blob_key)).toBeUndefined();
    expect((await jobs.list({ limit: 9, metadata: { team: 'a' } })).data).toEqual([]);
    await queuedJob(fixture.store, { external_id: 'nightly' });
  });

  it('keeps everything when it is opened again', async () => {
    const running = await runningJob(fixture.store, { metadata: { team: 'a' } });
    await fixture.store.jobs.change(progressTo(3, running));
    const before = await everythingAbout(fixture.store, running.id);
    expect(await everythingAbout(await fixture.reopen(), running.id)).toEqual(before);
  });
}
