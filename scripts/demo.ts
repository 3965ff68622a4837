/**
 * `npm run demo`: starts the service on a free port, trains two networks over HTTP as any client would, draws their loss
 * curves, and says where to look next.
 */
import { lossChart } from './loss-chart.ts';
import { startServer } from './own-server.ts';

interface Job {
  readonly id: string;
  readonly state: string;
  readonly stop_reason: string;
  readonly parameters_sha256: string;
}

/** The network of the question that this project started from, on integer features 0..20 and random labels. */
const seedQuestion = {
  network: {
    name: 'seed question',
    input_size: 3,
    layers: [
      { units: 3, activation: 'relu' },
      { units: 4, activation: 'relu' },
      { units: 2, activation: 'softmax' },
    ],
    loss: { name: 'binary_cross_entropy', reduction: 'batch_mean' },
    precision: 'float64',
  },
  data: seedRows(),
  epochs: 50,
  batch_size: 10,
  shuffle: false,
  seed: 1,
  optimizer: { name: 'sgd', learning_rate: 0.5 },
};

const xor = {
  network: {
    name: 'xor',
    input_size: 2,
    layers: [
      { units: 8, activation: 'tanh' },
      { units: 1, activation: 'sigmoid' },
    ],
    loss: 'binary_cross_entropy',
  },
  data: {
    inputs: [
      [0, 0],
      [0, 1],
      [1, 0],
      [1, 1],
    ],
    targets: [[0], [1], [1], [0]],
  },
  epochs: 300,
  batch_size: 4,
  seed: 42,
  optimizer: { name: 'adam', learning_rate: 0.05 },
};

/** 100 rows of three integers 0..20 and one-hot labels, from a small linear congruential generator: the same every time. */
function seedRows(): { inputs: number[][]; targets: number[][] } {
  let state = 1;
  const next = (below: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  const rows = Array.from({ length: 100 }, () => ({ input: [next(21), next(21), next(21)], label: next(2) }));
  return { inputs: rows.map((row) => row.input), targets: rows.map((row) => [1 - row.label, row.label]) };
}

async function call<T>(url: string, init?: RequestInit): Promise<T> {
  const response = await fetch(url, init);
  const body = (await response.json()) as T;
  if (!response.ok)
    throw new Error(`${init?.method ?? 'GET'} ${url} answered ${response.status}: ${JSON.stringify(body)}`);
  return body;
}

async function train(base: string, title: string, body: object): Promise<Job> {
  const job = await call<Job>(`${base}/v1/jobs`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', prefer: 'wait=30' },
    body: JSON.stringify(body),
  });
  const history = await call<{ epoch: number[]; series: { loss: (number | string)[] } }>(
    `${base}/v1/jobs/${job.id}/loss-history?max_points=400`,
  );
  console.log(
    `\n${title}: ${job.state} (${job.stop_reason}), parameters sha256 ${job.parameters_sha256.slice(0, 12)}…`,
  );
  console.log(lossChart(history.epoch, history.series.loss.map(Number)));
  return job;
}

async function demo(base: string): Promise<void> {
  await train(
    base,
    "The seed question's network, learning rate 0.5, random labels (best possible ≈ 2 ln 2 = 1.386)",
    seedQuestion,
  );
  const job = await train(base, 'XOR, 2-8-1, adam', xor);
  const { outputs } = await call<{ outputs: number[][] }>(`${base}/v1/jobs/${job.id}/predict`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ inputs: xor.data.inputs }),
  });
  for (const [row, output] of outputs.entries()) {
    console.log(`  ${xor.data.inputs[row]!.join(' xor ')} → ${output[0]!.toFixed(4)}`);
  }
}

const server = await startServer();
try {
  await demo(server.base);
  console.log('\nNext: `npm start`, then open http://127.0.0.1:3000/docs, or train your own with curl (README.md).');
} finally {
  await server.stop();
}
