/**
 * Uploads 100 MB of CSV and malformed files of full size over real HTTP, and says how long each took, how long the
 * event loop of the server stood still, and how much memory it used. The client is a thread of its own, so that its work
 * is not counted. Exits with 1 when an answer is not as expected.
 *
 *     node scripts/uploads-proof.ts
 */
import { on, once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
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

const cases: readonly { readonly name: string; readonly body: () => Iterable<string>; readonly status: number }[] = [
  { name: '100 MB of numbers', body: () => numbers(100 * megabyte), status: 201 },
  { name: 'a single field of 50 MB', body: () => repeated('a,b\n1,', 'x'.repeat(megabyte), 50), status: 422 },
  { name: 'a quoted field of 50 MB', body: () => repeated('a,b\n1,"', 'x'.repeat(megabyte), 50), status: 422 },
  {
    name: '100,000 columns',
    body: () => repeated('c', `${Array.from({ length: 100_000 }, (_, i) => i).join(',c')}\n`, 1),
    status: 422,
  },
  { name: '50 MB without a line break', body: () => repeated('a', ',a'.repeat(megabyte / 2), 50), status: 422 },
  { name: '50 MB of binary', body: () => repeated('', '\0\x01\x02\n'.repeat(megabyte / 4), 50), status: 422 },
  { name: '600 MB, over the limit', body: () => repeated('a,b\n', '1,2\n'.repeat(megabyte / 4), 600), status: 413 },
];

interface Answer {
  readonly status: number | undefined;
  readonly body: { readonly rows?: number; readonly detail?: string };
}

function post(port: number, body: Iterable<string>): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const upload = request(
      { port, host: '127.0.0.1', method: 'POST', path: '/v1/datasets', headers: { 'content-type': 'text/csv' } },
      (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (piece) => {
          text += piece;
        });
        response.on('end', () => resolve({ status: response.statusCode, body: JSON.parse(text) }));
      },
    );
    upload.on('error', reject);
    Readable.from(body).pipe(upload);
  });
}

/** The client: sends one case after the other, each when it is asked for. */
async function client(port: number): Promise<void> {
  for await (const [number] of on(parentPort as NonNullable<typeof parentPort>, 'message')) {
    if (number === null) return;
    parentPort?.postMessage(await post(port, cases[number as number].body()));
  }
}

async function server(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'trainyard-proof-'));
  const config = readConfig({ DATA_DIR: folder });
  const services = await openServices(config);
  const app = await buildApp(config, services);
  await app.listen({ port: 0, host: '127.0.0.1' });
  const { port } = app.server.address() as AddressInfo;
  const sender = new Worker(new URL(import.meta.url), { workerData: port });
  const loop = monitorEventLoopDelay({ resolution: 5 });
  for (const [number, { name, status }] of cases.entries()) {
    loop.reset();
    loop.enable();
    const started = performance.now();
    sender.postMessage(number);
    const [answer] = (await once(sender, 'message')) as [Answer];
    const seconds = ((performance.now() - started) / 1000).toFixed(2);
    loop.disable();
    const passed = answer.status === status;
    if (!passed) process.exitCode = 1;
    const said = answer.body.rows === undefined ? answer.body.detail : `${answer.body.rows} rows`;
    console.log(
      `${passed ? 'ok    ' : 'WRONG '} ${name}: ${answer.status} in ${seconds} s, loop at most ${(loop.max / 1e6).toFixed(0)} ms, rss ${(process.memoryUsage.rss() / megabyte).toFixed(0)} MB: ${said}`,
    );
  }
  sender.postMessage(null);
  await app.close();
  await services.close();
  rmSync(folder, { recursive: true });
}

await (isMainThread ? server() : client(workerData as number));
