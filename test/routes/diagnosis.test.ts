import { describe, expect, it } from 'vitest';
import { diagnosisView } from '../../src/schemas/diagnosis.ts';
import { diagnosisExamples } from '../../src/schemas/diagnosis-answers.ts';
import { type Ailing, ailing } from '../support/ailing-jobs.ts';
import { type RunningApp, useApp } from '../support/app.ts';
import { endless, job, submit, train, untilState } from '../support/jobs.ts';

const running = useApp();

const diagnose = async ({ request }: RunningApp, id: string) =>
  (await request.get(`/v1/jobs/${id}/diagnosis`).expect(200)).body;
const example = (what: string): Ailing => ailing.find((entry) => entry.what === what)!;
// biome-ignore lint/suspicious/noExplicitAny: an answer's JSON; the schema has checked it.
const succeeded = (fixes: any[]) => fixes.filter((fix) => fix.succeeded);

describe('the diagnosis of a job with', () => {
  it.each(ailing.map((entry) => [entry.what, entry] as const))('%s', async (_what, { body, verdict, cause }) => {
    const { id } = await train(running, body);
    const found = await diagnose(running, id);
    diagnosisView.parse(found);
    expect({ verdict: found.verdict, cause: found.cause?.code ?? null }).toEqual({ verdict, cause });
    if (verdict === 'healthy') return expect(found.fixes).toEqual([]);
    // Null where the job ended before its first loss.
    expect(found.replay.bit_identical).not.toBe(false);
    expect(found.fixes.length).toBeGreaterThan(0);
    // A fix that is said to have helped comes first.
    const order = found.fixes.map((fix: { succeeded: boolean }) => fix.succeeded);
    expect(order).toEqual(order.toSorted().toReversed());
    if (cause !== 'undetermined') expect(order[0]).toBe(true);
  });
});

describe('a diagnosis', () => {
  it('names the first value that was not finite, with its row, and the frames before it', async () => {
    const failed = await train(
      running,
      example('inputs of the size of thousands, at a rate too high for scaled ones').body,
    );
    const { failure, frames, growth } = await diagnose(running, failed.id);
    expect(failure).toMatchObject({
      step: failed.error!.step,
      quantity: 'pre_activation',
      layer: 2,
      unit: 0,
      learning_rate: 0.5,
    });
    expect([0, 1, 2]).toContain(failure.row);
    expect(frames.at(-1).step).toBe(failure.step);
    expect(['Infinity', '-Infinity', 'NaN']).toContain(frames.at(-1).layers[1].pre_activations);
    expect(growth.loss).toBeGreaterThan(1e6);
  });

  it('has the twenty frames before a slow end, which grow as the curvature says', async () => {
    const failed = await train(running, example('a learning rate just above the bound').body);
    const { frames, growth, curvature, failure } = await diagnose(running, failed.id);
    expect(frames.map(({ step }: { step: number }) => step)).toEqual(
      Array.from({ length: 20 }, (_, i) => failure.step - 19 + i),
    );
    expect(curvature.learning_rate_bound).toBeLessThan(1.6);
    // Along the steepest direction a step multiplies the distance by |1 − η·λ| and so the gradient; power iteration stops at 1e-3.
    const factor = Math.abs(1 - 1.6 * curvature.largest);
    expect(Math.abs(growth.gradients / factor - 1)).toBeLessThan(1e-2);
  });

  it('says whether float64 would have stayed finite', async () => {
    const narrow = await train(running, example('numbers that overflow float32 only').body);
    expect((await diagnose(running, narrow.id)).float64).toMatchObject({ finite: true });
    const wide = await train(running, example('a learning rate that is absurdly high').body);
    const { float64 } = await diagnose(running, wide.id);
    expect(float64.finite).toBe(false);
    expect(float64.sentence).toContain('not finite at step');
  });

  it('finds the bug by auditing the gradients, says the line and its mending, and that right gradients train', async () => {
    const { id, error } = await train(running, example('the bug derivative_on_pre_activation').body);
    expect(error).toMatchObject({ code: 'diverged' });
    const { cause, fixes } = await diagnose(running, id);
    expect(cause.evidence.bug).toBe('derivative_on_pre_activation');
    expect(cause.explanation).toContain('mat * (1 - mat), called with Z');
    expect(cause.explanation).toContain('sigmoid(Z) * (1 - sigmoid(Z))');
    expect(fixes[0]).toMatchObject({ id: 'correct_gradients', succeeded: true, tried: { finite: true, steps: 500 } });
  });

  it('is the same, byte for byte, for the same job', async () => {
    const { body } = example('a sentinel of -999999');
    const texts = [];
    for (let i = 0; i < 2; i++) {
      const { id } = await train(running, body);
      const { text } = await running.request.get(`/v1/jobs/${id}/diagnosis`);
      const again = await running.request.get(`/v1/jobs/${id}/diagnosis`);
      expect(again.text).toBe(text);
      texts.push(text.replaceAll(id, 'job'));
    }
    expect(texts[0]).toBe(texts[1]);
  });

  it('is not made of a job that has not ended', async () => {
    const busy = await submit(running, endless);
    await untilState(running, busy.id, 'running');
    const refused = await running.request.get(`/v1/jobs/${busy.id}/diagnosis`).expect(409);
    expect(refused.body.code).toBe('wrong_state');
    await running.request.post(`/v1/jobs/${busy.id}/cancel`);
    await untilState(running, busy.id, 'cancelled');
    await running.request.get(`/v1/jobs/${busy.id}/diagnosis`).expect(200);
    await running.request.get('/v1/jobs/job_none/diagnosis').expect(404);
  });

  it('of a job that could not be given a worker says so', async () => {
    const busy = await submit(running, endless);
    await untilState(running, busy.id, 'running');
    const late = await submit(running, { ...job, limits: { max_queue_seconds: 0.001 } });
    await untilState(running, late.id, 'failed');
    const found = await diagnose(running, late.id);
    diagnosisView.parse(found);
    expect(found).toMatchObject({ verdict: 'failed', fixes: [] });
    expect(found.summary).toContain('did not fail by its numbers');
    await running.request.post(`/v1/jobs/${busy.id}/cancel`);
  });

  it('is documented with an answer that fits the schema', () => {
    expect(Object.keys(diagnosisExamples)).not.toEqual([]);
    for (const shown of Object.values(diagnosisExamples)) diagnosisView.parse(shown);
  });
});

