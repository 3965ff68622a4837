/**
 * Fills a small file system under a running server, and checks over HTTP what the README says of a full disk: 507 for
 * what wants to be kept, reading goes on, running jobs rest, survive a kill, and go on by themselves when there is room.
 *
 *     node scripts/disk-full-proof.ts             mounts a tmpfs of 32 MB, which needs root
 *     node scripts/disk-full-proof.ts <folder>    uses an empty folder on a small file system
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, rmdirSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startServer } from './own-server.ts';

const given = process.argv[2];
const folder = given ?? mkdtempSync(join(tmpdir(), 'trainyard-disk-full-'));
if (given === undefined) execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=32m', 'trainyard', folder]);
const ballast = join(folder, 'ballast');
const dataDir = join(folder, 'data');

/** Leaves no room for a single page. */
function fillDisk(): void {
  const file = openSync(ballast, 'a');
  try {
    for (let piece = 2 ** 20; piece >= 1; ) {
      try {
        writeSync(file, Buffer.alloc(piece, 1));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
        piece /= 2;
      }
    }
  } finally {
    closeSync(file);
  }
}

const layers = [{ units: 128, activation: 'tanh' }, { units: 128, activation: 'tanh' }, { units: 1 }];
const network = { input_size: 2, layers, loss: 'mean_squared_error' };
const data = {
  inputs: [
    [0, 0],
    [0, 1],
    [1, 0],
    [1, 1],
  ],
  targets: [[0], [1], [1], [0]],
};
const job = { network, data, epochs: 30_000, batch_size: 4, seed: 1, checkpoint: { every_epochs: 1_000 } };

const start = () => startServer({ DATA_DIR: dataDir, MAX_WORKERS: '1' });
let server = await start();

async function call(method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
  const json: Record<string, string> = body === undefined ? {} : { 'content-type': 'application/json' };
  const init = {
    method,
    headers: { ...json, ...headers },
    body: body === undefined ? undefined : JSON.stringify(body),
  };
  const answer = await fetch(`${server.base}${path}`, init as RequestInit);
  const text = await answer.text();
  return { status: answer.status, body: text === '' ? null : JSON.parse(text) };
}

async function untilState(id: string, ...states: string[]) {
  for (let tries = 0; tries < 1_200; tries++) {
    const { body } = await call('GET', `/v1/jobs/${id}`);
    if (states.includes(body.state)) return body;
    await sleep(50);
  }
  const { body } = await call('GET', `/v1/jobs/${id}`);
  throw new Error(
    `the job has not become ${states.join(' or ')}: ${JSON.stringify([body.state, body.progress, body.transitions])}`,
  );
}

const say = (text: string) => console.log(`ok  ${text}`);

try {
  const { body: first } = await call('POST', '/v1/jobs', job);
  const undisturbed = await untilState(first.id, 'succeeded');
  const { body: second } = await call('POST', '/v1/jobs', job);
  await untilState(second.id, 'running');
  fillDisk();
  const rested = await untilState(second.id, 'paused');
  assert.equal(rested.transitions.at(-1).reason, 'storage_full');
  say(`the running job rests at epoch ${rested.progress.epoch} of ${job.epochs}, reason storage_full`);

  for (const [path, body] of [
    ['/v1/networks', network],
    ['/v1/jobs', job],
    ['/v1/datasets/generate', { kind: 'xor', rows: 50, seed: 1 }],
  ] as const) {
    fillDisk();
    const { status, body: problem } = await call('POST', path, body);
    assert.deepEqual([status, problem.code], [507, 'insufficient_storage'], path);
  }
  say('creating a network, a job and a data set is answered by 507 insufficient_storage');
  for (const path of [`/v1/jobs/${first.id}`, `/v1/jobs/${first.id}/loss-history`, '/v1/jobs', '/readyz', '/metrics']) {
    assert.equal((await fetch(`${server.base}${path}`)).status, 200, path);
  }
  say('reading goes on');

  const killed = once(server.process, 'exit');
  server.process.kill('SIGKILL');
  await killed;
  fillDisk();
  server = await start();
  assert.equal((await call('GET', `/v1/jobs/${second.id}`)).body.state, 'paused');
  say('after kill -9 the server starts on the full disk, and the job still rests');

  rmSync(ballast);
  const done = await untilState(second.id, 'succeeded', 'failed');
  assert.equal(done.state, 'succeeded');
  assert.equal(done.parameters_sha256, undisturbed.parameters_sha256);
  say(
    `with room again the job goes on by itself and ends with the bytes of an undisturbed run: ${done.transitions.map(({ state, reason }: { state: string; reason: string | null }) => (reason === null ? state : `${state} (${reason})`)).join(', ')}`,
  );
  assert.equal((await call('POST', '/v1/networks', network)).status, 201);
  say('and new things are kept');
} finally {
  await server.stop();
  if (given === undefined) {
    execFileSync('umount', [folder]);
    rmdirSync(folder);
  }
}
