import { describe, expect, it } from 'vitest';
import { stepView } from '../../src/schemas/step.ts';
import { stepExamples } from '../../src/schemas/step-answers.ts';
import { useApp } from '../support/app.ts';
import { endless, follow, job, network, submit, train, untilState, xor } from '../support/jobs.ts';

const running = useApp();

/** Everything that reaches the numbers of a step, in the back end's own arithmetic: compiled, float32, fused. */
const rich = {
  network: {
    input_size: 2,
    layers: [
      { units: 8, activation: 'relu', batch_norm: true, dropout: 0.25, l2: 0.01 },
      { units: 1, activation: 'sigmoid' },
    ],
    loss: 'binary_cross_entropy',
  },
  data: xor,
  epochs: 40,
  batch_size: 3,
  seed: 11,
  optimizer: { name: 'adam', learning_rate: 0.05 },
  learning_rate_schedule: { name: 'reduce_on_plateau', patience: 2, factor: 0.5 },
  clip_gradients: { max_norm: 0.1 },
  checkpoint: { every_epochs: 10 },
};

const explain = (id: string, step: number, query = '') => running.request.get(`/v1/jobs/${id}/steps/${step}${query}`);

describe('explaining a step', () => {
  it('replays it to the last bit from the nearest checkpoint, dropout, normalisation, moments and plateaus included', async () => {
    const { id } = await train(running, rich);
    const { body } = await explain(id, 57).expect(200);
    stepView.parse(body);
    // Two steps an epoch: the checkpoint of epoch 20 has 40 steps behind it.
    expect(body).toMatchObject({ step: 57, epoch: 29, batch: 1 });
    expect(body.replay).toEqual({ from_step: 40, steps: 17, compared: 17, bit_identical: true });
    const history = await running.request.get(`/v1/jobs/${id}/loss-history?resolution=step&from=57&to=57`);
    expect(body.loss).toBe(history.body.series.loss[0]);
    expect(body.learning_rate).toBe(history.body.series.learning_rate[0]);
    expect(body.rows).toHaveLength(3);
    expect(body.clipping.factor).toBe(Math.min(1, 0.1 / (body.gradient_norm + 1e-6)));
  });

  it('starts and ends the step with the parameters of the run', async () => {
    const { id } = await train(running, rich);
    const at = async (step: number) =>
      (await running.request.get(`/v1/jobs/${id}/parameters?step=${step}`)).body.layers;
    const { body } = await explain(id, 20, '?include=parameters,updates').expect(200);
    const after = await at(20);
    const weights = (layers: readonly { readonly weights: number[][] }[]) =>
      layers.flatMap((layer) => layer.weights.flat());
    const [before, updates] = [weights(body.parameters.layers), weights(body.updates.layers)];
    // Both are float32 of like size, so that their sum in float64 is exact.
    expect(before.map((w, i) => w + updates[i])).toEqual(weights(after));
    expect(body.layers[0].tensors[0].update_ratio).toBeGreaterThan(0);
  });

  it('has the tensors of POST /v1/gradients, under the same names', async () => {
    const { id } = await train(running, { ...job, epochs: 3 });
    const include = ['pre_activations', 'activations', 'deltas', 'input_gradients'];
    const { body } = await explain(id, 4, `?include=parameters,gradients,${include.join(',')}`).expect(200);
    const data = {
      inputs: body.rows.map((row: number) => xor.inputs[row]),
      targets: body.rows.map((row: number) => xor.targets[row]),
    };
    const exercise = { network, parameters: body.parameters, data, include };
    const truth = (await running.request.post('/v1/gradients').send(exercise).expect(200)).body;
    for (const name of [...include, 'gradients']) expect(body[name]).toEqual(truth[name]);
    expect(body.gradient_norm).toBe(truth.global_norm);
  });

  it('shows the step that was not carried out, with the gradients that the run used', async () => {
    const failed = await train(running, {
      ...job,
      network: { ...network, loss: 'mean_squared_error', layers: [{ units: 3 }, { units: 1 }] },
      optimizer: { name: 'sgd', learning_rate: 1e200 },
    });
    expect(failed.stop_reason).toBe('diverged');
    const step = Number(failed.error?.step);
    const { body } = await explain(failed.id, step).expect(200);
    stepView.parse(body);
    expect(body.error).toEqual(failed.error);
    expect(body.layers[0].tensors[0].updates).toBeNull();
    expect(
      body.layers.some((layer: { pre_activations: { non_finite: number } }) => layer.pre_activations.non_finite > 0),
    ).toBe(true);
    await explain(failed.id, step + 1).expect(404);
  });

  it('writes the step as a derivation to be followed by hand', async () => {
    const { id } = await train(running, { ...job, epochs: 2 });
    const { headers, text } = await explain(id, 3).set('accept', 'text/markdown').expect(200);
    expect(headers['content-type']).toContain('text/markdown');
    expect(text).toContain('# Step 3: epoch 2, batch 1');
    expect(text).toContain('δ1 = (W2ᵀ·δ2) ∘ f1′(z1)');
    expect(text).toContain('The learning rate of the step is 0.5.');
  });

  it('answers the second time with the same bytes, and says so', async () => {
    const { id } = await train(running, { ...job, epochs: 2 });
    const first = await explain(id, 4, '?include=deltas').expect(200);
    const second = await explain(id, 4, '?include=deltas').expect(200);
    expect(second.text).toBe(first.text);
    await explain(id, 4, '?include=deltas').set('If-None-Match', first.headers.etag!).expect(304);
  });

  it('marks the numbers of a simulated bug', async () => {
    const { id } = await train(running, { ...job, epochs: 1, simulate_bug: 'wrong_sign' });
    const wrong = await explain(id, 1, '?include=gradients').expect(200);
    const honest = await train(running, { ...job, epochs: 1 });
    const right = await explain(honest.id, 1, '?include=gradients').expect(200);
    expect(wrong.body.simulate_bug).toBe('wrong_sign');
    const weights = ({ body }: typeof right): number[][] => body.gradients.layers[0].weights;
    expect(weights(wrong)).toEqual(weights(right).map((row) => row.map((g) => -g)));
  });

  it('names what can be included, and refuses steps that there are not', async () => {
    const { id } = await train(running, { ...job, epochs: 1 });
    const { body } = await explain(id, 1, '?include=nonsense').expect(422);
    expect(body.errors[0].allowed).toContain('pre_activations');
    expect((await explain(id, 3).expect(404)).body.detail).toBe('There is no step 3; there are 1 to 2.');
    await explain(id, 0).expect(404);
  });

  it('is refused with the reason when the data set of the job has been deleted', async () => {
    const dataset = await running.request.post('/v1/datasets/generate').send({ kind: 'xor', seed: 1 });
    const { data: _data, ...rest } = { ...job, epochs: 1 };
    const { id } = await train(running, { ...rest, dataset_id: dataset.body.id });
    await running.request.delete(`/v1/datasets/${dataset.body.id}`).expect(204);
    const { body } = await explain(id, 1).expect(409);
    expect(body).toMatchObject({ code: 'cannot_replay', detail: expect.stringContaining(dataset.body.id) });
  });

  it('knows the changes of the learning rate that were asked for under way', async () => {
    const { id } = await submit(running, endless);
    await untilState(running, id, 'running');
    await running.request.patch(`/v1/jobs/${id}`).send({ learning_rate: 0.25 }).expect(200);
    let first = 0;
    for await (const { event, data } of follow(running, id)) {
      if (event !== 'learning_rate_changed') continue;
      first = data.step;
      break;
    }
    await running.request.post(`/v1/jobs/${id}/stop`).expect(200);
    await untilState(running, id, 'succeeded');
    const rate = async (step: number) => {
      const { body } = await explain(id, step).expect(200);
      expect(body.replay.bit_identical).toBe(true);
      return body.learning_rate;
    };
    expect(await rate(first)).toBe(0.25);
    if (first > 1) expect(await rate(first - 1)).toBe(endless.optimizer.learning_rate);
  });

  it('is possible while every worker trains, but not for the job that does', async () => {
    const { id } = await train(running, { ...job, epochs: 5 });
    const busy = await submit(running, endless);
    await untilState(running, busy.id, 'running');
    await explain(id, 10).expect(200);
    const refused = await explain(busy.id, 1).expect(409);
    expect(refused.body).toMatchObject({ code: 'wrong_state', current_state: 'running' });
    await running.request.post(`/v1/jobs/${busy.id}/cancel`);
  });

  it('is documented with an answer that fits the schema', () => {
    expect(Object.keys(stepExamples)).not.toEqual([]);
    for (const example of Object.values(stepExamples)) stepView.parse(example);
  });
});

describe('a service that may train little again', () => {
  const bounded = useApp({ MAX_REPLAY_WORK: '100000' });

  it('refuses what takes longer, and says what can be reached', async () => {
    const { id } = await train(bounded, { ...job, epochs: 200, checkpoint: { every_epochs: 199 } });
    // 17 parameters and 5 units at 30: 167 · 3 · 2 rows = 1002 multiply-adds a step.
    const { body } = await bounded.request.get(`/v1/jobs/${id}/steps/150`).expect(422);
    expect(body.errors[0].limit).toEqual({ name: 'max_replay_work', value: 100_000, estimate: 150 * 1002 });
    expect(body.detail).toContain('reaches to step 99');
    const near = await bounded.request.get(`/v1/jobs/${id}/steps/400`).expect(200);
    expect(near.body.replay).toMatchObject({ from_step: 398, bit_identical: true });
  });
});
