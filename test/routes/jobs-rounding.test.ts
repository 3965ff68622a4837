import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { JobView } from '../../src/schemas/job-view.ts';
import { openStore } from '../../src/store/open.ts';
import { decodeCheckpoint, encodeCheckpoint } from '../../src/training/checkpoint.ts';
import { type StartedApp, startApp } from '../support/app.ts';
import { endless, follow, long, submit, undisturbed, untilProgress, untilState } from '../support/jobs.ts';

/** Long enough to be paused, and no longer. */
const short = { ...long, epochs: 60_000 };

const directories: string[] = [];
const running: StartedApp[] = [];

afterAll(async () => {
  for (const app of running) await app.stop();
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
});

async function start(DATA_DIR: string): Promise<StartedApp> {
  const app = await startApp({ DATA_DIR });
  running.push(app);
  return app;
}

async function stop(app: StartedApp): Promise<void> {
  running.splice(running.indexOf(app), 1);
  await app.stop();
}

const read = async ({ request }: StartedApp, { urls }: JobView): Promise<JobView> =>
  (await request.get(urls.self)).body;
const resume = ({ request }: StartedApp, { urls }: JobView, body?: object) =>
  request.post(`${urls.self}/resume`).send(body);

async function ended(app: StartedApp, view: JobView): Promise<JobView> {
  for await (const { event } of follow(app, view.id)) if (event === 'end') break;
  return read(app, view);
}

/** What the newest checkpoint would be if a machine that rounds otherwise had written it. */
async function moveToOtherMachine(directory: string, id: string): Promise<void> {
  const store = await openStore({ data_dir: directory });
  const [{ blob_key }] = await store.checkpoints.list(id);
  const checkpoint = decodeCheckpoint((await store.blobs.get(blob_key))!);
  await store.blobs.put(blob_key, encodeCheckpoint({ ...checkpoint, fused: !checkpoint.fused }));
  await store.close();
}

/** A job that was trained a little on a machine that rounds otherwise, on a service of this machine. */
async function movedJob(body: object = short): Promise<{ readonly app: StartedApp; readonly view: JobView }> {
  const directory = mkdtempSync(join(tmpdir(), 'trainyard-rounding-'));
  directories.push(directory);
  const first = await start(directory);
  const view = await submit(first, body);
  await untilProgress(first, view.id);
  await first.request.post(`${view.urls.self}/pause`).expect(200);
  await untilState(first, view.id, 'paused');
  await stop(first);
  await moveToOtherMachine(directory, view.id);
  return { app: await start(directory), view };
}

const reasonsOf = ({ transitions }: JobView) => transitions.map(({ state, reason }) => `${state} ${reason}`);

describe('a job whose checkpoint is of a machine that rounds otherwise', () => {
  it('rests, says why and what can be done, and goes on when a client accepts it, under another name', async () => {
    const { app, view } = await movedJob();
    await resume(app, view).expect(200);
    await untilHeld(app, view.id);
    const held = await read(app, view);
    expect(held).toMatchObject({ state: 'paused', error: { code: 'checkpoint_rounding' }, rounding_changes: [] });
    expect(held.error?.message).toContain('"accept_other_rounding": true');
    expect(held.allowed_actions).toEqual(['resume', 'stop', 'cancel']);
    expect(held.run_sha256).toBe(view.run_sha256);

    const { body: going } = await resume(app, view, { accept_other_rounding: true }).expect(200);
    expect(going.error).toBeNull();
    const done = await ended(app, view);
    const first_step = held.progress.step + 1;
    expect(done).toMatchObject({ state: 'succeeded', rounding_changes: [{ first_step }] });
    expect(done.run_sha256).not.toBe(view.run_sha256);
    expect(reasonsOf(done)).toEqual([
      'queued null',
      'running null',
      'pausing pause',
      'paused null',
      'queued resume',
      'running null',
      'paused other_rounding',
      'queued other_rounding_accepted',
      'running null',
      'succeeded completed',
    ]);
    const { body: events } = await app.request.get(done.urls.events);
    const told = events.data.filter(({ type }: { type: string }) => type.startsWith('rounding_'));
    expect(told).toMatchObject([
      { type: 'rounding_refused', data: { message: held.error?.message } },
      { type: 'rounding_changed', data: { step: first_step } },
    ]);
    // Only what is said of the first steps was changed, so the numbers are those of one machine.
    expect(done.parameters_sha256).toBe(undisturbed(done, []));

    const again = await app.request.post('/v1/jobs').set('Prefer', 'reuse').send(short).expect(201);
    expect(again.body).toMatchObject({ run_sha256: view.run_sha256, rounding_changes: [] });
    await app.request.post(`${again.body.urls.self}/cancel`).expect(200);

    const step = done.progress.steps;
    await app.request.get(`${done.urls.self}/steps/${step}`).expect(200);
  });

  it('can be stopped instead, with the model that it has', async () => {
    const { app, view } = await movedJob();
    await resume(app, view).expect(200);
    await untilHeld(app, view.id);
    const { body: stopped } = await app.request.post(`${view.urls.self}/stop`).expect(200);
    expect(stopped).toMatchObject({ state: 'succeeded', stop_reason: 'stopped', error: null });
    expect(stopped.run_sha256).toBe(view.run_sha256);
  });

  it('keeps its other name through a restart and a change of its learning rate', async () => {
    const { app, view } = await movedJob({ ...long, epochs: 150_000 });
    await resume(app, view, { accept_other_rounding: true }).expect(200);
    for await (const { event } of follow(app, view.id)) if (event === 'rounding_changed') break;
    const mixed = await read(app, view);
    await stop(app);
    const next = await start(app.config.dataDir);
    await untilProgress(next, view.id);
    expect(await read(next, view)).toMatchObject({
      run_sha256: mixed.run_sha256,
      rounding_changes: mixed.rounding_changes,
    });
    await next.request.patch(view.urls.self).send({ learning_rate: 0.01 }).expect(200);
    for await (const { event } of follow(next, view.id)) if (event === 'learning_rate_changed') break;
    const patched = await read(next, view);
    expect(patched.rounding_changes).toEqual(mixed.rounding_changes);
    expect(patched.run_sha256).not.toBe(mixed.run_sha256);
    await next.request.post(`${view.urls.self}/cancel`).expect(200);
  });
});

describe('accept_other_rounding', () => {
  it('is checked, and kept of a job that waits already', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'trainyard-rounding-'));
    directories.push(directory);
    const app = await start(directory);
    const first = await submit(app, endless);
    const view = await submit(app, short);
    const { body } = await resume(app, view, { accept_other_runding: true }).expect(422);
    expect(body.errors).toMatchObject([{ pointer: '/accept_other_runding', did_you_mean: 'accept_other_rounding' }]);
    await resume(app, view, { accept_other_rounding: 'yes' }).expect(422);
    for (const _ of [1, 2]) await resume(app, view, { accept_other_rounding: true }).expect(200);
    expect(reasonsOf(await read(app, view))).toEqual(['queued null', 'queued other_rounding_accepted']);
    for (const { urls } of [view, first]) await app.request.post(`${urls.self}/cancel`).expect(200);
  });
});

async function untilHeld(app: StartedApp, id: string): Promise<void> {
  for await (const { event, data } of follow(app, id)) {
    if (event === 'state' && data.reason === 'other_rounding') return;
  }
  throw new Error('the job ended without having been held');
}
