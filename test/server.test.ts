import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import packageJson from '../package.json' with { type: 'json' };
import { waitForReadyLine } from '../scripts/ready-line.ts';

const root = join(import.meta.dirname, '..');
let dataDir: string;

beforeAll(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'trainyard-server-'));
});

afterAll(() => rmSync(dataDir, { recursive: true, force: true }));

function serve(env: Record<string, string> = {}): ChildProcess {
  const settings = {
    ...process.env,
    HOST: '127.0.0.1',
    PORT: '0',
    DATA_DIR: dataDir,
    LOG_LEVEL: 'info',
    API_KEYS: '',
    MAX_WORKERS: '1',
    ...env,
  };
  return spawn(process.execPath, ['src/boot-guard.js'], {
    cwd: root,
    env: settings,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

/** How a process that should not start ends: its exit code and what it printed to stderr. */
async function ending(child: ChildProcess): Promise<{ code: number | null; stderr: string }> {
  const stderr = text(child.stderr!);
  child.stdout!.resume();
  const [code] = (await once(child, 'exit')) as [number | null];
  return { code, stderr: (await stderr).trim() };
}

describe('the process', () => {
  it.each(['SIGTERM', 'SIGINT'] as const)(
    'serves until %s, then exits 0, and finds its networks again',
    async (signal) => {
      const first = serve();
      const network = { input_size: 1, layers: [{ units: 1 }], loss: 'mean_squared_error' };
      const base = await waitForReadyLine(first);
      const headers = { 'content-type': 'application/json' };
      const created = await fetch(`${base}/v1/networks`, { method: 'POST', headers, body: JSON.stringify(network) });
      const location = created.headers.get('location');
      const ended = ending(first);
      first.kill(signal);
      expect(await ended).toEqual({ code: 0, stderr: '' });

      const second = serve();
      const again = await fetch(`${await waitForReadyLine(second)}${location}`);
      expect(await again.json()).toEqual(await created.json());
      second.kill('SIGTERM');
      expect((await ending(second)).code).toBe(0);
    },
  );

  it('goes on when nobody reads its log any more', async () => {
    const server = serve();
    const base = await waitForReadyLine(server);
    const closed = [server.stdout!, server.stderr!].map((stream) => once(stream, 'close'));
    server.stdout!.destroy();
    server.stderr!.destroy();
    await Promise.all(closed);
    for (let i = 0; i < 20; i++) expect((await fetch(`${base}/v1/networks`)).status).toBe(200);
    const exit = once(server, 'exit');
    server.kill('SIGTERM');
    expect(await exit).toEqual([0, null]);
  });

  it('refuses a data directory that another server uses', async () => {
    const first = serve();
    await waitForReadyLine(first);
    const { code, stderr } = await ending(serve());
    first.kill('SIGTERM');
    await ending(first);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^The data directory .* is in use by another server\./);
    expect(stderr).not.toContain('\n    at ');
  });

  it('says which port is in use', async () => {
    const holder = createServer().listen(0, '127.0.0.1');
    await once(holder, 'listening');
    const { port } = holder.address() as { port: number };
    const { code, stderr } = await ending(serve({ PORT: String(port) }));
    holder.close();
    expect(code).toBe(1);
    expect(stderr).toBe(
      `Port ${port} on 127.0.0.1 is in use already: stop what uses it, or set PORT (0 takes a free one).`,
    );
  });

  it('lists every fault of its configuration and does not start', async () => {
    const { code, stderr } = await ending(serve({ PORT: 'high', LOG_LEVEL: 'loud', HOST: '0.0.0.0' }));
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /^The configuration has 3 faults:\n {2}PORT .*\n {2}LOG_LEVEL .*\n {2}HOST is 0\.0\.0\.0, .*API_KEYS/,
    );
  });
});

describe('the boot guard', () => {
  it.each(['20.11.1', '24.14.1', '25.0.0', '26.10.0'])(
    'asks for the Node that package.json names: %s',
    async (version) => {
      const [minimum, tooNew] = packageJson.engines.node.match(/[\d.]+/g)!;
      const other = `Object.defineProperty(process.versions, "node", { value: "${version}" });`;
      const args = ['--import', `data:text/javascript,${encodeURIComponent(other)}`, 'src/boot-guard.js'];
      const child = spawn(process.execPath, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
      const { code, stderr } = await ending(child);
      expect(code).toBe(1);
      expect(stderr).toContain(
        `Trainyard needs Node ${minimum} or newer, but older than ${tooNew}; this is Node ${version}`,
      );
      expect(stderr).toContain('npm ci && npm start');
    },
  );
});
