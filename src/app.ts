/** The application: every plugin and route on one Fastify instance, without listening and without reading the environment. */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import fastify, { type FastifyBaseLogger, type FastifyInstance } from 'fastify';
import packageJson from '../package.json' with { type: 'json' };
import { catalogRoutes } from '../routes/catalog.ts';
import { datasetRoutes } from '../routes/datasets.ts';
import { gradientRoutes } from '../routes/gradients.ts';
import { jobChangeRoutes } from '../routes/job-changes.ts';
import { jobResultRoutes } from '../routes/job-results.ts';
import { jobWebhookRoutes } from '../routes/job-webhooks.ts';
import { jobRoutes } from '../routes/jobs.ts';
import { networkRoutes } from '../routes/networks.ts';
import { operationRoutes } from '../routes/operations.ts';
import type { Routes } from '../routes/plugin.ts';
import { postMortemRoutes } from '../routes/post-mortems.ts';
import { predictionRoutes } from '../routes/predictions.ts';
import type { Config } from './config.ts';
import { ProblemError } from './errors.ts';
import { requireApiKey } from './http/authentication.ts';
import { serveDocumentation } from './http/documentation.ts';
import { acceptJson } from './http/json-body.ts';
import { RequestLog } from './http/logging.ts';
import { measureRequests } from './http/metrics.ts';
import { answerBrokenRequest, answerProblems, sendProblem } from './http/problems.ts';
import { schemaController } from './http/schema-controller.ts';
import { secureHeaders } from './http/security-headers.ts';
import { validatorCompiler } from './http/validation.ts';
import type { Services } from './services/services.ts';
import { StoreError } from './store/store.ts';

/** Milliseconds: for the headers, for a request of the largest size to arrive, and to outlive a load balancer's usual 60 s. */
const timeouts = { headers: 30_000, request: 120_000, keepAlive: 72_000 };

/** Every resource's routes; the order is that of the documentation. */
const routes: readonly Routes[] = [
  networkRoutes,
  datasetRoutes,
  jobRoutes,
  jobChangeRoutes,
  jobResultRoutes,
  predictionRoutes,
  postMortemRoutes,
  jobWebhookRoutes,
  gradientRoutes,
  catalogRoutes,
  operationRoutes,
];

/** Builds the application. The services outlive it: whoever made them closes them. */
export async function buildApp(
  config: Config,
  services: Services,
  logger?: FastifyBaseLogger,
): Promise<FastifyInstance> {
  const app = fastify({
    ...(logger === undefined ? { logger: false } : { loggerInstance: logger }),
    schemaController: schemaController(validatorCompiler),
    genReqId: requestId,
    logController: new RequestLog(),
    bodyLimit: config.limits.max_body_bytes,
    http: { headersTimeout: timeouts.headers },
    requestTimeout: timeouts.request,
    keepAliveTimeout: timeouts.keepAlive,
    clientErrorHandler: answerBrokenRequest,
    // While closing, `readyz` and `refuseWhenNotReady` answer in the service's own words.
    return503OnClosing: false,
    frameworkErrors: (error, request, reply) => {
      reply.header('x-request-id', request.id);
      const tooLong = error.code === 'FST_ERR_MAX_PARAM_LENGTH';
      const detail = tooLong
        ? 'A part of the path is longer than any id of this service.'
        : 'The path is not a valid URL.';
      sendProblem(request, reply, new ProblemError(tooLong ? 'uri_too_long' : 'bad_request', detail));
    },
  });
  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id);
  });
  measureRequests(app);
  await secureHeaders(app);
  requireApiKey(app, config.apiKeys);
  answerProblems(app, config.limits, fromStore);
  refuseWhenNotReady(app, services);
  acceptJson(app, config.limits);
  serveDocumentation(app, config, packageJson.version);
  for (const plugin of routes) await app.register(plugin, { services, config });
  await app.ready();
  return app;
}

/** The client's `X-Request-Id` when it is harmless in a log, else a new one. */
function requestId({ headers }: Pick<IncomingMessage, 'headers'>): string {
  const given = headers['x-request-id'];
  return typeof given === 'string' && /^[\w.:@/+-]{1,128}$/.test(given) ? given : randomUUID();
}

/** Requests that change something wait until the service is ready, and stop when it is stopping. */
function refuseWhenNotReady(app: FastifyInstance, services: Services): void {
  app.addHook('onRequest', async (request) => {
    if (request.method === 'GET' || request.method === 'HEAD' || services.ready()) return;
    throw new ProblemError('unavailable', 'The service is starting or stopping.', { retry_after: 5 });
  });
}

/** A store that is full or busy can be asked again later; any other failure of it is for the operator. */
function fromStore(error: unknown): ProblemError | undefined {
  if (!(error instanceof StoreError)) return undefined;
  const options = { cause: error };
  if (error.code === 'storage_full') {
    return new ProblemError('insufficient_storage', 'The disk of the service is full.', { retry_after: 60 }, options);
  }
  if (error.code === 'storage_busy') {
    return new ProblemError('unavailable', 'The storage does not answer at the moment.', { retry_after: 1 }, options);
  }
  const detail = 'The storage has failed; the log says how, under the request_id.';
  return new ProblemError('internal_error', detail, {}, options);
}
