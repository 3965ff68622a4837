/**
 * Predicts single rows over HTTP while every worker trains, one after the other and many at once, and says how long the
 * answers took, in the best and in the median round; `GET /livez` in between says what the machine itself adds. Exits with
 * 1 when the 99th percentile of those that come one after the other reaches 10 ms in every round.
 *
 *     node scripts/predict-proof.ts [rounds]
 */
import { Agent, request } from 'node:http';
import { availableParallelism, loadavg } from 'node:os';
import { startServer } from './own-server.ts';

const rounds = Number(process.argv[2] ?? 5);
const requests = 300;
const warmUp = 100;
const connections = [1, 8, 32];
const goalMs = 10;
const workers = availableParallelism();

const inputs = Array.from({ length: 256 }, (_, row) =>
  Array.from({ length: 16 }, (_, i) => ((row * 31 + i * 7) % 13) / 13),
);
const job = {
  network: {
    input_size: 16,
    layers: [
      { units: 64, activation: 'relu' },
      { units: 64, activation: 'relu' },
      { units: 4, activation: 'softmax' },
    ],
    loss: 'sparse_categorical_cross_entropy',
  },
  data: { inputs, targets: inputs.map((_, row) => row % 4) },
  epochs: 20,
  optimizer: 'adam',
};

interface Answer {
  readonly status: number | undefined;
  readonly body: { readonly id: string; readonly state: string; readonly outputs: readonly unknown[] };
}

function call(base: string, agent: Agent, method: string, path: string, body?: unknown, wait = false): Promise<Answer> {
  const headers = { 'content-type': 'application/json', ...(wait && { prefer: 'wait=60' }) };
  return new Promise((resolve, reject) => {
    const sent = request(base + path, { method, agent, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (piece) => {
        text += piece;
      });
      response.on('end', () => resolve({ status: response.statusCode, body: JSON.parse(text || '{}') }));
    });
    sent.on('error', reject).end(body === undefined ? undefined : JSON.stringify(body));
  });
}

interface Times {
  readonly times: readonly number[];
  /** Of as many requests that nothing is to be done for; empty when several are under way. */
  readonly idle: readonly number[];
}

/** Milliseconds, ascending, of each of `count` predictions, `parallel` of them under way at any time. */
async function measure(base: string, path: string, parallel: number, count: number): Promise<Times> {
  const agent = new Agent({ keepAlive: true, maxSockets: parallel });
  const times: number[] = [];
  const idle: number[] = [];
  let left = count;
  const client = async () => {
    while (left-- > 0) {
      const started = performance.now();
      const { status } = await call(base, agent, 'POST', path, { inputs: [inputs[left % inputs.length]] });
      if (status !== 200) throw new Error(`a prediction was answered with ${status}`);
      const predicted = performance.now();
      times.push(predicted - started);
      if (parallel > 1) continue;
      await call(base, agent, 'GET', '/livez');
      idle.push(performance.now() - predicted);
    }
  };
  await Promise.all(Array.from({ length: parallel }, client));
  agent.destroy();
  return { times: times.sort((a, b) => a - b), idle: idle.sort((a, b) => a - b) };
}

const at = (ascending: readonly number[], share: number): number => ascending[Math.ceil(share * ascending.length) - 1];

/** Best and median round. */
function figures(measured: readonly (readonly number[])[]): string {
  const of = (share: number) => {
    const values = measured.map((times) => at(times, share)).sort((a, b) => a - b);
    return `${values[0].toFixed(2)}/${values[Math.floor(values.length / 2)].toFixed(2)} ms`;
  };
  return `p50 ${of(0.5)}, p99 ${of(0.99)}, max ${of(1)}`;
}

const { base, stop } = await startServer({ MAX_WORKERS: String(workers) });
try {
  const agent = new Agent({ keepAlive: true });
  const trained = await call(base, agent, 'POST', '/v1/jobs', job, true);
  for (let i = 0; i < workers; i += 1)
    await call(base, agent, 'POST', '/v1/jobs', { ...job, seed: i + 1, epochs: 9_000_000 });
  for (;;) {
    const { body } = await call(base, agent, 'GET', '/v1/jobs?state=running');
    if ((body as unknown as { data: unknown[] }).data.length === workers) break;
  }
  const path = `/v1/jobs/${trained.body.id}/predict`;
  await measure(base, path, 8, warmUp);
  console.log(
    `${workers} workers train on ${workers} cores; load average ${loadavg()[0].toFixed(1)} with whatever else runs here`,
  );
  for (const parallel of connections) {
    const measured: Times[] = [];
    for (let round = 0; round < rounds; round += 1) measured.push(await measure(base, path, parallel, requests));
    const missed = parallel === 1 && Math.min(...measured.map(({ times }) => at(times, 0.99))) >= goalMs;
    if (missed) process.exitCode = 1;
    const beside = parallel === 1 ? ` (GET /livez in between: ${figures(measured.map(({ idle }) => idle))})` : '';
    const verdict = missed ? ` MISSED: p99 below ${goalMs} ms` : '';
    console.log(
      `${String(parallel).padStart(2)} at a time: ${figures(measured.map(({ times }) => times))}${beside}${verdict}`,
    );
  }
  agent.destroy();
} finally {
  await stop();
}
