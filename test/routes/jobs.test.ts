import { describe, expect, it } from 'vitest';
import { jobExamples } from '../../src/schemas/job.ts';
import { useApp } from '../support/app.ts';
import {
  endless,
  follow,
  job,
  long,
  network,
  submit,
  train,
  undisturbedLosses,
  untilProgress,
  untilState,
  xor,
} from '../support/jobs.ts';

const running = useApp({ MAX_WORKERS: '1', MAX_QUEUE: '3' });

describe('training a network', () => {
  // Reports pass between the threads in memory that is used again and again.
  it.each(['float32', 'float64'] as const)('in %s keeps the loss of every one of many steps', async (precision) => {
    const steps = 60_001;
    const body = { ...job, network: { ...network, precision }, epochs: steps, batch_size: 4 };
    const done = await train(running, body);
    expect(done).toMatchObject({ state: 'succeeded', progress: { step: steps } });
    const kept: number[] = [];
    while (kept.length < steps) {
      const page = `?resolution=step&from=${kept.length + 1}&to=${kept.length + 10_000}&max_points=10000`;
      const { body: history } = await running.request.get(`${done.urls.loss_history}${page}`).expect(200);
      expect(history).toMatchObject({ sampled: false });
      kept.push(...history.series.loss);
    }
    const wanted = undisturbedLosses(done);
    expect(kept.findIndex((loss, i) => !Object.is(loss, wanted[i]))).toBe(-1);
    expect(kept).toHaveLength(wanted.length);
  });

  it('goes from a stored network over a job to a history, parameters and predictions', async () => {
    const created = await running.request.post('/v1/networks').send(network).expect(201);
    const queued = await running.request
      .post('/v1/jobs')
      .send({ ...jobExamples.xor, network: undefined, network_id: created.body.id })
      .expect(201);
    expect(queued.headers.location).toBe(queued.body.urls.self);
    expect(queued.body).toMatchObject({ state: 'queued', network_id: created.body.id, progress: { step: 0 } });
    for await (const { event } of follow(running, queued.body.id)) if (event === 'end') break;
    const { body: done } = await running.request.get(queued.headers.location!).expect(200);
    expect(done).toMatchObject({
      state: 'succeeded',
      stop_reason: 'completed',
      progress: { epoch: 300, epochs: 300, step: 300, steps: 300, fraction: 1, eta: null },
      allowed_actions: [],
      error: null,
    });
    expect(done.transitions.map(({ state }: { state: string }) => state)).toEqual(['queued', 'running', 'succeeded']);

    const { body: history } = await running.request.get(done.urls.loss_history).expect(200);
    expect(history).toMatchObject({ resolution: 'epoch', total_points: 300, returned_points: 300, sampled: false });
    expect(history.series.loss[299]).toBe(done.latest.loss);
    expect(history.series.loss[299]).toBeLessThan(history.series.loss[0]);

    const { body: parameters } = await running.request.get(done.urls.parameters).expect(200);
    expect(parameters).toMatchObject({ step: 300, sha256: done.parameters_sha256 });
    expect(parameters.layers.map((layer: { weights: number[][] }) => layer.weights.length)).toEqual([4, 1]);

    const { body: predicted } = await running.request.post(done.urls.predict).send({ inputs: xor.inputs }).expect(200);
    expect(predicted.outputs).toHaveLength(4);
    expect(predicted.labels).toEqual(predicted.outputs.map(([output]: number[]) => (output! >= 0.5 ? 1 : 0)));

    const { body: judged } = await running.request.post(done.urls.evaluate).send({ data: xor }).expect(200);
    expect(judged.rows).toBe(4);
    expect(judged.confusion_matrix.matrix.flat().reduce((a: number, b: number) => a + b)).toBe(4);
  });

  it('takes one request with Prefer: wait, and says how long it waited at most', async () => {
    const answer = await running.request.post('/v1/jobs').set('Prefer', 'wait=30').send(job).expect(201);
    expect(answer.headers['preference-applied']).toBe('wait=30');
    expect(answer.body).toMatchObject({ state: 'succeeded', progress: { fraction: 1 } });
  });

  it.each(Object.entries(jobExamples))('works with the documented example %s', async (_name, example) => {
    expect(await train(running, example)).toMatchObject({ state: 'succeeded' });
  });

  it('measures validation and metrics, stops early and restores the best model', async () => {
    const done = await train(running, {
      ...job,
      epochs: 500,
      validation: { data: { inputs: xor.inputs, targets: [[1], [0], [0], [1]] } },
      early_stopping: { patience: 2 },
      metrics: ['accuracy'],
    });
    expect(done).toMatchObject({
      state: 'succeeded',
      stop_reason: 'early_stopping',
      best: { monitor: 'validation_loss' },
    });
    const { body } = await running.request.get(done.urls.loss_history);
    expect(Object.keys(body.series)).toEqual(['loss', 'validation_loss', 'accuracy', 'learning_rate']);
    const { body: parameters } = await running.request.get(done.urls.parameters);
    expect(parameters.step).toBe(done.best!.step);
    const { body: last } = await running.request.get(`${done.urls.parameters}?step=${done.progress.step}`).expect(200);
    expect(last.sha256).not.toBe(parameters.sha256);
  });

  it('gives the same bytes and hashes for the same request', async () => {
    const [first, second] = [await train(running, job), await train(running, { ...job, metadata: { again: true } })];
    expect(second.parameters_sha256).toBe(first.parameters_sha256);
    expect(second.run_sha256).toBe(first.run_sha256);
    const other = await train(running, { ...job, seed: 4 });
    expect(other.parameters_sha256).not.toBe(first.parameters_sha256);
    expect(other.run_sha256).not.toBe(first.run_sha256);
  });

  it('starts from the parameters of another job', async () => {
    const first = await train(running, job);
    const { body } = await running.request.get(first.urls.parameters);
    const [byId, byValue] = [
      await train(running, { ...job, initial_parameters: { job_id: first.id } }),
      await train(running, { ...job, initial_parameters: { layers: body.layers } }),
    ];
    expect(byId.parameters_sha256).toBe(byValue.parameters_sha256);
    expect(byId.parameters_sha256).not.toBe(first.parameters_sha256);
    // Where the same numbers came from does not make it another run.
    expect(byId.run_sha256).toBe(byValue.run_sha256);
    expect(byId.run_sha256).not.toBe(first.run_sha256);
  });

  it('marks a job that trains with a bug in every answer about its numbers', async () => {
    const done = await train(running, { ...job, simulate_bug: 'wrong_sign' });
    const { body: history } = await running.request.get(done.urls.loss_history);
    const { body: parameters } = await running.request.get(done.urls.parameters);
    const { body: predicted } = await running.request.post(done.urls.predict).send({ inputs: [[0, 1]] });
    const { body: judged } = await running.request.post(done.urls.evaluate).send({ data: xor });
    const { body: listed } = await running.request.get('/v1/jobs?limit=1');
    const answers = [done, history, parameters, predicted, judged, listed.data[0]];
    expect(answers.map((answer) => answer.simulate_bug)).toEqual(answers.map(() => 'wrong_sign'));
  });
});

