import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import supertest from 'supertest';
import { afterAll, describe, expect, it } from 'vitest';
import type { JobView } from '../../src/schemas/job-view.ts';
import { startApp } from '../support/app.ts';
import {
  endless,
  follow,
  job,
  long,
  network,
  submit,
  train,
  undisturbed as undisturbedSha,
  untilProgress,
  untilState,
} from '../support/jobs.ts';

const directories: string[] = [];

function freshDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'trainyard-restart-'));
  directories.push(directory);
  return directory;
}

afterAll(() => {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
});

/** The service as a process of its own, which can be killed. */
async function spawnServer(
  DATA_DIR: string,
  MAX_WORKERS = '1',
): Promise<{ readonly port: number; kill(): Promise<void> }> {
  const entry = new URL('../../src/server.ts', import.meta.url).pathname;
  const env = { PATH: '', PORT: '0', MAX_WORKERS, DATA_DIR };
  const child = spawn(process.execPath, [entry], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  const ready = Promise.withResolvers<number>();
  let output = '';
  // Read to the end, so that the process never writes into a closed pipe.
  child.stdout.on('data', (chunk) => {
    output += String(chunk);
    const port = /ready on http:\/\/127\.0\.0\.1:(\d+)/.exec(output)?.[1];
    if (port !== undefined) ready.resolve(Number(port));
  });
  child.once('exit', () => ready.reject(new Error(`the service has ended: ${output}`)));
  return { port: await ready.promise, kill: () => killed(child) };
}

async function killed(child: ReturnType<typeof spawn>): Promise<void> {
  const exit = once(child, 'exit');
  child.kill('SIGKILL');
  await exit;
}

/** The statistics of the layers, of which there are some. */
async function layersOf({ request }: Awaited<ReturnType<typeof startApp>>, urls: { readonly layers: string }) {
  const { job_id: _, ...layers } = (await request.get(urls.layers).expect(200)).body;
  expect(layers.step.length).toBeGreaterThan(10);
  return layers;
}

describe('after a restart', () => {
  it('networks, jobs, histories, parameters and idempotency keys are still there', async () => {
    const DATA_DIR = freshDirectory();
    const before = await startApp({ DATA_DIR });
    const { body: stored } = await before.request.post('/v1/networks').send(network);
    const keyed = await before.request.post('/v1/jobs').set('Idempotency-Key', 'k').set('Prefer', 'wait=30').send(job);
    const paths = [
      `/v1/networks/${stored.id}`,
      ...Object.values(keyed.body.urls as Record<string, string>).slice(0, 6),
    ];
    const read = async ({ request }: Pick<typeof before, 'request'>) =>
      Promise.all(paths.map(async (path) => (await request.get(path).expect(200)).body));
    const answers = await read(before);
    await before.stop();
    const after = await startApp({ DATA_DIR });
    expect(await read(after)).toEqual(answers);
    const again = await after.request.post('/v1/jobs').set('Idempotency-Key', 'k').send(job).expect(201);
    expect([again.body.id, again.headers['idempotency-replayed']]).toEqual([keyed.body.id, 'true']);
    await after.stop();
  });

  it('a job that was running goes on by itself, to the bytes and the history of an undisturbed run', async () => {
    const DATA_DIR = freshDirectory();
    const before = await startApp({ DATA_DIR });
    const undisturbed = await train(before, long);
    const { id, urls } = await submit(before, long);
    const waiting = await submit(before, job);
    await untilState(before, id, 'running');
    await before.stop();
    const after = await startApp({ DATA_DIR });
    for await (const { event } of follow(after, waiting.id)) if (event === 'end') break;
    const { body: done } = await after.request.get(urls.self);
    expect(done).toMatchObject({ state: 'succeeded', attempt: 2, parameters_sha256: undisturbed.parameters_sha256 });
    const history = async (path: string) => (await after.request.get(`${path}?resolution=step&max_points=10000`)).body;
    expect(await history(urls.loss_history)).toEqual(await history(undisturbed.urls.loss_history));
    expect(await layersOf(after, urls)).toEqual(await layersOf(after, undisturbed.urls));
    await after.stop();
  });

  it('a paused job is still paused, and can be resumed', async () => {
    const DATA_DIR = freshDirectory();
    const before = await startApp({ DATA_DIR });
    const { id, urls } = await submit(before, endless);
    await untilProgress(before, id);
    await before.request.post(`${urls.self}/pause`).expect(200);
    await untilState(before, id, 'paused');
    const { body: paused } = await before.request.get(urls.self);
    await before.stop();
    const after = await startApp({ DATA_DIR });
    expect((await after.request.get(urls.self)).body).toEqual(paused);
    await after.request.post(`${urls.self}/resume`).expect(200);
    expect((await untilProgress(after, id)).step).toBeGreaterThanOrEqual(paused.progress.step);
    await after.stop();
  });

  it('a job whose process was killed goes on from its last checkpoint, to the bytes and the history of an undisturbed run', async () => {
    const DATA_DIR = freshDirectory();
    const body = { ...long, checkpoint: { every_epochs: 500 } };
    const server = await spawnServer(DATA_DIR);
    const { body: submitted } = await supertest(`http://127.0.0.1:${server.port}`)
      .post('/v1/jobs')
      .send(body)
      .expect(201);
    for await (const { event } of follow(server, submitted.id)) if (event === 'checkpoint') break;
    await server.kill();
    const after = await startApp({ DATA_DIR });
    for await (const { event } of follow(after, submitted.id)) if (event === 'end') break;
    const { body: done } = await after.request.get(submitted.urls.self);
    const undisturbed = await train(after, body);
    expect(done).toMatchObject({ state: 'succeeded', attempt: 2, parameters_sha256: undisturbed.parameters_sha256 });
    const reasons = done.transitions.map(({ state, reason }: Record<string, string>) => [state, reason]);
    expect(reasons[2]).toEqual(['queued', 'restart']);
    const history = async (path: string) => (await after.request.get(`${path}?resolution=step&max_points=10000`)).body;
    expect(await history(done.urls.loss_history)).toEqual(await history(undisturbed.urls.loss_history));
    expect(await layersOf(after, done.urls)).toEqual(await layersOf(after, undisturbed.urls));
    await after.stop();
  });

  it('what a client was told before the process was killed is done: cancel, pause, stop, another learning rate', async () => {
    const DATA_DIR = freshDirectory();
    const server = await spawnServer(DATA_DIR, '4');
    const client = supertest(`http://127.0.0.1:${server.port}`);
    const body = { ...endless, checkpoint: { every_epochs: 500 } };
    const submitted = await Promise.all([1, 2, 3, 4].map(() => client.post('/v1/jobs').send(body).expect(201)));
    const jobs: JobView[] = submitted.map((answer) => answer.body);
    for (const { id } of jobs) for await (const { event } of follow(server, id)) if (event === 'checkpoint') break;
    const [cancelled, paused, stopped, changed] = jobs.map(({ urls }) => urls.self);
    await Promise.all([
      client.post(`${cancelled}/cancel`).expect(200),
      client.post(`${paused}/pause`).expect(200),
      client.post(`${stopped}/stop`).expect(200),
      client.patch(changed).send({ learning_rate: 0.125 }).expect(200),
    ]);
    await server.kill();
    const after = await startApp({ DATA_DIR, MAX_WORKERS: '2' });
    await untilState(after, jobs[2].id, 'succeeded');
    const read = async (path: string) => (await after.request.get(path).expect(200)).body;
    expect((await read(cancelled)).state).toBe('cancelled');
    expect((await read(paused)).state).toBe('paused');
    expect((await read(stopped)).stop_reason).toBe('stopped');
    expect((await read(changed)).learning_rate_changes).toMatchObject([{ learning_rate: 0.125 }]);
    await after.stop();
  });
});

describe('a learning rate that was changed before the process was killed', () => {
  it('changes at the same step again, to the bytes of a run that knows it from the start', async () => {
    const DATA_DIR = freshDirectory();
    const server = await spawnServer(DATA_DIR);
    const client = supertest(`http://127.0.0.1:${server.port}`);
    const { body: submitted } = await client.post('/v1/jobs').send(long).expect(201);
    await untilProgress(server, submitted.id);
    await client.patch(submitted.urls.self).send({ learning_rate: 0.01 }).expect(200);
    let told: { step: number } | undefined;
    for await (const { event, data } of follow(server, submitted.id)) {
      if (event === 'learning_rate_changed') told = data;
      if (told !== undefined) break;
    }
    await server.kill();
    const after = await startApp({ DATA_DIR });
    for await (const { event } of follow(after, submitted.id)) if (event === 'end') break;
    const { body: done } = await after.request.get(submitted.urls.self);
    const change = { first_step: told!.step, learning_rate: 0.01 };
    expect(done).toMatchObject({ state: 'succeeded', attempt: 2, learning_rate_changes: [change] });
    expect(done.parameters_sha256).toBe(undisturbedSha(done, [change]));
    await after.stop();
  });
});

describe('the number of workers', () => {
  it('does not change a byte', async () => {
    const seeds = [1, 2, 3, 4];
    const hashes = async (workers: string) => {
      const running = await startApp({ MAX_WORKERS: workers });
      const done = await Promise.all(
        seeds.map((seed) =>
          train(running, { ...job, seed, epochs: 300, network: { ...network, precision: 'float32' } }),
        ),
      );
      await running.stop();
      running.remove();
      return done.map(({ parameters_sha256, run_sha256 }) => [parameters_sha256, run_sha256]);
    };
    expect(await hashes('2')).toEqual(await hashes('1'));
  });
});
