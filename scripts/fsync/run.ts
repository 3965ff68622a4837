/** A server under strace, which is asked for a sample of everything that is acknowledged. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { waitForReadyLine } from '../ready-line.ts';
import { checkOrder, type Order } from './order.ts';
import { parseTrace } from './trace.ts';

const root = resolve(import.meta.dirname, '../..');
const traced =
  'open,openat,write,writev,pwrite64,pwritev,pwritev2,sendto,sendmsg,fsync,fdatasync,rename,renameat,renameat2,mkdir';
/** A page of the log is 4096 bytes. */
const shownBytes = 8192;

/** Why strace cannot be used on this machine; `null` when it can. */
export function straceProblem(): string | null {
  const { error, status, stderr } = spawnSync('strace', ['-f', '-o', '/dev/null', process.execPath, '--version'], {
    encoding: 'utf8',
  });
  if (error !== undefined)
    return `strace is not installed here (${error.message}), so the order of syncs was not looked at.`;
  return status === 0 ? null : `strace may not trace here, so the order of syncs was not looked at: ${stderr.trim()}`;
}

const network = { input_size: 2, layers: [{ units: 3, activation: 'tanh' }, { units: 1 }], loss: 'mean_squared_error' };
const data = {
  inputs: [
    [0, 0],
    [0, 1],
    [1, 0],
    [1, 1],
  ],
  targets: [[0], [1], [1], [0]],
};

/** Creates, trains, pauses, cancels and deletes, one request after the other. */
async function askForEverything(base: string): Promise<void> {
  const call = async (method: string, path: string, body?: object, headers: Readonly<Record<string, string>> = {}) => {
    const type = body === undefined ? {} : { 'content-type': 'application/json' };
    const response = await fetch(`${base}${path}`, {
      method,
      headers: { ...type, ...headers },
      body: body === undefined ? null : JSON.stringify(body),
    });
    if (!response.ok) throw new Error(`${method} ${path} answered ${response.status}: ${await response.text()}`);
    return response.status === 204 ? null : ((await response.json()) as { id: string });
  };
  const stored = await call('POST', '/v1/networks', network);
  const dataset = await call('POST', '/v1/datasets/generate', { kind: 'moons', rows: 50 });
  const jobs = [
    { network_id: stored!.id, data, epochs: 20, checkpoint: { every_epochs: 5 } },
    { network, dataset_id: dataset!.id, epochs: 10 },
    { network, data, epochs: 9_000_000 },
  ];
  for (const [index, job] of jobs.entries()) {
    await call('POST', '/v1/jobs', job, {
      'idempotency-key': `key-${index}`,
      prefer: index < 2 ? 'wait=20' : 'wait=1',
    });
  }
  const endless = await call('POST', '/v1/jobs', jobs[2], { 'idempotency-key': 'key-2' });
  await call('PUT', '/v1/jobs/by-external-id/one', { network, data, epochs: 3 });
  for (const action of ['pause', 'cancel']) await call('POST', `/v1/jobs/${endless!.id}/${action}`);
  await call('DELETE', `/v1/networks/${stored!.id}`);
}

/** The trace is whole when it says how the server ended. */
async function readTrace(file: string, pid: number): Promise<string> {
  const end = new RegExp(`^${pid} +\\+\\+\\+ `, 'm');
  for (let tries = 0; tries < 500; tries++) {
    const text = readFileSync(file, 'latin1');
    if (end.test(text)) return text;
    await sleep(20);
  }
  throw new Error('strace did not finish its trace');
}

/**
 * Runs the sample and checks the order of what it made the server write.
 * @throws {Error} when strace cannot be used here, and says why
 */
export async function traceServer(): Promise<Order> {
  const problem = straceProblem();
  if (problem !== null) throw new Error(problem);
  const directory = mkdtempSync(join(tmpdir(), 'trainyard-fsync-'));
  const [trace, dataDir] = [join(directory, 'trace'), join(directory, 'data')];
  // -D: the tracer stands aside, so that the process started here is the server itself.
  const options = ['-D', '-f', '-yy', '--seccomp-bpf', '-s', String(shownBytes), '-e', `trace=${traced}`, '-o', trace];
  const server = spawn('strace', [...options, process.execPath, 'src/server.ts'], {
    cwd: root,
    env: { PATH: process.env.PATH, HOST: '127.0.0.1', PORT: '0', DATA_DIR: dataDir, MAX_WORKERS: '1' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = once(server, 'exit');
  try {
    await askForEverything(await waitForReadyLine(server));
    server.kill('SIGTERM');
    await ended;
    return checkOrder(parseTrace(await readTrace(trace, server.pid!)), dataDir);
  } finally {
    server.kill('SIGKILL');
    await ended;
    rmSync(directory, { recursive: true, force: true });
  }
}
