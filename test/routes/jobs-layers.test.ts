import { describe, expect, it } from 'vitest';
import { useApp } from '../support/app.ts';
import { job, train } from '../support/jobs.ts';

const running = useApp({ MAX_WORKERS: '1' });

const layersOf = async (path: string) => (await running.request.get(path).expect(200)).body;

/** The second feature is 1 in every row. */
const constant = {
  ...job,
  data: {
    inputs: [
      [0, 1],
      [0.5, 1],
      [1, 1],
    ],
    targets: [[0], [1], [1]],
  },
};

describe('the layers of a job', () => {
  it('are shown over time, column by column', async () => {
    const { id, urls } = await train(running, job);
    const { job_id, step, epoch, rows, layers } = await layersOf(urls.layers);
    expect(job_id).toBe(id);
    expect(step.slice(0, 4)).toEqual([1, 2, 3, 4]);
    expect(step.at(-1)).toBe(40);
    expect(epoch.at(-1)).toBe(20);
    expect(new Set(rows)).toEqual(new Set([2]));
    expect(layers).toMatchObject([
      { layer: 1, units: 4, activation: 'tanh', dead_fraction: null },
      { layer: 2, units: 1, activation: 'sigmoid', dead_fraction: null },
    ]);
    for (const layer of layers) {
      const { update_ratio, saturated_fraction, weights, gradients, updates, activations } = layer;
      const tensors = [weights, gradients, updates, activations].flatMap(Object.values);
      for (const column of [update_ratio, saturated_fraction, ...tensors]) expect(column).toHaveLength(step.length);
      // Plain SGD at a rate of 0.5, in float64 on all rows of the batch: the update is half the gradient, but for rounding.
      const [size, half] = [updates.abs_max[0], gradients.abs_max[0] / 2];
      expect(Math.abs(size - half)).toBeLessThanOrEqual(1e-12 * half);
    }
  });

  it('can be read one by one, and say which there are', async () => {
    const { urls } = await train(running, job);
    const all = await layersOf(urls.layers);
    expect(await layersOf(`${urls.layers}?layer=2`)).toEqual({ ...all, layers: [all.layers[1]] });
    const { body } = await running.request.get(`${urls.layers}?layer=3`).expect(404);
    expect(body.detail).toContain('layers 1 to 2');
  });

  it('keep their entity tag once the job has ended', async () => {
    const { urls } = await train(running, job);
    const { headers } = await running.request.get(urls.layers).expect(200);
    const again = await running.request.get(urls.layers).set('If-None-Match', headers.etag!);
    expect(again.status).toBe(304);
  });

  it('are not looked at when the job says so, which changes nothing of what it learns', async () => {
    const seen = await train(running, job);
    const unseen = await train(running, { ...constant, ...job, statistics: false });
    const { step, layers } = await layersOf(unseen.urls.layers);
    expect([step, layers[0].update_ratio, layers[0].weights.abs_max]).toEqual([[], null, []]);
    expect(unseen.parameters_sha256).toBe(seen.parameters_sha256);
    expect(unseen.run_sha256).toBe(seen.run_sha256);
  });
});

describe('what a job is warned of', () => {
  it('stands in the job and in its events, with the numbers', async () => {
    const { warnings, urls } = await train(running, constant);
    const expected = { code: 'constant_features', level: 'info', step: 0, evidence: { features: 1, first: 1 } };
    expect(warnings).toMatchObject([expected]);
    const { body: events } = await running.request.get(urls.events).expect(200);
    const told = events.data.filter(({ type }: { type: string }) => type === 'warning');
    expect(told).toMatchObject([{ data: expected }]);
    expect(told[0].data).toEqual(warnings[0]);
  });

  it('is told before it runs with a patch that fits its body', async () => {
    const network = { ...job.network, layers: [{ units: 1, activation: 'relu' }], loss: 'mean_squared_error' };
    const { warnings } = await train(running, { ...job, network });
    expect(warnings[0]).toMatchObject({
      code: 'relu_on_output',
      level: 'warning',
      pointer: '/network/layers/0/activation',
      patch: [{ op: 'add', path: '/network/layers/0/activation', value: 'linear' }],
    });
  });
});