describe('applying a fix', () => {
  const apply = (id: string, fix: string) =>
    running.request.post(`/v1/jobs/${id}/diagnosis/apply`).set('Prefer', 'wait=30').send({ fix });

  it('forks the job, which then does what the trial has said', async () => {
    const failed = await train(running, example('inputs of the size of a million').body);
    const { fixes } = await diagnose(running, failed.id);
    const [best] = succeeded(fixes);
    const answer = await apply(failed.id, best.id).expect(201);
    expect(answer.headers.location).toBe(`/v1/jobs/${answer.body.id}`);
    expect(answer.body).toMatchObject({ state: 'succeeded', parent: { job_id: failed.id, step: 0, fix: best.id } });
    // 300 steps: the whole of it was tried, and the judged rows are all rows.
    expect(best.tried.steps).toBe(answer.body.progress.steps);
    const measured = await running.request
      .post(`/v1/jobs/${answer.body.id}/evaluate`)
      .send({ data: (example('inputs of the size of a million').body as { data: object }).data });
    // Summed in float32 in another order of rows: 60 rounding errors of 2^-24 each.
    expect(Math.abs(measured.body.loss - best.tried.loss)).toBeLessThan(60 * 2 ** -24 * best.tried.loss);
    expect((await diagnose(running, answer.body.id)).verdict).toBe('healthy');
  });

  it('goes on from the last good checkpoint where there is one', async () => {
    const { body } = example('a learning rate just above the bound');
    const failed = await train(running, {
      ...body,
      optimizer: { name: 'sgd', learning_rate: 0.05 },
      learning_rate_schedule: { name: 'exponential', gamma: 1.05 },
      checkpoint: { every_epochs: 20 },
    });
    expect(failed.stop_reason).toBe('diverged');
    const { fixes, curvature } = await diagnose(running, failed.id);
    const [best] = succeeded(fixes);
    expect(curvature.step).toBeGreaterThan(0);
    expect(best.from_step).toBe(curvature.step);
    const fork = await apply(failed.id, best.id).expect(201);
    expect(fork.body.parent).toEqual({ job_id: failed.id, step: best.from_step, fix: best.id });
    expect(fork.body.request.initial_parameters).toEqual({ job_id: failed.id, step: best.from_step });
  });

  it('keeps data sets, validation, weights and bug marks of the job as they are', async () => {
    const generated = await running.request.post('/v1/datasets/generate').send({ kind: 'seed_question', seed: 3 });
    const { body } = example('the bug wrong_sign');
    const { data: _data, ...options } = body as { data: object };
    const failed = await train(running, {
      ...options,
      dataset_id: generated.body.id,
      validation: { fraction: 0.2 },
      metadata: { team: 'a' },
    });
    const fork = await apply(failed.id, 'correct_gradients').expect(201);
    expect(fork.body).toMatchObject({ dataset_id: generated.body.id, metadata: { team: 'a' }, simulate_bug: null });
    expect(fork.body.request).toMatchObject({ validation: { fraction: 0.2 }, seed: 1, epochs: 50 });
    expect(fork.body.state).toBe('succeeded');
  });

  it('happens once under an idempotency key, and names the fixes that there are', async () => {
    const failed = await train(running, example('inputs of the size of a million').body);
    const send = (fix: string, key: string) =>
      running.request.post(`/v1/jobs/${failed.id}/diagnosis/apply`).set('Idempotency-Key', key).send({ fix });
    const first = await send('standardize_inputs', 'k').expect(201);
    const second = await send('standardize_inputs', 'k').expect(201);
    expect(second.headers['idempotency-replayed']).toBe('true');
    expect(second.text).toBe(first.text);
    await send('clip_gradients', 'k').expect(422);
    const unknown = await send('nonsense', 'other').expect(422);
    expect(unknown.body.errors[0]).toMatchObject({ pointer: '/fix', code: 'unknown_name' });
    expect(unknown.body.errors[0].allowed).toContain('standardize_inputs');
  });
});