describe('numbers that leave the finite range', () => {
  const wide = { input_size: 1, layers: [{ units: 1 }], loss: 'mean_squared_error', precision: 'float64' };
  const exploding = { network: wide, data: { inputs: [[1e200]], targets: [[1]] }, epochs: 10, batch_size: 1 };

  it('end the job with the step, quantity and layer, and every GET still answers 200', async () => {
    const done = await train(running, exploding);
    expect(done).toMatchObject({ state: 'failed', stop_reason: 'diverged', error: { code: 'diverged', step: 1 } });
    for (const path of [
      '',
      '/loss-history',
      '/loss-history?resolution=step',
      '/parameters',
      '/checkpoints',
      '/events',
    ]) {
      const answer = await running.request.get(`/v1/jobs/${done.id}${path}`);
      expect([path, answer.status]).toEqual([path, 200]);
    }
    expect((await running.request.get('/v1/jobs')).status).toBe(200);
  });

  it('stand in the history as strings', async () => {
    const done = await train(running, exploding);
    const { body } = await running.request.get(`${done.urls.loss_history}?resolution=step`);
    expect(body.series.loss).toEqual(['Infinity']);
    const { text } = await running.request.get(`${done.urls.loss_history}?resolution=step`).set('Accept', 'text/csv');
    expect(text).toMatch(/^epoch,step,loss,learning_rate\n1,1,Infinity,/);
  });
});

