/**
 * The service as its user feels it: seconds from its start to the first answer and from POST to the finished job,
 * memory before and after, and the time of a prediction for one row. Medians over rounds, each on a server of its own.
 *
 *     npm run bench:service
 */
import { readFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { setTimeout } from 'node:timers/promises';
import { type OwnServer, startServer } from '../scripts/own-server.ts';
import { LEARNING_RATE, type Workload, workloads } from './workloads.ts';

const rounds = 5;
const predictions = 500;
const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
const seconds = async (work: () => Promise<unknown>) => {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
};

async function post(url: string, body: string): Promise<{ readonly id: string }> {
  const headers = { 'content-type': 'application/json', prefer: 'wait=60' };
  const response = await fetch(url, { method: 'POST', headers, body });
  if (!response.ok) throw new Error(`${url} answered ${response.status}: ${await response.text()}`);
  return (await response.json()) as { readonly id: string };
}

/** As `post`, over one connection and without `fetch`, which itself takes a third of the time of a small answer. */
function postOn(agent: Agent, url: string, body: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { method: 'POST', agent, headers: { 'content-type': 'application/json' } }, (answer) => {
      answer.resume().on('end', () => {
        if (answer.statusCode === 200) resolve();
        else reject(new Error(`${url} answered ${answer.statusCode}`));
      });
    });
    sent.on('error', reject).end(body);
  });
}

/** A whole job with its data in one request, as the text that is sent. */
function jobOf({ sizes, hidden, output, loss, optimizer, batch }: Workload, rows: number, epochs: number): string {
  const [width, units] = [sizes[0], sizes[sizes.length - 1]];
  const value = (i: number) => Number(Math.sin(i * 12.9898).toFixed(4));
  const inputs = Array.from({ length: rows }, (_, r) => Array.from({ length: width }, (_, c) => value(r * width + c)));
  const target = (r: number) =>
    units === 1 ? [r % 2] : Array.from({ length: units }, (_, u) => Number(r % units === u));
  const layers = sizes.slice(1).map((size, i) => ({
    units: size,
    activation: i === sizes.length - 2 ? output : hidden,
  }));
  return JSON.stringify({
    network: { input_size: width, layers, loss },
    data: { inputs, targets: inputs.map((_, row) => target(row)) },
    ...{ epochs, batch_size: batch, seed: 1, optimizer: { name: optimizer, learning_rate: LEARNING_RATE } },
  });
}

const named = (name: string) => workloads.find((workload) => workload.name === name) as Workload;
const jobs = {
  'W2, 569 rows × 100 epochs: POST to result, s': jobOf(named('W2'), 569, 100),
  'W3, 1,797 rows × 50 epochs: POST to result, s': jobOf(named('W3'), 1797, 50),
};

function megabytes({ process: { pid } }: OwnServer): number {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
}

async function round(): Promise<Record<string, number>> {
  const figures: Record<string, number> = {};
  let server: OwnServer | undefined;
  figures['start to first answer, s'] = await seconds(async () => {
    server = await startServer({ MAX_WORKERS: '1' });
    await (await fetch(`${server.base}/readyz`)).text();
  });
  if (server === undefined) throw new Error('no server');
  // By then its threads are up, too.
  await setTimeout(1000);
  figures['resident when ready, MiB'] = megabytes(server);
  try {
    let last = '';
    for (const [name, body] of Object.entries(jobs)) {
      const url = `${server.base}/v1/jobs`;
      figures[`first ${name}`] = await seconds(() => post(url, body));
      figures[name] = await seconds(async () => {
        last = (await post(url, body)).id;
      });
    }
    figures['resident after training, MiB'] = megabytes(server);
    const row = JSON.stringify({ inputs: [Array.from({ length: 64 }, (_, i) => i / 64)] });
    const agent = new Agent({ keepAlive: true });
    const url = `${server?.base}/v1/jobs/${last}/predict`;
    figures['first prediction of one row, ms'] = 1000 * (await seconds(() => postOn(agent, url, row)));
    const times: number[] = [];
    for (let i = 0; i < predictions; i++) times.push(await seconds(() => postOn(agent, url, row)));
    agent.destroy();
    figures['prediction of one row, ms'] = 1000 * median(times);
  } finally {
    await server.stop();
  }
  return figures;
}

const measured: Record<string, number>[] = [];
for (let i = 0; i < rounds; i++) measured.push(await round());
for (const name of Object.keys(measured[0])) {
  console.log(`${name.padEnd(56)} ${median(measured.map((figures) => figures[name])).toPrecision(3)}`);
}
