/** Prometheus metrics: the process, and every answered request by method, route and status. */
import type { FastifyInstance } from 'fastify';
import { collectDefaultMetrics, Histogram, Registry } from 'prom-client';

declare module 'fastify' {
  interface FastifyInstance {
    /** Where a routes file registers metrics of its own: `new Gauge({ registers: [app.metrics], collect() { … } })`. */
    readonly metrics: Registry;
  }
}

let processMetrics: Registry | undefined;

/** The process has one set of metrics, however many applications it holds. */
function ofProcess(): Registry {
  if (processMetrics === undefined) {
    processMetrics = new Registry();
    collectDefaultMetrics({ register: processMetrics });
  }
  return processMetrics;
}

export function measureRequests(app: FastifyInstance): void {
  const metrics = new Registry();
  const duration = new Histogram({
    name: 'http_request_duration_seconds',
    help: 'Seconds from the arrival of a request to the end of its answer.',
    labelNames: ['method', 'route', 'status'],
    buckets: [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30],
    registers: [metrics],
  });
  app.decorate('metrics', metrics);
  app.addHook('onResponse', async (request, reply) => {
    // The pattern, not the path: one series per route, also for paths that do not exist.
    const route = request.routeOptions.url ?? 'none';
    duration.observe({ method: request.method, route, status: String(reply.statusCode) }, reply.elapsedTime / 1000);
  });
}

/** The text that Prometheus scrapes. */
export function metricsText(app: FastifyInstance): Promise<string> {
  return Registry.merge([ofProcess(), app.metrics]).metrics();
}

export const metricsMediaType = Registry.PROMETHEUS_CONTENT_TYPE;
