import { expect, it } from 'vitest';
import { newId } from '../../../src/store/ids.ts';
import type { JobProgress } from '../../../src/store/store.ts';
import type { Fixture } from '../conformance.ts';
import {
  checkpoint,
  claimJob,
  collect,
  everythingAbout,
  job,
  losses,
  noon,
  progressTo,
  queuedJob,
  runningJob,
} from '../records.ts';

export function changesConform(fixture: Fixture): void {
  it('writes every column of the progress', async () => {
    const { id } = await queuedJob(fixture.store);
    const set: JobProgress = {
      stop_reason: 'diverged',
      error: { code: 'diverged', detail: 'NaN' },
      control: 'pause',
      epoch: 1,
      epochs: 2,
      step: 3,
      steps: 4,
      samples_per_second: 1234.5,
      latest: { loss: 'NaN' },
      best: { loss: 0.1 },
      test: { rows: 2 },
      warnings: [{ code: 'w' }],
      metadata: { team: 'b' },
      priority: -5,
      run_sha256: 'run',
      parameters_sha256: 'parameters',
      roundings: [{ first_step: 1, fused: true }],
      backend: 'reference',
      threads: 2,
      crashes: 2,
      crash_step: 17,
      finished_at: noon + 5,
    };
    const changed = await fixture.store.jobs.change({ id, at: noon + 5, set });
    expect(changed).toMatchObject({ ...set, updated_at: noon + 5, state: 'queued' });
    expect(await fixture.store.jobs.get(id)).toEqual(changed);
    const cleared = await fixture.store.jobs.change({ id, at: noon + 6, set: { error: null, crash_step: null } });
    expect(cleared).toMatchObject({ error: null, crash_step: null, stop_reason: 'diverged' });
  });

  it('writes points, checkpoint, progress, transition and events together', async () => {
    const running = await runningJob(fixture.store);
    const changed = await fixture.store.jobs.change({
      ...progressTo(3, running),
      to: { state: 'succeeded', reason: 'completed', queue: 'leave' },
    });
    expect(changed).toMatchObject({ state: 'succeeded', step: 3, latest: { loss: 0.5 }, last_event_id: 1 });
    expect(await everythingAbout(fixture.store, running.id)).toEqual({
      job: changed,
      transitions: [
        { state: 'queued', at: noon, reason: null, attempt: 0 },
        { state: 'running', at: noon + 10, reason: null, attempt: 1 },
        { state: 'succeeded', at: noon + 20, reason: 'completed', attempt: 1 },
      ],
      learningRates: [],
      events: { data: [{ id: 1, type: 'progress', data: { step: 3 }, at: noon + 20 }], has_more: false },
      points: [losses(1, 0, 1 / 8, 2 / 8)],
      checkpoints: [{ ...checkpoint(running, 3), job_id: running.id, created_at: noon + 20 }],
      depth: { waiting: 0, leased: 0 },
      leases: [],
    });
  });

  it('lets a replaced attempt write nothing', async () => {
    const zombie = await runningJob(fixture.store);
    await fixture.store.jobs.change({
      id: zombie.id,
      at: noon + 11,
      from: ['running'],
      attempt: zombie.attempt,
      to: { state: 'queued', reason: 'worker_crashed', queue: 'enter' },
    });
    const next = await claimJob(fixture.store, 'server-2', noon + 15);
    expect(next).toMatchObject({ id: zombie.id, attempt: 2, started_at: noon + 10, updated_at: noon + 15 });
    const before = await everythingAbout(fixture.store, zombie.id);
    const end = { state: 'succeeded', reason: 'completed', queue: 'leave' } as const;
    expect(await fixture.store.jobs.change(progressTo(3, zombie))).toBeUndefined();
    expect(await fixture.store.jobs.change({ ...progressTo(3, zombie), to: end })).toBeUndefined();
    expect(await everythingAbout(fixture.store, zombie.id)).toEqual(before);
    expect(await fixture.store.jobs.change(progressTo(3, next!))).toMatchObject({ step: 3 });
  });

  it('changes nothing when the job is in another state', async () => {
    const running = await runningJob(fixture.store);
    const before = await everythingAbout(fixture.store, running.id);
    for (const from of [['paused', 'queued'], []]) {
      expect(await fixture.store.jobs.change({ ...progressTo(3, running), from })).toBeUndefined();
    }
    expect(await everythingAbout(fixture.store, running.id)).toEqual(before);
  });

  it('lets one of many simultaneous transitions from the same state happen', async () => {
    const { id } = await queuedJob(fixture.store);
    const ends = ['cancelled', 'failed', 'succeeded', 'cancelled', 'failed', 'succeeded'];
    const results = await Promise.all(
      ends.map((state) =>
        fixture.store.jobs.change({ id, at: noon, from: ['queued'], to: { state, reason: null, queue: 'leave' } }),
      ),
    );
    const happened = results.filter((result) => result !== undefined);
    expect(happened).toHaveLength(1);
    const transitions = await fixture.store.jobs.transitions(id);
    expect(transitions.map(({ state }) => state)).toEqual(['queued', happened[0]?.state]);
  });

  it('numbers the events of simultaneous changes without gaps', async () => {
    const { id } = await queuedJob(fixture.store);
    const two = [
      { type: 'a', data: 1 },
      { type: 'b', data: 2 },
    ];
    await Promise.all(Array.from({ length: 8 }, () => fixture.store.jobs.change({ id, at: noon, events: two })));
    const { data } = await fixture.store.events.list(id, { limit: 100 });
    expect(data.map((event) => event.id)).toEqual(Array.from({ length: 16 }, (_, i) => i + 1));
    expect(data.map((event) => event.type).join('')).toBe('ab'.repeat(8));
  });

  it('goes back to an earlier checkpoint: later points and checkpoints are forgotten, a chunk across is cut', async () => {
    const { jobs, blobs, points, checkpoints } = fixture.store;
    const running = await runningJob(fixture.store);
    const epochs = (first: number, ...values: number[]) => ({ ...losses(first, ...values), resolution: 'epoch' });
    await jobs.change({
      ...progressTo(4, running),
      points: [losses(1, 1, 2, 3, 4), losses(5, 5, 6), losses(7, 7, 8), epochs(1, 10), epochs(2, 20)],
      checkpoints: [checkpoint(running, 4), checkpoint(running, 8)],
    });
    expect((await checkpoints.newest(running.id))?.step).toBe(8);
    for (const step of [4, 8]) await blobs.put(checkpoint(running, step).blob_key, new Uint8Array([step]));
    await jobs.change({ id: running.id, at: noon, rewind: { step: 5, points: { step: 5 } }, set: { step: 5 } });
    expect(await collect(points.chunks(running.id, 'step'))).toEqual([losses(1, 1, 2, 3, 4), losses(5, 5)]);
    expect(await points.extent(running.id, 'epoch')).toBeUndefined();
    expect((await checkpoints.list(running.id)).map(({ step }) => step)).toEqual([4]);
    expect((await checkpoints.newest(running.id))?.step).toBe(4);
    expect(await blobs.get(checkpoint(running, 8).blob_key)).toBeUndefined();
    expect(await blobs.get(checkpoint(running, 4).blob_key)).toEqual(new Uint8Array([4]));
    await jobs.change({ id: running.id, at: noon, points: [losses(6, 60)] });
    expect(await points.extent(running.id, 'step')).toEqual({ count: 6, first: 1, last: 6 });
  });

  it('drops checkpoints with their blobs, and replaces one of the same step', async () => {
    const { jobs, blobs, checkpoints } = fixture.store;
    const running = await runningJob(fixture.store);
    const [one, two] = [checkpoint(running, 1), checkpoint(running, 2)];
    const again = { ...checkpoint({ ...running, attempt: 2 }, 2), kind: 'best' };
    for (const { blob_key } of [one, two, again]) await blobs.put(blob_key, new Uint8Array([7]));
    await jobs.change({ id: running.id, at: noon, checkpoints: [one, two] });
    await jobs.change({ id: running.id, at: noon + 1, checkpoints: [again], drop_checkpoints: [1] });
    const kept = { ...again, job_id: running.id, created_at: noon + 1 };
    expect(await checkpoints.list(running.id)).toEqual([kept]);
    expect(await checkpoints.at(running.id, 2)).toEqual(kept);
    expect(await checkpoints.at(running.id, 1)).toBeUndefined();
    expect((await collect(blobs.list(''))).map(({ key }) => key)).toEqual([again.blob_key]);
  });

  it('keeps the blob of a checkpoint that is written again under the same key', async () => {
    const { jobs, blobs } = fixture.store;
    const running = await runningJob(fixture.store);
    const one = checkpoint(running, 1);
    await blobs.put(one.blob_key, new Uint8Array([7]));
    await jobs.change({ id: running.id, at: noon, checkpoints: [one] });
    await jobs.change({ id: running.id, at: noon, checkpoints: [{ ...one, kind: 'best' }] });
    expect(await blobs.get(one.blob_key)).toEqual(new Uint8Array([7]));
  });

  it('finds a job by the metadata it has now', async () => {
    const { id } = await queuedJob(fixture.store, { metadata: { team: 'a' } });
    await fixture.store.jobs.change({ id, at: noon, set: { metadata: { team: 'b' } } });
    const found = async (team: string) => (await fixture.store.jobs.list({ limit: 9, metadata: { team } })).data.length;
    expect([await found('a'), await found('b')]).toEqual([0, 1]);
  });

  it('merges labels by RFC 7396 into those that are there, also when many do at once', async () => {
    const { id } = await queuedJob(fixture.store, { metadata: { team: 'a', note: 'x', nested: { a: 1, b: 2 } } });
    await fixture.store.jobs.change({ id, at: noon, merge_metadata: { note: null, nested: { b: null, c: [null] } } });
    const keys = ['one', 'two', 'three', 'four'];
    await Promise.all(keys.map((key) => fixture.store.jobs.change({ id, at: noon, merge_metadata: { [key]: key } })));
    const labels = { team: 'a', nested: { a: 1, c: [null] }, one: 'one', two: 'two', three: 'three', four: 'four' };
    expect((await fixture.store.jobs.get(id))?.metadata).toEqual(labels);
    const found = async (metadata: Record<string, string>) =>
      (await fixture.store.jobs.list({ limit: 9, metadata })).data.length;
    expect([await found({ four: 'four', team: 'a' }), await found({ note: 'x' })]).toEqual([1, 0]);
  });

  it('numbers wishes for a learning rate in their order and keeps the steps at which they took effect', async () => {
    const { jobs } = fixture.store;
    const running = await runningJob(fixture.store);
    const { id, attempt } = running;
    const rates = [0.5, 0, 1e-300, 1e300];
    for (const [i, learning_rate] of rates.entries()) await jobs.change({ id, at: noon + i, learning_rate });
    const effective_rates = [
      { number: 1, first_step: 7 },
      { number: 2, first_step: 7 },
    ];
    await jobs.change({ ...progressTo(9, running), effective_rates });
    const records = rates.map((learning_rate, i) => ({
      number: i + 1,
      learning_rate,
      first_step: i < 2 ? 7 : null,
      requested_at: noon + i,
    }));
    expect(await jobs.learningRates(id)).toEqual(records);
    const zombie = {
      id,
      at: noon,
      attempt: attempt + 1,
      learning_rate: 1,
      effective_rates: [{ number: 3, first_step: 8 }],
    };
    expect(await jobs.change(zombie)).toBeUndefined();
    expect(await jobs.learningRates(id)).toEqual(records);
    await Promise.all(rates.map((learning_rate) => jobs.change({ id, at: noon, learning_rate })));
    expect((await jobs.learningRates(id)).map(({ number }) => number)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    await jobs.delete(id, ['running']);
    expect(await jobs.learningRates(id)).toEqual([]);
  });

  it('never sweeps a blob whose record is on its way, whenever it looks', async () => {
    const { jobs, blobs } = fixture.store;
    const created = job();
    const data_key = `jobs/${created.id}/data`;
    await blobs.put(data_key, new Uint8Array([1]));
    const [written] = await collect(blobs.list(`jobs/${created.id}/`));
    // As at a start: everything older than that is of a process that has died. The record is not there yet.
    const start = written!.written_at;
    expect(await fixture.store.sweepBlobs(start)).toBe(0);
    const [swept] = await Promise.all([
      fixture.store.sweepBlobs(start),
      jobs.create({ job: { ...created, data_key } }),
      fixture.store.sweepBlobs(start),
    ]);
    expect(swept).toBe(0);
    expect(await fixture.store.sweepBlobs(Number.MAX_SAFE_INTEGER)).toBe(0);
    expect(await blobs.get(data_key)).toEqual(new Uint8Array([1]));
  });

  it('sweeps the blobs that no record accounts for, and only old ones', async () => {
    const { jobs, blobs } = fixture.store;
    const running = await runningJob(fixture.store);
    await jobs.change({ id: running.id, at: noon, checkpoints: [checkpoint(running, 1)] });
    const kept = [checkpoint(running, 1).blob_key, `jobs/${running.id}/data`, 'other/file'];
    const orphans = [checkpoint(running, 2).blob_key, `jobs/${newId('job')}/data`, `datasets/${newId('dataset')}/rows`];
    for (const key of [...kept, ...orphans]) await blobs.put(key, new Uint8Array([1]));
    expect(await fixture.store.sweepBlobs(0)).toBe(0);
    expect(await fixture.store.sweepBlobs(Number.MAX_SAFE_INTEGER)).toBe(3);
    expect((await collect(blobs.list(''))).map(({ key }) => key)).toEqual(kept.sort());
  });
}
