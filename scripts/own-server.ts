/** The service as a process of its own, on a free port of the loopback and a fresh data directory. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import packageJson from '../package.json' with { type: 'json' };
import { waitForReadyLine } from './ready-line.ts';

export interface OwnServer {
  /** `http://127.0.0.1:<port>`. */
  readonly base: string;
  readonly process: ChildProcess;
  /** Asks the process to end, waits until it has, and removes the data directory. */
  stop(): Promise<void>;
}

const root = resolve(import.meta.dirname, '..');

/**
 * @param settings environment variables beside the usual ones
 * @throws {Error} with what the server printed, when it ends before it listens
 */
export async function startServer(settings: Readonly<Record<string, string>> = {}): Promise<OwnServer> {
  const dataDir = mkdtempSync(join(tmpdir(), 'trainyard-'));
  const usual = { HOST: '127.0.0.1', PORT: '0', DATA_DIR: dataDir, LOG_LEVEL: 'info', API_KEYS: '' };
  // As npm runs it, with the Node of this process.
  const path = [dirname(process.execPath), process.env.PATH].join(delimiter);
  const server = spawn('sh', ['-c', packageJson.scripts.start], {
    cwd: root,
    env: { ...process.env, PATH: path, ...usual, ...settings },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const stop = async () => {
    if (server.exitCode === null && server.signalCode === null) {
      const ended = once(server, 'exit');
      server.kill('SIGTERM');
      await ended;
    }
    rmSync(dataDir, { recursive: true, force: true });
  };
  try {
    return { base: await waitForReadyLine(server), process: server, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
