import { describe, expect, it } from 'vitest';
import type { JobView } from '../../src/schemas/job-view.ts';
import { type RunningApp, startApp, useApp } from '../support/app.ts';
import { endless, follow, job, long, submit, train, undisturbed, untilProgress, untilState } from '../support/jobs.ts';

const running = useApp();

const patch = (view: JobView, body: object) => running.request.patch(view.urls.self).send(body);
const act = (view: JobView, action: string) => running.request.post(`${view.urls.self}/${action}`).expect(200);

async function ended({ request, port }: Pick<RunningApp, 'request' | 'port'>, { id, urls }: JobView): Promise<JobView> {
  for await (const { event } of follow({ port }, id)) if (event === 'end') break;
  return (await request.get(urls.self)).body;
}

/** Waits until a change has taken effect, and returns the data of its event. */
async function untilChanged(id: string): Promise<{ step: number; learning_rate: number }> {
  for await (const { event, data } of follow(running, id)) if (event === 'learning_rate_changed') return data;
  throw new Error('the job ended before its learning rate changed');
}

/** A paused job that has been trained a little. */
async function paused(body: object): Promise<JobView> {
  const view = await submit(running, body);
  await untilProgress(running, view.id);
  await act(view, 'pause');
  await untilState(running, view.id, 'paused');
  return (await running.request.get(view.urls.self)).body;
}

describe('a changed learning rate', () => {
  it('of a job under way takes effect at the step that its event names, and changes its run and its model', async () => {
    const view = await submit(running, long);
    await untilProgress(running, view.id);
    const { body: changed } = await patch(view, { learning_rate: 0.01 }).expect(200);
    expect(changed.learning_rate_changes).toMatchObject([{ learning_rate: 0.01 }]);
    const { step } = await untilChanged(view.id);
    const done = await ended(running, view);
    expect(done).toMatchObject({ state: 'succeeded', learning_rate_changes: [{ first_step: step }] });
    const history = await running.request.get(`${view.urls.loss_history}?resolution=step&from=${step - 1}&to=${step}`);
    expect(history.body.series.learning_rate).toEqual([0.001, 0.01]);
    expect(done.run_sha256).not.toBe(view.run_sha256);
    expect(done.parameters_sha256).toBe(undisturbed(done, [{ first_step: step, learning_rate: 0.01 }]));
  });

  it('of a paused job takes effect with its next step, the last of several', async () => {
    const view = await paused(long);
    await patch(view, { learning_rate: 0.5 }).expect(200);
    const { body } = await patch(view, { learning_rate: 0.02 }).expect(200);
    expect(body.learning_rate_changes).toMatchObject([{ first_step: null }, { first_step: null }]);
    expect(body.run_sha256).toBe(view.run_sha256);
    await act(view, 'resume');
    const first_step = view.progress.step + 1;
    const done = await ended(running, view);
    expect(done.learning_rate_changes.map((change) => change.first_step)).toEqual([first_step, first_step]);
    expect(done.parameters_sha256).toBe(undisturbed(done, [{ first_step, learning_rate: 0.02 }]));
  });

  it('of a queued job holds from its first step', async () => {
    const first = await submit(running, endless);
    const view = await submit(running, job);
    await patch(view, { learning_rate: 0.25 }).expect(200);
    await act(first, 'cancel');
    const done = await ended(running, view);
    const same = await train(running, { ...job, optimizer: { name: 'sgd', learning_rate: 0.25 } });
    expect(done).toMatchObject({ learning_rate_changes: [{ first_step: 1 }] });
    expect(done.parameters_sha256).toBe(same.parameters_sha256);
    const { body: events } = await running.request.get(done.urls.events);
    const told = events.data.filter(({ type }: { type: string }) => type === 'learning_rate_changed');
    expect(told.map(({ data }: { data: object }) => data)).toEqual([{ step: 1, learning_rate: 0.25 }]);
  });

  it('is the base on which schedules go on counting', async () => {
    const schedule = { name: 'step', step_size: 10, gamma: 0.5 };
    const first = await submit(running, endless);
    const view = await submit(running, { ...job, learning_rate_schedule: schedule });
    await patch(view, { learning_rate: 0.25 }).expect(200);
    await act(first, 'cancel');
    const done = await ended(running, view);
    const { body } = await running.request.get(`${view.urls.loss_history}?resolution=step`);
    expect(body.series.learning_rate).toEqual(body.step.map((n: number) => 0.25 * 0.5 ** Math.floor((n - 1) / 10)));
    expect(done.state).toBe('succeeded');
  });

  it('comes too late for a job that has ended or is being cancelled: 409', async () => {
    const done = await train(running, job);
    const answer = await patch(done, { learning_rate: 0.1, metadata: { team: 'x' } }).expect(409);
    expect(answer.body).toMatchObject({ code: 'wrong_state', current_state: 'succeeded', allowed_actions: [] });
    expect((await running.request.get(done.urls.self)).body.metadata).toEqual({});
  });

  it('must be a number that is not negative, and not one too many', async () => {
    const view = await submit(running, job);
    for (const learning_rate of [-1, null, '0.1']) {
      const { body } = await patch(view, { learning_rate }).expect(422);
      expect(body.errors).toMatchObject([{ pointer: '/learning_rate' }]);
    }
    const other = await startApp({ MAX_LEARNING_RATE_CHANGES: '1' });
    const { urls } = await submit(other, endless);
    const again = () => other.request.patch(urls.self).send({ learning_rate: 1 });
    expect((await again()).status).toBe(200);
    expect((await again()).body).toMatchObject({ status: 422, limit: { name: 'max_learning_rate_changes' } });
    await other.stop();
    other.remove();
    const { body } = await patch(view, { learning_rte: 1 }).expect(422);
    expect(body.errors).toMatchObject([{ pointer: '/learning_rte', did_you_mean: 'learning_rate' }]);
  });
});

