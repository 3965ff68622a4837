/**
 * Uploads 100 MB of CSV and malformed files of full size over real HTTP and trains on the 20 million values of the first,
 * and says how long each took, how long the event loop of the server stood still, how much of that it was computing (the
 * rest is other processes' time), and how much memory it used: the best and the median of some rounds. The client is a
 * thread of its own, so that its work is not counted. Exits with 1 when an answer is not as expected.
 *
 *     node scripts/uploads-proof.ts [rounds]
 */
import { on, once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { availableParallelism, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Readable } from 'node:stream';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { buildApp } from '../src/app.ts';
import { readConfig } from '../src/config.ts';
import { openServices } from '../src/services/services.ts';

const megabyte = 10 ** 6;

/** Twenty columns of numbers with two decimals, about 100 bytes a row, in pieces of about 100 kB. */
function* numbers(bytes: number): Generator<string> {
  const columns = 20;
  yield `${Array.from({ length: columns }, (_, i) => `c${i}`).join(',')}\n`;
  const row = (n: number) =>
    Array.from({ length: columns }, (_, i) => (((n * 37 + i * 101) % 10_007) / 100).toFixed(2)).join(',');
  for (let sent = 0, n = 0; sent < bytes; ) {
    const piece = `${Array.from({ length: 1000 }, () => row(n++)).join('\n')}\n`;
    sent += piece.length;
    yield piece;
  }
}

function* repeated(head: string, piece: string, times: number): Generator<string> {
  yield head;
  for (let i = 0; i < times; i += 1) yield piece;
}

interface Answer {
  readonly status: number | undefined;
  readonly body: { readonly id?: string; readonly rows?: number; readonly state?: string; readonly detail?: string };
}

const upload = (body: Iterable<string>) => (port: number) => post(port, '/v1/datasets', 'text/csv', body);

const job = (dataset_id: string | undefined) => ({
  network: { input_size: 19, layers: [{ units: 8, activation: 'relu' }, { units: 1 }], loss: 'mean_squared_error' },
  dataset_id,
  epochs: 1,
  batch_size: 1024,
  standardize: true,
});

/** Every case may use the answer to the first. */
const cases: readonly {
  readonly name: string;
  readonly status: number;
  readonly send: (port: number, first: Answer) => Promise<Answer>;
}[] = [
  { name: '100 MB of numbers', status: 201, send: (port) => upload(numbers(100 * megabyte))(port) },
  {
    name: 'a job on them',
    status: 201,
    send: (port, { body }) => post(port, '/v1/jobs', 'application/json', [JSON.stringify(job(body.id))], 'wait=60'),
  },
  {
    name: 'a single field of 50 MB',
    status: 422,
    send: (port) => upload(repeated('a,b\n1,', 'x'.repeat(megabyte), 50))(port),
  },
  {
    name: 'a quoted field of 50 MB',
    status: 422,
    send: (port) => upload(repeated('a,b\n1,"', 'x'.repeat(megabyte), 50))(port),
  },
  {
    name: '100,000 columns',
    status: 422,
    send: (port) => upload([`${Array.from({ length: 100_000 }, (_, i) => `c${i}`).join(',')}\n`])(port),
  },
  {
    name: '50 MB without a line break',
    status: 422,
    send: (port) => upload(repeated('a', ',a'.repeat(megabyte / 2), 50))(port),
  },
  {
    name: '50 MB of binary',
    status: 422,
    send: (port) => upload(repeated('', '\0\x01\x02\n'.repeat(megabyte / 4), 50))(port),
  },
  {
    name: '600 MB, over the limit',
    status: 413,
    send: (port) => upload(repeated('a,b\n', '1,2\n'.repeat(megabyte / 4), 600))(port),
  },
];

function post(port: number, path: string, type: string, body: Iterable<string>, prefer?: string): Promise<Answer> {
  const headers = { 'content-type': type, ...(prefer !== undefined && { prefer }) };
  return new Promise((resolve, reject) => {
    const sent = request({ port, host: '127.0.0.1', method: 'POST', path, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (piece) => {
        text += piece;
      });
      response.on('end', () => resolve({ status: response.statusCode, body: JSON.parse(text) }));
    });
    sent.on('error', reject);
    Readable.from(body).pipe(sent);
  });
}

/** The client: sends one case after the other, each when it is asked for. */
async function client(port: number): Promise<void> {
  let first: Answer = { status: undefined, body: {} };
  for await (const [number] of on(parentPort as NonNullable<typeof parentPort>, 'message')) {
    if (number === null) return;
    const answer = await cases[number as number].send(port, first);
    if (number === 0) first = answer;
    parentPort?.postMessage(answer);
  }
}

interface Measured {
  readonly seconds: number;
  /** Milliseconds. */
  readonly stall: number;
  readonly computing: number;
  readonly rss: number;
}

/** What the event loop of this thread does meanwhile. */
async function measured<T>(work: () => Promise<T>): Promise<Measured & { readonly result: T }> {
  const every = 5;
  const loop = monitorEventLoopDelay({ resolution: every });
  let computing = 0;
  let before = process.threadCpuUsage();
  const timer = setInterval(() => {
    const { user, system } = process.threadCpuUsage(before);
    computing = Math.max(computing, (user + system) / 1000);
    before = process.threadCpuUsage();
  }, every);
  const started = performance.now();
  loop.enable();
  const result = await work();
  loop.disable();
  clearInterval(timer);
  const seconds = (performance.now() - started) / 1000;
  return { result, seconds, stall: loop.max / 1e6, computing, rss: process.memoryUsage.rss() / megabyte };
}

function report(name: string, rounds: readonly Measured[]): void {
  const of = (figure: keyof Measured, digits: number) => {
    const values = rounds.map((round) => round[figure]).sort((a, b) => a - b);
    return `${values[0].toFixed(digits)}/${values[Math.floor(values.length / 2)].toFixed(digits)}`;
  };
  console.log(
    `${name}: ${of('seconds', 2)} s, loop at most ${of('stall', 0)} ms, of it computing ${of('computing', 0)} ms, rss ${of('rss', 0)} MB`,
  );
}

async function server(): Promise<void> {
  const rounds = Number(process.argv[2] ?? 1);
  const folder = mkdtempSync(join(tmpdir(), 'trainyard-proof-'));
  const config = readConfig({ DATA_DIR: folder });
  const services = await openServices(config);
  const app = await buildApp(config, services);
  await app.listen({ port: 0, host: '127.0.0.1' });
  const { port } = app.server.address() as AddressInfo;
  const sender = new Worker(new URL(import.meta.url), { workerData: port });
  const figures = cases.map((): Measured[] => []);
  for (let round = 0; round < rounds; round += 1) {
    for (const [number, { name, status }] of cases.entries()) {
      const { result, ...figure } = await measured(async () => {
        sender.postMessage(number);
        return (await once(sender, 'message'))[0] as Answer;
      });
      figures[number].push(figure);
      const said = result.body.detail ?? result.body.state ?? `${result.body.rows} rows`;
      if (result.status !== status) process.exitCode = 1;
      if (round === 0)
        console.log(`${result.status === status ? 'ok    ' : 'WRONG '} ${name}: ${result.status} ${said}`);
    }
  }
  console.log(`best/median of ${rounds}, load average ${loadavg()[0].toFixed(1)} on ${availableParallelism()} cores:`);
  for (const [number, { name }] of cases.entries()) report(name, figures[number]);
  sender.postMessage(null);
  await app.close();
  await services.close();
  rmSync(folder, { recursive: true });
}

await (isMainThread ? server() : client(workerData as number));
