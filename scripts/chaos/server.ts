/** A server in a process group of its own, which is killed without warning and started again on the same data directory. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { waitForReadyLine } from '../ready-line.ts';

const root = resolve(import.meta.dirname, '../..');

/** What the kills have hit. */
export interface KillCounts {
  readonly kills: number;
  /** Of these, while the server was still starting and taking up what the last one had left. */
  readonly whileStarting: number;
}

export class MortalServer {
  readonly #env: NodeJS.ProcessEnv;
  #child: ChildProcess | null = null;
  #address: Promise<string> | null = null;
  #failure: Error | null = null;
  #isReady = false;
  #kills = 0;
  #whileStarting = 0;

  /**
   * @param compiled directory in which a server that ends in peace leaves compiled code, so that later ones start faster
   * @param settings environment variables beside the usual ones
   */
  constructor(dataDir: string, compiled: string, settings: Readonly<Record<string, string>> = {}) {
    const env = { PATH: process.env.PATH, NODE_COMPILE_CACHE: compiled };
    this.#env = { ...env, HOST: '127.0.0.1', PORT: '0', DATA_DIR: dataDir, MAX_WORKERS: '2', ...settings };
    // Nobody else would: a group of its own does not hear of the end of the process that started it.
    process.once('exit', () => this.#killGroup());
  }

  get counts(): KillCounts {
    return { kills: this.#kills, whileStarting: this.#whileStarting };
  }

  /**
   * The address of the server that is running or on its way, as long as it takes, over all restarts.
   * @throws {Error} when a server has ended by itself, with what it said
   */
  async address(): Promise<string> {
    for (;;) {
      if (this.#failure !== null) throw this.#failure;
      const current = this.#address;
      const address = await current?.catch(() => undefined);
      if (address !== undefined && current === this.#address) return address;
      await sleep(5);
    }
  }

  start(): void {
    const child = spawn(process.execPath, ['src/server.ts'], {
      cwd: root,
      env: this.#env,
      stdio: ['ignore', 'pipe', 'pipe'],
      // A process group of its own: a signal to -pid reaches the server and all that it may have started.
      detached: true,
    });
    const stderr: string[] = [];
    child.stderr.setEncoding('utf8').on('data', (text) => stderr.push(text));
    child.once('exit', (code, signal) => {
      if (signal === 'SIGKILL' || this.#child !== child) return;
      this.#failure = new Error(`the server ended by itself with ${signal ?? code}:\n${stderr.join('')}`);
    });
    this.#child = child;
    this.#isReady = false;
    this.#address = waitForReadyLine(child);
    this.#address.then(
      () => {
        this.#isReady = this.#child === child;
      },
      // Killed before it was ready.
      () => undefined,
    );
  }

  /** SIGKILL to the whole group; resolves when the server is gone. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (child === null || child.exitCode !== null) return;
    const gone = once(child, 'exit');
    this.#kills += 1;
    if (!this.#isReady) this.#whileStarting += 1;
    this.#killGroup();
    await gone;
  }

  #killGroup(): void {
    const { pid, exitCode, signalCode } = this.#child ?? {};
    if (pid !== undefined && exitCode === null && signalCode === null) process.kill(-pid, 'SIGKILL');
  }

  /** The usual end; the exit code. */
  async stop(): Promise<number | null> {
    const child = this.#child;
    if (child === null || child.exitCode !== null) return child?.exitCode ?? null;
    this.#child = null;
    const gone = once(child, 'exit') as Promise<[number | null]>;
    child.kill('SIGTERM');
    return (await gone)[0];
  }
}
