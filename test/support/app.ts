/** A real application on a data directory of its own, for a whole test file or one group in it. */
import { mkdtempSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import supertest from 'supertest';
import { afterAll, afterEach, beforeAll } from 'vitest';
import { buildApp } from '../../src/app.ts';
import { type Config, readConfig } from '../../src/config.ts';
import { createLogger } from '../../src/http/logging.ts';
import { openServices, type Services, type Surroundings } from '../../src/services/services.ts';

export interface RunningApp {
  readonly app: FastifyInstance;
  readonly services: Services;
  readonly config: Config;
  readonly port: number;
  /** What the application has logged so far, one parsed line each. */
  readonly log: Record<string, unknown>[];
  /** A supertest agent on the listening application. */
  readonly request: ReturnType<typeof supertest>;
}

export interface StartedApp extends RunningApp {
  stop(): Promise<void>;
  /** Removes the data directory. */
  remove(): void;
}

/**
 * Starts an application; `env` overrides settings and limits, by the names of the environment.
 * @param surroundings what it stands on, such as a storage that fails
 */
export async function startApp(
  env: Readonly<Record<string, string>> = {},
  surroundings: Surroundings = {},
): Promise<StartedApp> {
  const dataDir = env.DATA_DIR ?? mkdtempSync(join(tmpdir(), 'trainyard-test-'));
  const config = readConfig({ PORT: '0', MAX_WORKERS: '1', ...env, DATA_DIR: dataDir });
  const log: Record<string, unknown>[] = [];
  const sink = new Writable({
    write(chunk, _encoding, done) {
      log.push(JSON.parse(String(chunk)));
      done();
    },
  });
  const logger = createLogger(config, sink);
  const services = await openServices(config, logger, surroundings);
  const app = await buildApp(config, services, logger);
  await app.listen({ host: config.host, port: config.port });
  const { port } = app.server.address() as AddressInfo;
  const request = supertest(`http://127.0.0.1:${port}`);
  const stop = async () => {
    await services.close();
    await app.close();
  };
  const remove = () => rmSync(config.dataDir, { recursive: true, force: true });
  return { app, services, config, port, log, request, stop, remove };
}

/**
 * Starts an application before the tests of this file (or group) and stops it after them. Its data directory is
 * removed, unless a test failed: then it stays for a look inside, and its path is printed.
 */
export function useApp(env: Readonly<Record<string, string>> = {}): RunningApp {
  const running = {} as StartedApp;
  let failed = false;
  beforeAll(async () => {
    Object.assign(running, await startApp(env));
  });
  afterEach(({ task }) => {
    failed ||= task.result?.state === 'fail';
  });
  afterAll(async () => {
    await running.stop();
    if (failed) console.error(`The data of the failed test are in ${running.config.dataDir}`);
    else running.remove();
  });
  return running;
}
