import { describe, expect, it } from 'vitest';
import { useApp } from '../support/app.ts';
import { job, train } from '../support/jobs.ts';

const running = useApp();

describe('a kept checkpoint', () => {
  it('has the parameters of its step: those of a job that ends there', async () => {
    const done = await train(running, { ...job, epochs: 20, checkpoint: { every_epochs: 5 } });
    const { body } = await running.request.get(done.urls.checkpoints).expect(200);
    const kept = body.data as { epoch: number; step: number; parameters_url: string }[];
    expect(kept.map(({ epoch }) => epoch)).toEqual([20, 15, 10, 5]);
    for (const { epoch, step, parameters_url } of kept) {
      const parameters = (await running.request.get(parameters_url).expect(200)).body;
      const shorter = await train(running, { ...job, epochs: epoch });
      expect([parameters.step, parameters.sha256]).toEqual([step, shorter.parameters_sha256]);
    }
  });

  it('of the best epoch stays, however many come after it', async () => {
    // Held-out rows that contradict the others: what is learned makes them worse from early on.
    const contrary = { data: { inputs: job.data.inputs, targets: [[1], [0], [0], [1]] } };
    const done = await train(running, {
      ...job,
      epochs: 400,
      checkpoint: { every_epochs: 1 },
      validation: contrary,
      early_stopping: { patience: 400, restore_best: false },
    });
    const { step, epoch } = done.best!;
    expect(epoch).toBeLessThan(390);
    const { body } = await running.request.get(done.urls.checkpoints).expect(200);
    expect(body.data).toContainEqual(expect.objectContaining({ step, epoch }));
    expect(body.data.length).toBeLessThan(80);
    await running.request.get(`${done.urls.parameters}?step=${step}`).expect(200);
  });
});