describe('actions', () => {
  it('pause a job within its step, resume it, and end with the bytes of an undisturbed run', async () => {
    const undisturbed = await train(running, long);
    const { id, urls } = await submit(running, long);
    await untilState(running, id, 'running');
    const paused = await running.request.post(`${urls.self}/pause`);
    // A job that was faster than the pause has ended: both must give the same bytes.
    if (paused.status === 200) {
      await untilState(running, id, 'paused');
      await running.request.post(`${urls.self}/pause`).expect(200);
      const { body: resumed } = await running.request.post(`${urls.self}/resume`).expect(200);
      expect(['queued', 'running']).toContain(resumed.state);
    }
    for await (const { event } of follow(running, id)) if (event === 'end') break;
    const { body: done } = await running.request.get(urls.self);
    expect(done).toMatchObject({ state: 'succeeded', parameters_sha256: undisturbed.parameters_sha256 });
    const histories = await Promise.all(
      [undisturbed, done].map(({ urls: { loss_history } }) => running.request.get(`${loss_history}?max_points=10000`)),
    );
    expect(histories[1]!.body).toEqual(histories[0]!.body);
  });

  it('stop a running job and keep its model as a success', async () => {
    const { id, urls } = await submit(running, endless);
    await untilProgress(running, id);
    await running.request.post(`${urls.self}/stop`).expect(200);
    await untilState(running, id, 'succeeded');
    const { body } = await running.request.get(urls.self);
    expect(body).toMatchObject({ stop_reason: 'stopped', allowed_actions: [] });
    const { body: history } = await running.request.get(`${urls.loss_history}?resolution=step`);
    expect(history.total_points).toBe(body.progress.step);
    await running.request.post(`${urls.self}/stop`).expect(200);
  });

  it('cancel a running job, a queued one and a paused one', async () => {
    const first = await submit(running, endless);
    const second = await submit(running, endless);
    await untilState(running, first.id, 'running');
    const { body: cancelled } = await running.request.post(`${second.urls.self}/cancel`).expect(200);
    expect(cancelled).toMatchObject({ state: 'cancelled', stop_reason: 'cancelled', progress: { step: 0 } });
    await running.request.post(`${first.urls.self}/pause`).expect(200);
    await untilState(running, first.id, 'paused');
    await running.request.post(`${first.urls.self}/cancel`).expect(200);
    const third = await submit(running, endless);
    await untilProgress(running, third.id);
    await running.request.post(`${third.urls.self}/cancel`).expect(200);
    await untilState(running, third.id, 'cancelled');
    const states = await Promise.all(
      [first, third].map(async ({ urls }) => (await running.request.get(urls.self)).body),
    );
    expect(states.map(({ state, stop_reason }) => [state, stop_reason])).toEqual([
      ['cancelled', 'cancelled'],
      ['cancelled', 'cancelled'],
    ]);
  });

  it('stop a paused job with the model of its last checkpoint', async () => {
    const { id, urls } = await submit(running, endless);
    await untilProgress(running, id);
    await running.request.post(`${urls.self}/pause`).expect(200);
    await untilState(running, id, 'paused');
    const { body } = await running.request.post(`${urls.self}/stop`).expect(200);
    const { body: parameters } = await running.request.get(urls.parameters);
    expect(body).toMatchObject({ state: 'succeeded', stop_reason: 'stopped', parameters_sha256: parameters.sha256 });
  });

  it('in the wrong state are 409 with the state and what can be done instead', async () => {
    const done = await train(running, job);
    const resume = await running.request.post(`${done.urls.self}/resume`).expect(409);
    expect(resume.body).toMatchObject({ code: 'wrong_state', current_state: 'succeeded', allowed_actions: [] });
    const { id, urls } = await submit(running, endless);
    const refused = await running.request.delete(urls.self).expect(409);
    expect(refused.body.allowed_actions).toContain('cancel');
    await untilState(running, id, 'running');
    await running.request.post(`${urls.self}/cancel`).expect(200);
    await untilState(running, id, 'cancelled');
    await running.request.delete(urls.self).expect(204);
    await running.request.get(urls.self).expect(404);
  });
});

