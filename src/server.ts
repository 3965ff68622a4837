/** The process: configuration → services → application → listen, and a graceful end. */
import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import { buildApp } from './app.ts';
import { type Config, ConfigError, readConfig } from './config.ts';
import { createLogger } from './http/logging.ts';
import { openServices, type Services } from './services/services.ts';
import { StoreError } from './store/store.ts';

/** Milliseconds from the signal to the end, whatever hangs: supervisors kill after 10 s. */
const gracePeriod = 9_500;

/**
 * Milliseconds for answers under way once everything else has ended. A connection that asks for nothing can look as if it
 * were about to, and would be waited for.
 */
const answerPeriod = 2_000;

/** Milliseconds after the start; a job that comes before starts its thread itself. */
const warmUpAfter = 50;

/** Faults that the operator can mend: said in one sentence, without a stack. */
function explain(error: unknown, config?: Config): string | undefined {
  if (error instanceof ConfigError || error instanceof StoreError) return error.message;
  const { code } = error as NodeJS.ErrnoException;
  const place = `${config?.host}:${config?.port}`;
  if (code === 'EADDRINUSE')
    return `Port ${config?.port} on ${config?.host} is in use already: stop what uses it, or set PORT (0 takes a free one).`;
  if (code === 'EACCES') return `There is no permission to use ${place} or ${config?.dataDir}.`;
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND')
    return `HOST ${config?.host} is not an address of this machine.`;
  return undefined;
}

function readyLine(app: FastifyInstance): string {
  const { address, port, family } = app.server.address() as AddressInfo;
  return `Trainyard is ready on http://${family === 'IPv6' ? `[${address}]` : address}:${port}`;
}

/** Refuses new work, brings what runs to a safe point, then ends. */
async function shutDown(app: FastifyInstance, services: Services, logger: Logger, signal: string): Promise<void> {
  logger.info({ signal }, 'stopping: running jobs are saved at their next step');
  setTimeout(() => {
    logger.error('not everything ended in time; the state on disk is that of the last checkpoints');
    process.exit(1);
  }, gracePeriod).unref();
  // The services first: they are not ready from now on, and running requests still get their answers.
  await services.close();
  setTimeout(() => app.server.closeAllConnections(), answerPeriod).unref();
  await app.close();
  logger.info('stopped');
}

function stopOnSignals(app: FastifyInstance, services: Services, logger: Logger): void {
  let stopping = false;
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      if (stopping) return;
      stopping = true;
      shutDown(app, services, logger, signal).then(
        () => process.exit(0),
        (error: unknown) => {
          logger.fatal({ err: error }, 'stopping failed');
          process.exit(1);
        },
      );
    });
  }
}

async function start(config: Config, logger: Logger): Promise<void> {
  const services = await openServices(config, logger);
  try {
    const app = await buildApp(config, services, logger);
    stopOnSignals(app, services, logger);
    await app.listen({ host: config.host, port: config.port });
    logger.info(
      { data_dir: config.dataDir, workers: config.maxWorkers, authenticated: config.apiKeys.length > 0 },
      readyLine(app),
    );
    // Probing the processor takes some 35 ms: whoever waits for this line is answered first.
    setTimeout(() => void services.warmUp(), warmUpAfter).unref();
  } catch (error) {
    await services.close();
    throw error;
  }
}

let config: Config | undefined;
try {
  config = readConfig();
  await start(config, createLogger(config));
} catch (error) {
  console.error(explain(error, config) ?? error);
  process.exitCode = 1;
}
