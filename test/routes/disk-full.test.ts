import { join } from 'node:path';
import type { Test } from 'supertest';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Faults } from '../../scripts/storage-faults/faults.ts';
import { type StartedApp, startApp } from '../support/app.ts';
import { endless, follow, job, long, network, submit, train, untilProgress, untilState } from '../support/jobs.ts';

/** Saved often enough that a full disk is met soon. */
const saved = { ...long, epochs: 6_000, checkpoint: { every_epochs: 100 } };

/** There is room as soon as the service has looked. */
async function untilAccepted(send: () => Test): Promise<void> {
  let status = 507;
  while (status === 507) ({ status } = await send());
  expect(status).toBe(201);
}

describe('a full disk', () => {
  let faults: Faults;
  let running: StartedApp;

  beforeEach(async () => {
    faults = new Faults();
    running = await startApp({}, { foundation: faults.foundation, storage_retry_ms: 20 });
    faults.blobs = join(running.config.dataDir, 'blobs');
  });

  afterEach(async () => {
    await running.stop();
    running.remove();
  });

  const self = (id: string) => `/v1/jobs/${id}`;
  const lastTransitions = async (id: string, count: number) => {
    const { body } = await running.request.get(self(id)).expect(200);
    return body.transitions.slice(-count).map(({ state, reason }: Record<string, string>) => [state, reason]);
  };

  it('is told by 507 to whatever wants to be kept, keeps nothing of it, and leaves reading alone', async () => {
    const { id } = await train(running, job);
    faults.fill();
    // A look at the queue may meet the full disk first: a network that is under way then is stored on the reserve.
    let stored = 0;
    while ((await running.request.post('/v1/networks').send(network)).status === 201) stored += 1;
    expect(stored).toBeLessThan(2);
    const refused = [
      () => running.request.post('/v1/networks').send(network),
      () => running.request.post('/v1/jobs').set('Idempotency-Key', 'a').send(job),
      () => running.request.post('/v1/datasets').set('Content-Type', 'text/csv').send('a,b\n1,2\n3,4\n'),
      () => running.request.post('/v1/datasets/generate').send({ kind: 'xor', rows: 10, seed: 1 }),
    ];
    for (const send of refused) {
      const { status, headers, body } = await send();
      expect([status, headers['content-type'], headers['retry-after']]).toEqual([
        507,
        'application/problem+json',
        '60',
      ]);
      expect(body).toMatchObject({ code: 'insufficient_storage', detail: 'The disk of the service is full.' });
    }
    for (const path of [self(id), `${self(id)}/loss-history`, `${self(id)}/parameters`, '/v1/jobs', '/readyz']) {
      await running.request.get(path).expect(200);
    }
    expect((await running.request.get('/v1/networks').expect(200)).body.data).toHaveLength(stored);
    expect((await running.request.get('/v1/datasets').expect(200)).body.data).toEqual([]);
    expect((await running.request.get('/v1/jobs').expect(200)).body.data).toHaveLength(1);
    faults.makeRoom();
    for (const send of refused) {
      await untilAccepted(send);
    }
  });

  it('lets running jobs rest, and go on by themselves to the bytes of an undisturbed run when there is room', async () => {
    const undisturbed = await train(running, saved);
    const { id } = await submit(running, saved);
    await untilProgress(running, id);
    faults.fill();
    await untilState(running, id, 'paused');
    expect(await lastTransitions(id, 1)).toEqual([['paused', 'storage_full']]);
    expect((await running.request.get(self(id))).body).toMatchObject({ state: 'paused', error: null });
    faults.makeRoom();
    for await (const { event } of follow(running, id)) if (event === 'end') break;
    expect(await lastTransitions(id, 3)).toEqual([
      ['queued', 'storage_has_room'],
      ['running', null],
      ['succeeded', 'completed'],
    ]);
    const { body } = await running.request.get(self(id));
    expect(body.parameters_sha256).toBe(undisturbed.parameters_sha256);
  });

  it('does not keep anybody from pausing, cancelling and deleting', async () => {
    const { id: done } = await train(running, job);
    const { id: first } = await submit(running, { ...endless, checkpoint: { every_epochs: 100 } });
    await untilProgress(running, first);
    const { id: waiting } = await submit(running, job);
    faults.fill();
    await untilState(running, first, 'paused');
    await running.request.post(`${self(first)}/pause`).expect(200);
    await running.request.post(`${self(waiting)}/cancel`).expect(200);
    await running.request.delete(self(done)).expect(204);
    faults.makeRoom();
    await untilAccepted(() => running.request.post('/v1/jobs').send(job));
    // One that nobody has paused would have gone on before a new one is taken in.
    expect(await lastTransitions(first, 1)).toEqual([['paused', 'pause']]);
    expect((await running.request.get(self(waiting))).body.state).toBe('cancelled');
    await running.request.post(`${self(first)}/resume`).expect(200);
    await untilState(running, first, 'running');
  });

  it('is not forgotten over a restart: who had to rest goes on', async () => {
    const { id } = await submit(running, saved);
    await untilProgress(running, id);
    faults.fill();
    await untilState(running, id, 'paused');
    await running.stop();
    faults.makeRoom();
    running = await startApp({ DATA_DIR: running.config.dataDir }, { storage_retry_ms: 20 });
    for await (const { event } of follow(running, id)) if (event === 'end') break;
    expect(await lastTransitions(id, 1)).toEqual([['succeeded', 'completed']]);
  });
});
