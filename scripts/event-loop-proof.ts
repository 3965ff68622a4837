/**
 * Trains on every worker, uploads 100 MB of CSV and asks GETs of many kinds at the same time, and says how long the GETs
 * took and how long the event loop of the server stood still: on the clock, and in processor time, which does not count
 * what other processes of a busy machine take away. The server, the client and the uploader are apart, so
 * that the work of one is not counted for the other. Exits with 1 when a goal is missed.
 *
 *     node scripts/event-loop-proof.ts [rounds]
 */
import { on, once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { availableParallelism, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { type OwnServer, startServer } from './own-server.ts';

const goals = { get_p99_ms: 50, stall_ms: 100 };
const uploadBytes = 100e6;
/** GETs that are under way at the same time. */
const clients = 4;
/** Milliseconds a client waits between two GETs: the server is to be busy, not overrun. */
const pause = 5;

const columns = 20;
const row = (n: number) =>
  Array.from({ length: columns }, (_, i) => (((n * 37 + i * 101) % 10_007) / 100).toFixed(2)).join(',');

function* table(): Generator<Buffer> {
  yield Buffer.from(`${Array.from({ length: columns }, (_, i) => `c${i}`).join(',')}\n`);
  const piece = Buffer.from(`${Array.from({ length: 1_000 }, (_, n) => row(n)).join('\n')}\n`);
  for (let sent = 0; sent < uploadBytes; sent += piece.length) yield piece;
}

/** In a thread of its own: uploads the table each time it is asked to, and says how that ended. */
async function uploader(base: string): Promise<void> {
  const port = parentPort as NonNullable<typeof parentPort>;
  for await (const [message] of on(port, 'message')) {
    if (message === 'end') return port.close();
    const headers = { 'content-type': 'text/csv' };
    const upload = request(`${base}/v1/datasets?name=large`, { method: 'POST', headers });
    Readable.from(table()).pipe(upload);
    const [response] = await once(upload, 'response');
    let text = '';
    for await (const chunk of response.setEncoding('utf8')) text += chunk;
    port.postMessage({ status: response.statusCode, body: JSON.parse(text) });
  }
}

const quantile = (sorted: readonly number[], q: number): number => sorted[Math.ceil(q * sorted.length) - 1];
const ms = (value: number): string => `${value.toFixed(1)} ms`;

/** Jobs that go on until they are told to end: every step recorded, small and large steps. */
const jobs = [
  { units: [8, 1], rows: 64, batch_size: 16 },
  { units: [256, 256, 1], rows: 2_048, batch_size: 128 },
].map(({ units, rows, batch_size }) => ({
  network: {
    input_size: 16,
    layers: units.map((count) => ({ units: count, activation: 'tanh' })),
    loss: 'mean_squared_error',
  },
  data: {
    inputs: Array.from({ length: rows }, (_, i) => Array.from({ length: 16 }, (_, j) => Math.sin(i * 16 + j))),
    targets: Array.from({ length: rows }, (_, i) => [Math.cos(i)]),
  },
  epochs: 9_000_000,
  batch_size,
}));

async function client(): Promise<void> {
  const workers = availableParallelism();
  const folder = mkdtempSync(join(tmpdir(), 'trainyard-loop-'));
  const watcher = new URL('./loop-cpu.ts', import.meta.url);
  watcher.searchParams.set('file', join(folder, 'longest'));
  const server = await startServer({ MAX_WORKERS: String(workers), NODE_OPTIONS: `--import "${watcher}"` });
  const { base } = server;
  const uploading = new Worker(new URL(import.meta.url), { workerData: base });
  try {
    const ids: string[] = [];
    for (let i = 0; i < workers; i++) {
      const body = JSON.stringify(jobs[i % jobs.length]);
      const headers = { 'content-type': 'application/json' };
      const answer = await fetch(`${base}/v1/jobs`, { method: 'POST', headers, body });
      ids.push(((await answer.json()) as { id: string }).id);
    }
    await untilTrained(base, ids);
    const rounds = Number(process.argv[2] ?? 3);
    for (let round = 1; round <= rounds; round++) await measure({ ...server, folder }, ids, uploading, round);
  } finally {
    uploading.postMessage('end');
    await server.stop();
    rmSync(folder, { recursive: true });
  }
}

async function untilTrained(base: string, ids: readonly string[]): Promise<void> {
  for (const id of ids) {
    while ((await fetch(`${base}/v1/jobs/${id}/parameters`)).status !== 200) await sleep(50);
  }
}

interface Watched extends OwnServer {
  /** Where its watcher writes. */
  readonly folder: string;
}

/** The longest that the event loop has stood still since the last look, in milliseconds. */
async function stallOf({ base, process: server, folder }: Watched): Promise<{ clock: number; processor: number }> {
  const text = await (await fetch(`${base}/metrics`)).text();
  const file = join(folder, 'longest');
  rmSync(file, { force: true });
  server.kill('SIGUSR2');
  while (!existsSync(file) || readFileSync(file, 'utf8') === '') await sleep(10);
  const clock = 1000 * Number(/^nodejs_eventloop_lag_max_seconds (.+)$/m.exec(text)?.[1]);
  return { clock, processor: Number(readFileSync(file, 'utf8')) };
}

async function measure(server: Watched, ids: readonly string[], uploading: Worker, round: number): Promise<void> {
  const kinds: Readonly<Record<string, (id: string) => string>> = {
    'a job': (id) => `/v1/jobs/${id}`,
    'the jobs': () => '/v1/jobs?limit=20',
    'a history of epochs': (id) => `/v1/jobs/${id}/loss-history?resolution=epoch&max_points=500`,
    'a history of steps': (id) => `/v1/jobs/${id}/loss-history?resolution=step&max_points=500`,
    parameters: (id) => `/v1/jobs/${id}/parameters`,
    events: (id) => `/v1/jobs/${id}/events?limit=20`,
    checkpoints: (id) => `/v1/jobs/${id}/checkpoints`,
    networks: () => '/v1/networks',
    'data sets': () => '/v1/datasets',
    catalog: () => '/v1/catalog',
    readiness: () => '/readyz',
  };
  const taken = new Map<string, number[]>(Object.keys(kinds).map((kind) => [kind, []]));
  const { base } = server;
  let over = false;
  await stallOf(server);
  const answered = once(uploading, 'message');
  const started = performance.now();
  uploading.postMessage('upload');
  const hammering = Array.from({ length: clients }, async (_, number) => {
    for (let i = number; !over; i++) {
      const names = Object.keys(kinds);
      const kind = names[i % names.length];
      const began = performance.now();
      const answer = await fetch(base + kinds[kind](ids[i % ids.length]));
      await answer.arrayBuffer();
      if (!answer.ok) throw new Error(`${kind}: ${answer.status}`);
      taken.get(kind)?.push(performance.now() - began);
      await sleep(pause);
    }
  });
  const [{ status, body }] = await answered;
  const seconds = (performance.now() - started) / 1000;
  over = true;
  await Promise.all(hammering);
  const stall = await stallOf(server);
  if (status !== 201) throw new Error(`the upload was answered by ${status}: ${JSON.stringify(body)}`);
  await fetch(`${base}/v1/datasets/${body.id}`, { method: 'DELETE' });
  const all = [...taken.values()].flat().sort((a, b) => a - b);
  const p99 = quantile(all, 0.99);
  const passed = p99 < goals.get_p99_ms && stall.clock < goals.stall_ms;
  if (!passed) process.exitCode = 1;
  console.log(
    `${passed ? 'ok    ' : 'MISSED'} round ${round}: ${all.length} GETs p50 ${ms(quantile(all, 0.5))}, p99 ${ms(p99)}, max ${ms(quantile(all, 1))}; longest stall ${ms(stall.clock)}, of processor time ${ms(stall.processor)}; 100 MB in ${seconds.toFixed(1)} s; load of the machine ${loadavg()[0].toFixed(1)} on ${availableParallelism()} cores`,
  );
  for (const [kind, values] of taken) {
    values.sort((a, b) => a - b);
    console.log(`         ${kind}: p50 ${ms(quantile(values, 0.5))}, p99 ${ms(quantile(values, 0.99))}`);
  }
}

await (isMainThread ? client() : uploader(workerData as string));
