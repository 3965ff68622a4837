import { describe, expect, it } from 'vitest';
import packageJson from '../../package.json' with { type: 'json' };
import { Faults } from '../../scripts/storage-faults/faults.ts';
import { startApp, useApp } from '../support/app.ts';
import { endless, job, submit, untilProgress } from '../support/jobs.ts';

const running = useApp();

describe('health', () => {
  it('/livez and /readyz answer 200 while the service is up', async () => {
    for (const path of ['/livez', '/readyz']) {
      const answer = await running.request.get(path);
      expect(answer.status).toBe(200);
      expect(answer.body).toEqual({ status: 'ok' });
    }
  });

  it('/readyz answers 503 with Retry-After when the storage does not answer', async () => {
    const { services } = running;
    const original = services.ping;
    services.ping = async () => {
      throw new Error('disk on fire');
    };
    try {
      const answer = await running.request.get('/readyz');
      expect(answer.status).toBe(503);
      expect(answer.headers['retry-after']).toBe('5');
      expect(answer.body).toMatchObject({ code: 'unavailable', retry_after: 5 });
      expect(answer.text).not.toContain('fire');
    } finally {
      services.ping = original;
    }
  });

  it('a service that is stopping is alive, not ready, and takes no new work', async () => {
    const stopping = await startApp();
    await stopping.services.close();
    expect((await stopping.request.get('/livez')).status).toBe(200);
    const ready = await stopping.request.get('/readyz');
    expect(ready.status).toBe(503);
    const refused = await stopping.request.post('/v1/networks').send({});
    expect(refused.status).toBe(503);
    expect(refused.headers['retry-after']).toBe('5');
    expect(refused.body.code).toBe('unavailable');
    await stopping.stop();
    await stopping.remove();
  });
});

describe('/metrics', () => {
  it('counts requests by method, route pattern and status', async () => {
    await running.request.get('/v1/networks/net_1');
    await running.request.get('/v1/networks/net_2');
    await running.request.get('/nowhere/at/all');
    const answer = await running.request.get('/metrics');
    expect(answer.status).toBe(200);
    expect(answer.headers['content-type']).toMatch(/^text\/plain; version=/);
    expect(answer.text).toContain(
      'http_request_duration_seconds_count{method="GET",route="/v1/networks/:id",status="404"} 2',
    );
    expect(answer.text).toContain('http_request_duration_seconds_count{method="GET",route="none",status="404"} 1');
    expect(answer.text).toMatch(/^process_resident_memory_bytes \d+/m);
    expect(answer.text).not.toContain('net_1');
  });

  it('shows the jobs by state, the queue, the workers, and the delay of the event loop', async () => {
    const { id } = await submit(running, endless);
    await untilProgress(running, id);
    await submit(running, job);
    const { text } = await running.request.get('/metrics').expect(200);
    const values = Object.fromEntries(
      [...text.matchAll(/^(trainyard_\S+) (\S+)$/gm)].map(([, name, value]) => [name, Number(value)]),
    );
    expect(values).toMatchObject({
      'trainyard_jobs{state="running"}': 1,
      'trainyard_jobs{state="queued"}': 1,
      'trainyard_jobs{state="failed"}': 0,
      trainyard_queue_depth: 1,
      trainyard_workers: 1,
      trainyard_workers_busy: 1,
      trainyard_storage_full: 0,
    });
    expect(Number(/^nodejs_eventloop_lag_mean_seconds (.+)$/m.exec(text)?.[1])).toBeGreaterThan(0);
  });

  it('answers without the jobs when the storage does not', async () => {
    const failing = new Faults();
    const broken = await startApp({}, { foundation: failing.foundation });
    failing.break();
    const { text } = await broken.request.get('/metrics').expect(200);
    expect(text).toMatch(/^trainyard_workers 1$/m);
    expect(text).not.toMatch(/^trainyard_jobs\{/m);
    failing.repair();
    await broken.stop();
    broken.remove();
  });
});

describe('/version and /', () => {
  it('say what is running', async () => {
    const answer = await running.request.get('/version');
    expect(answer.body).toMatchObject({
      name: packageJson.name,
      version: packageJson.version,
      node: process.versions.node,
    });
  });

  it('the first page leads to the documentation', async () => {
    const answer = await running.request.get('/');
    expect(answer.headers['content-type']).toMatch(/^text\/html/);
    for (const [, path] of answer.text.matchAll(/href="([^"]+)"/g))
      expect((await running.request.get(path)).status).toBe(200);
  });
});