describe('a running job', () => {
  it('shows progress, its newest points and predictions while it trains', async () => {
    const { id, urls } = await submit(running, { ...endless, checkpoint: { every_epochs: 100_000 } });
    for await (const { event } of follow(running, id)) if (event === 'checkpoint') break;
    const { body: now } = await running.request.get(urls.self).expect(200);
    expect(now.state).toBe('running');
    expect(now.progress.samples_per_second).toBeGreaterThan(0);
    expect(Date.parse(now.progress.eta)).toBeGreaterThan(Date.parse(now.started_at));
    const history = await running.request.get(`${urls.loss_history}?resolution=step&max_points=20`).expect(200);
    expect(history.body.total_points).toBeGreaterThan(0);
    expect(history.headers.etag).toBeUndefined();
    const { body: predicted } = await running.request
      .post(urls.predict)
      .send({ inputs: [[0, 1]] })
      .expect(200);
    expect(predicted.step).toBeGreaterThan(0);
    await running.request.post(`${urls.self}/cancel`).expect(200);
    await untilState(running, id, 'cancelled');
  });

  it('has no parameters before its first checkpoint: 409, not an empty answer', async () => {
    const first = await submit(running, endless);
    const second = await submit(running, endless);
    const answer = await running.request.get(second.urls.parameters).expect(409);
    expect(answer.body).toMatchObject({ code: 'wrong_state', current_state: 'queued' });
    for (const { urls } of [second, first]) await running.request.post(`${urls.self}/cancel`).expect(200);
    await untilState(running, first.id, 'cancelled');
  });

  it('fills the queue: the next one is 429 with Retry-After, and leaves nothing behind', async () => {
    const jobs = [await submit(running, endless)];
    await untilState(running, jobs[0]!.id, 'running');
    for (let i = 0; i < 3; i++) jobs.push(await submit(running, endless));
    const refused = await running.request.post('/v1/jobs').send(endless).expect(429);
    expect(refused.headers['retry-after']).toBe('5');
    expect(refused.body.limit).toEqual({ name: 'max_queue', value: 3 });
    const { body } = await running.request.get('/v1/jobs?state=queued');
    expect(body.data).toHaveLength(3);
    for (const { urls } of jobs.reverse()) await running.request.post(`${urls.self}/cancel`).expect(200);
    await untilState(running, jobs.at(-1)!.id, 'cancelled');
  });
});

describe('the queue', () => {
  it('takes the highest priority first, and equals in order of arrival', async () => {
    const first = await submit(running, endless);
    await untilState(running, first.id, 'running');
    const waiting = [
      await submit(running, { ...job, priority: 0 }),
      await submit(running, { ...job, priority: 5 }),
      await submit(running, { ...job, priority: 0 }),
    ];
    await running.request.post(`${first.urls.self}/cancel`).expect(200);
    for (const { id } of waiting) for await (const { event } of follow(running, id)) if (event === 'end') break;
    const done = await Promise.all(waiting.map(async ({ urls }) => (await running.request.get(urls.self)).body));
    const order = [1, 0, 2].map((i) => Date.parse(done[i].started_at));
    expect(order).toEqual(order.toSorted((a, b) => a - b));
    expect(done[1].started_at < done[0].started_at).toBe(true);
  });
});
