/** The use cases that must survive a fault at any call of the storage, each over HTTP, with what has to hold afterwards. */
import assert from 'node:assert/strict';
import { setImmediate } from 'node:timers/promises';
import type supertest from 'supertest';
import type { Response, Test } from 'supertest';
import { errors } from '../../src/errors.ts';
import type { Services } from '../../src/services/services.ts';

export interface Subject {
  readonly request: ReturnType<typeof supertest>;
  readonly services: Services;
}

export interface UseCase {
  readonly name: string;
  /** Before the fault is armed; what it returns is given to the others. */
  prepare(subject: Subject, number: number): Promise<string>;
  /** Under the fault: sends requests, and sends again what has failed, as a client does. */
  act(subject: Subject, given: string): Promise<void>;
  /** Without faults: what was acknowledged is there, once and whole. */
  check(subject: Subject, given: string): Promise<void>;
}

/** Far more than the service needs to look after its storage again. */
const mostTries = 1_000;
const faultCodes = ['internal_error', 'unavailable', 'insufficient_storage'] as const;

/** A fault is told as a problem that says whether and when to come back, and shows nothing of the inside. */
function assertClearProblem({ status, headers, body }: Response): void {
  const code = faultCodes.find((name) => name === body.code);
  assert.ok(code !== undefined, `a fault is answered with ${status} ${JSON.stringify(body)}`);
  assert.equal(headers['content-type'], 'application/problem+json');
  assert.equal(status, errors[code].status);
  assert.equal(headers['retry-after'] === undefined, code === 'internal_error');
  assert.doesNotMatch(JSON.stringify(body), /injected|\bat .*\.ts/);
}

/** Sends a request until it is answered with one of the given statuses. */
async function insist(send: () => Test, ...accepted: number[]): Promise<Response> {
  for (let tries = 0; tries < mostTries; tries++) {
    const answer = await send();
    if (accepted.includes(answer.status)) return answer;
    assertClearProblem(answer);
    await setImmediate();
  }
  throw new Error('the service does not recover from one fault');
}

const data = {
  inputs: [
    [0, 0],
    [0, 1],
    [1, 0],
    [1, 1],
  ],
  targets: [[0], [1], [1], [0]],
};
const network = { input_size: 2, layers: [{ units: 3, activation: 'tanh' }, { units: 1 }], loss: 'mean_squared_error' };
const job = { network, data, epochs: 30, batch_size: 2, seed: 5, checkpoint: { every_epochs: 10 } };
const endless = { ...job, epochs: 9_000_000, checkpoint: {} };
const csv = `a,b,y\n${Array.from({ length: 50 }, (_, i) => `${i},${i % 7},${i % 2}`).join('\n')}\n`;

const self = (id: string) => `/v1/jobs/${id}`;

async function create({ request }: Subject, body: object): Promise<string> {
  return (await insist(() => request.post('/v1/jobs').send(body), 201)).body.id;
}

/** Waits for a job over HTTP until it is in the state. */
async function until(
  { request, services }: Subject,
  id: string,
  ...states: string[]
): Promise<Record<string, unknown>> {
  for (let tries = 0; tries < mostTries; tries++) {
    const { body } = await insist(() => request.get(self(id)), 200);
    if (states.includes(body.state)) return body;
    // The feed wakes it; a fault meanwhile is seen by the next GET.
    await services.jobs.wait(id, 0.01).catch(() => undefined);
  }
  const { body } = await request.get(self(id));
  throw new Error(`the job has not become ${states.join(' or ')}: ${JSON.stringify([body.state, body.transitions])}`);
}

async function listed({ request }: Subject, path: string): Promise<readonly { readonly id: string }[]> {
  return (await request.get(path).expect(200)).body.data;
}

let undisturbed: { readonly sha256: unknown; readonly history: unknown } | undefined;

/** What the job gives when nothing fails. */
async function truth(subject: Subject) {
  if (undisturbed === undefined) {
    const id = await create(subject, job);
    const { parameters_sha256: sha256 } = await until(subject, id, 'succeeded');
    undisturbed = { sha256, history: await historyOf(subject, id) };
  }
  return undisturbed;
}

async function historyOf({ request }: Subject, id: string): Promise<unknown> {
  const { body } = await request.get(`${self(id)}/loss-history?resolution=step&max_points=1000`).expect(200);
  return body.series;
}

