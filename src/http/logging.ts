/** Logs: one line per request with its request_id, JSON for machines, readable on a terminal, never a secret. */
import type { EventEmitter } from 'node:events';
import type { Writable } from 'node:stream';
import fastify, { type FastifyReply, type FastifyRequest } from 'fastify';
import { type DestinationStream, type Logger, pino, stdTimeFunctions } from 'pino';
import type { Config } from '../config.ts';

/** Headers and settings that carry a secret; a line that contains one shows `[redacted]` in its place. */
const secrets = ['authorization', '["x-api-key"]', 'cookie'].flatMap((name) => {
  const path = name.startsWith('[') ? name : `.${name}`;
  return [`headers${path}`, `req.headers${path}`, `request.headers${path}`];
});

/** @param stream where the lines go; standard output unless given, and readable there when it is a terminal. */
export function createLogger(config: Pick<Config, 'logLevel'>, stream?: Writable): Logger {
  return pino(
    {
      level: config.logLevel,
      base: null,
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: {
        paths: [...secrets, 'apiKeys', 'config.apiKeys', 'databaseUrl', 'config.databaseUrl'],
        censor: '[redacted]',
      },
    },
    stream ?? standardOutput(),
  );
}

/**
 * Who reads the log may go away (EPIPE), or the disk it goes to may be full: lines are lost then, but the service goes
 * on. Without a listener the error would end the process.
 */
function survive(stream: Pick<EventEmitter, 'on'>): void {
  stream.on('error', () => undefined);
}

/** For people; loaded where there is a terminal only. */
const pretty = process.stdout.isTTY ? (await import('pino-pretty')).default : null;

function standardOutput(): DestinationStream {
  survive(process.stdout);
  survive(process.stderr);
  if (pretty === null) return process.stdout;
  return pretty({ colorize: true, translateTime: 'SYS:HH:MM:ss.l', ignore: 'pid,hostname', sync: true });
}

/** Probes come every few seconds and say nothing when all is well. */
const quiet: ReadonlySet<string | undefined> = new Set(['/livez', '/readyz', '/metrics']);

/** One line when a request has been answered, instead of Fastify's two. */
export class RequestLog extends fastify.LogController {
  constructor() {
    super({ requestIdLogLabel: 'request_id' });
  }

  override incomingRequest(request: FastifyRequest): void {
    request.log.debug({ method: request.method, url: request.url }, 'request received');
  }

  override requestCompleted(error: Error | null, request: FastifyRequest, reply: FastifyReply): void {
    const line = {
      method: request.method,
      url: request.url,
      status: reply.statusCode,
      duration_ms: Math.round(reply.elapsedTime * 10) / 10,
    };
    if (error) request.log.error({ ...line, err: error }, 'request failed while it was answered');
    else if (quiet.has(request.routeOptions.url) && reply.statusCode < 400) request.log.debug(line, 'request answered');
    else request.log.info(line, 'request answered');
  }
}