describe('a change', () => {
  it('may come as a JSON Merge Patch, here alone', async () => {
    const done = await train(running, job);
    const type = 'application/merge-patch+json';
    const merge = running.request.patch(done.urls.self).set('Content-Type', type);
    const { body } = await merge.send('{"metadata":{"team":"m"}}').expect(200);
    expect(body.metadata).toEqual({ team: 'm' });
    const created = await running.request.post('/v1/jobs').set('Content-Type', type).send(JSON.stringify(job));
    expect(created.status).toBe(415);
  });

  it('of nothing changes nothing', async () => {
    const done = await train(running, job);
    const { body } = await patch(done, {}).expect(200);
    expect({ ...body, updated_at: '' }).toEqual({ ...done, updated_at: '' });
  });
});

describe('changed labels', () => {
  it('are merged, at any time, and lists find the job by them', async () => {
    const done = await train(running, { ...job, metadata: { team: 'a', note: 'old' } });
    const { body } = await patch(done, { metadata: { note: null, phase: 2 } }).expect(200);
    expect(body).toMatchObject({ metadata: { team: 'a', phase: 2 }, state: 'succeeded', run_sha256: done.run_sha256 });
    const { body: page } = await running.request.get('/v1/jobs?metadata[phase]=2&metadata[team]=a').expect(200);
    expect(page.data.map(({ id }: JobView) => id)).toEqual([done.id]);
    expect((await running.request.get('/v1/jobs?metadata[note]=old')).body.data).toEqual([]);
  });

  it('are bounded together with those that are there', async () => {
    const done = await train(running, { ...job, metadata: { text: 'x'.repeat(16_000) } });
    const { body } = await patch(done, { metadata: { more: 'x'.repeat(1_000) } }).expect(422);
    expect(body).toMatchObject({ code: 'limit_exceeded', limit: { name: 'max_metadata_bytes' } });
  });

  it('of a job that is not there: 404', async () => {
    expect((await running.request.patch('/v1/jobs/job_none').send({ metadata: {} })).status).toBe(404);
  });
});