/** A running job that goes on until it is told to end, and has a checkpoint. */
async function running(subject: Subject): Promise<string> {
  const id = await create(subject, endless);
  await until(subject, id, 'running');
  return id;
}

async function end(subject: Subject, id: string): Promise<void> {
  await insist(() => subject.request.post(`${self(id)}/cancel`), 200, 409);
  await until(subject, id, 'cancelled', 'succeeded');
}

export const useCases: readonly UseCase[] = [
  {
    name: 'create a network',
    prepare: async (_subject, number) => `network-${number}`,
    async act({ request }, name) {
      await insist(() => request.post('/v1/networks').send({ ...network, name, metadata: { name } }), 201);
    },
    async check(subject, name) {
      const networks = (await listed(subject, '/v1/networks?limit=100')) as readonly { id: string; name: string }[];
      const all = networks.filter((one) => one.name === name);
      // One, or a second one where the answer to the first request was lost: it was never acknowledged.
      assert.ok(all.length === 1 || all.length === 2, `${all.length} networks`);
      for (const { id } of all) await subject.request.delete(`/v1/networks/${id}`).expect(204);
    },
  },
  {
    name: 'create a job and run it to the end',
    async prepare(subject, number) {
      await truth(subject);
      return `run-${number}`;
    },
    async act(subject, key) {
      const body = { ...job, metadata: { key } };
      const send = () => subject.request.post('/v1/jobs').set('Idempotency-Key', key).send(body);
      await until(subject, (await insist(send, 201)).body.id, 'succeeded', 'failed');
    },
    async check(subject, key) {
      const jobs = await listed(subject, `/v1/jobs?metadata[key]=${key}`);
      assert.equal(jobs.length, 1, 'the key makes one job, however often it is sent');
      const [{ id }] = jobs;
      const done = await until(subject, id, 'succeeded');
      const { sha256, history } = await truth(subject);
      assert.equal(done.parameters_sha256, sha256);
      assert.deepEqual(await historyOf(subject, id), history);
      await subject.request.get(`${self(id)}/parameters`).expect(200);
    },
  },
  {
    name: 'pause and resume',
    prepare: running,
    async act(subject, id) {
      await insist(() => subject.request.post(`${self(id)}/pause`), 200);
      await until(subject, id, 'paused');
      await insist(() => subject.request.post(`${self(id)}/resume`), 200);
      await until(subject, id, 'running');
    },
    check: end,
  },
  {
    name: 'cancel',
    prepare: running,
    async act(subject, id) {
      await insist(() => subject.request.post(`${self(id)}/cancel`), 200);
    },
    async check(subject, id) {
      await until(subject, id, 'cancelled');
    },
  },
  {
    name: 'delete a job',
    async prepare(subject) {
      const id = await create(subject, { ...job, epochs: 2 });
      await until(subject, id, 'succeeded');
      return id;
    },
    async act({ request }, id) {
      await insist(() => request.delete(self(id)), 204, 404);
    },
    async check({ request }, id) {
      await request.get(self(id)).expect(404);
    },
  },
  {
    name: 'upload a data set',
    prepare: async (_subject, number) => `upload-${number}`,
    async act({ request }, name) {
      const send = () => request.post(`/v1/datasets?name=${name}`).set('Content-Type', 'text/csv').send(csv);
      await insist(send, 201);
    },
    async check(subject, name) {
      const all = (await listed(subject, '/v1/datasets?limit=100')) as readonly { id: string; name: string }[];
      const kept = all.filter((one) => one.name === name);
      assert.ok(kept.length === 1 || kept.length === 2, `${kept.length} data sets`);
      for (const { id } of kept) {
        const { body } = await subject.request.get(`/v1/datasets/${id}/rows?limit=50`).expect(200);
        assert.equal(body.data.length, 50);
        await subject.request.delete(`/v1/datasets/${id}`).expect(204);
      }
    },
  },
  {
    name: 'delete a data set',
    async prepare({ request }) {
      const { body } = await insist(() => request.post('/v1/datasets').set('Content-Type', 'text/csv').send(csv), 201);
      return body.id;
    },
    async act({ request }, id) {
      await insist(() => request.delete(`/v1/datasets/${id}`), 204, 404);
    },
    async check({ request }, id) {
      await request.get(`/v1/datasets/${id}`).expect(404);
    },
  },
];
