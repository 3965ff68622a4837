import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { waitForReadyLine } from '../scripts/ready-line.ts';
import type { JobView } from '../src/schemas/job-view.ts';
import { startApp } from './support/app.ts';
import { endless, untilProgress } from './support/jobs.ts';

const root = resolve(import.meta.dirname, '..');
const server = [process.execPath, 'src/boot-guard.js'];
/** A process namespace of one's own, in which the server is process 1, as in a container. */
const ownNamespace = ['unshare', '--map-root-user', '--pid', '--fork', '--mount-proc'];
let dataDir: string;
const started: ChildProcess[] = [];

beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'trainyard-shutdown-'));
});

afterEach(async () => {
  // What a failed test has left.
  for (const child of started.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    const ended = once(child, 'exit');
    process.kill(-child.pid!, 'SIGKILL');
    await ended;
  }
  rmSync(dataDir, { recursive: true, force: true });
});

/** In a process group of its own, as a terminal would start it. */
function start([command, ...args]: readonly string[]): ChildProcess {
  const settings = {
    HOST: '127.0.0.1',
    PORT: '0',
    DATA_DIR: dataDir,
    LOG_LEVEL: 'info',
    API_KEYS: '',
    MAX_WORKERS: '1',
  };
  const child = spawn(command!, args, {
    cwd: root,
    env: { ...process.env, ...settings },
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  });
  started.push(child);
  return child;
}

const onlyChildOf = (pid: number) => Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8'));

interface Way {
  readonly command: readonly string[];
  /** The process that the signal goes to. */
  target(pid: number): number;
}

const ways: Readonly<Record<string, Way>> = {
  'SIGTERM to npm start': { command: ['npm', 'start'], target: (pid) => pid },
  'SIGTERM to the server as process 1': {
    command: [...ownNamespace, ...server],
    target: onlyChildOf,
  },
};

/** Why a way cannot be gone on this machine; empty when it can. */
function obstacle({ command }: Way): string {
  if (command[0] !== ownNamespace[0]) return '';
  const { status, error, stderr } = spawnSync(ownNamespace[0], [...ownNamespace.slice(1), 'true'], {
    encoding: 'utf8',
  });
  return status === 0 ? '' : (error?.message ?? stderr);
}

describe('a running job is saved, the exit code is 0, and the next start goes on with it, after', () => {
  it.each(Object.keys(ways))('%s', async (name) => {
    const way = ways[name]!;
    const impossible = obstacle(way);
    if (impossible !== '') return expect(impossible).toMatch(/unshare/);
    const first = start(way.command);
    const base = await waitForReadyLine(first);
    const headers = { 'content-type': 'application/json' };
    const created = await fetch(`${base}/v1/jobs`, { method: 'POST', headers, body: JSON.stringify(endless) });
    const { id, urls } = (await created.json()) as JobView;
    const { step } = await untilProgress({ port: Number(new URL(base).port) }, id);
    const ended = once(first, 'exit');
    process.kill(way.target(first.pid!), 'SIGTERM');
    // The server ends itself with 1 when it is not done after 9.5 s.
    expect(await ended).toEqual([0, null]);

    const second = await startApp({ DATA_DIR: dataDir });
    const job = (await second.request.get(urls.self)).body as JobView;
    expect(job.transitions.map(({ state, reason }) => [state, reason]).slice(0, 3)).toEqual([
      ['queued', null],
      ['running', null],
      ['queued', 'shutdown'],
    ]);
    const { data } = (await second.request.get(urls.checkpoints)).body;
    const saved = data.find(({ reason }: { reason: string }) => reason === 'release');
    expect(saved.step).toBeGreaterThanOrEqual(step);
    expect((await untilProgress(second, id)).step).toBeGreaterThanOrEqual(saved.step);
    await second.stop();
  });
});

it('a connection that asks for nothing, or for half of something, does not keep the service from ending in order', async () => {
  const child = start(server);
  const { hostname, port } = new URL(await waitForReadyLine(child));
  const connections = ['', 'POST /v1/jobs HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n'].map((said) => {
    const socket = connect(Number(port), hostname);
    // Cut off is as good as ended.
    socket.on('error', () => undefined);
    socket.write(said);
    return socket;
  });
  await Promise.all(connections.map((socket) => once(socket, 'connect')));
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  expect((await ended)[0]).toBe(0);
});
