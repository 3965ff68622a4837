import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { waitForReadyLine } from '../scripts/ready-line.ts';
import { build, environment, execForm, readStages, type Stage } from './support/dockerfile.ts';

const repository = resolve(import.meta.dirname, '..');
const stages = readStages(join(repository, 'Dockerfile'));
const final = stages.at(-1)!;
const of = (stage: Stage, name: string) => stage.instructions.filter((i) => i.name === name).map((i) => i.text);

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

describe('the Dockerfile', () => {
  it('is multi-stage on node:24-slim', () => {
    expect(stages.length).toBeGreaterThan(1);
    expect(new Set(stages.map((stage) => stage.base))).toEqual(new Set(['node:24-slim']));
  });

  it('runs as a numeric user that is not root, with exec-form CMD on node itself', () => {
    expect(of(final, 'USER').at(-1)).toMatch(/^[1-9]\d*:[1-9]\d*$/);
    expect(execForm(final, 'CMD')[0]).toBe('node');
  });

  it('has a HEALTHCHECK, OCI labels and /data as its only volume', () => {
    expect(execForm(final, 'HEALTHCHECK')[0]).toBe('node');
    expect(of(final, 'LABEL').join(' ')).toMatch(/org\.opencontainers\.image\.title=/);
    expect(of(final, 'VOLUME')).toEqual(['["/data"]']);
  });

  it('copies no development dependency and no secret: the context is an allow list', () => {
    expect(of(stages[0]!, 'RUN').join(' ')).toContain('npm ci --omit=dev');
    expect(of(final, 'COPY').some((text) => /^\.\s|\s\.\s/.test(text) && !text.includes('package.json'))).toBe(false);
  });
});

describe('the steps of the Dockerfile, carried out in a scratch directory', () => {
  const scratch = mkdtempSync(join(tmpdir(), 'trainyard-container-'));
  const roots = Object.fromEntries(stages.map((stage) => [stage.name, join(scratch, `stage-${stage.name}`)]));
  const root = roots[final.name]!;
  const path = `${join(repository, 'node_modules/.bin')}:${process.env.PATH}`;
  let server: ChildProcess;
  let env: Record<string, string>;

  beforeAll(async () => {
    chmodSync(scratch, 0o755);
    for (const stage of stages) {
      mkdirSync(roots[stage.name]!);
      build(stage, roots, repository, path);
    }
    const inData = Object.fromEntries(
      Object.entries(environment(final)).map(([name, value]) => [name, value.replace(/^\/data\b/, join(root, 'data'))]),
    );
    // The port and the interface are the host's choice at `docker run -p`; here the loopback interface alone.
    env = { ...inData, PATH: path, HOST: '127.0.0.1', PORT: String(await freePort()) };
    const [uid, gid] = of(final, 'USER').at(-1)!.split(':').map(Number);
    const user = process.getuid?.() === 0 ? { uid: uid!, gid: gid! } : {};
    const [command, ...args] = execForm(final, 'CMD');
    const cwd = join(root, of(final, 'WORKDIR').at(-1)!);
    server = spawn(command!, args, { cwd, env, ...user, stdio: ['ignore', 'pipe', 'inherit'] });
    await waitForReadyLine(server);
  }, 120_000);

  afterAll(() => {
    server?.kill('SIGKILL');
    rmSync(scratch, { recursive: true, force: true });
  });

  it('answers the HEALTHCHECK with success', async () => {
    const [command, ...args] = execForm(final, 'HEALTHCHECK');
    await expect(promisify(execFile)(command!, args, { env })).resolves.toBeDefined();
  });

  it('trains a network', async () => {
    const response = await fetch(`http://127.0.0.1:${env.PORT}/v1/jobs`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', prefer: 'wait=30' },
      body: JSON.stringify({
        network: { input_size: 1, layers: [{ units: 1 }], loss: 'mean_squared_error' },
        data: { inputs: [[1], [2]], targets: [[2], [4]] },
        epochs: 3,
        optimizer: { name: 'sgd', learning_rate: 0.1 },
      }),
    });
    expect(response.status).toBe(201);
    expect(await response.json()).toMatchObject({ state: 'succeeded' });
  });

  it('writes nowhere but /data', () => {
    expect(readdirSync(join(root, environment(final).DATA_DIR!)).length).toBeGreaterThan(0);
    expect(readdirSync(join(root, 'app')).sort()).toEqual(['node_modules', 'package.json', 'routes', 'src']);
  });

  it('ends with exit code 0 on SIGTERM', async () => {
    server.kill('SIGTERM');
    const [code] = (await once(server, 'exit')) as [number | null];
    expect(code).toBe(0);
  });
});
