/** Prometheus metrics: the process, and every answered request by method, route and status. */
import type { FastifyInstance } from 'fastify';
import { collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

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
  // From the start, so that the first scrape has something to tell of the event loop.
  ofProcess();
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

/** A value that is asked for at each scrape. */
export interface GaugeSource {
  readonly help: string;
  /** One value, or one for each value of `label`. */
  read(): Promise<number | Readonly<Record<string, number>>>;
  readonly label?: string | undefined;
}

/** Metrics by name. One that cannot be read is NaN or left out, so that the others still answer when the storage does not. */
export function addGauges(
  { metrics }: Pick<FastifyInstance, 'metrics'>,
  sources: Readonly<Record<string, GaugeSource>>,
): void {
  for (const [name, { help, label, read }] of Object.entries(sources)) {
    new Gauge({
      name,
      help,
      labelNames: label === undefined ? [] : [label],
      registers: [metrics],
      async collect() {
        const values = await read().catch(() => (label === undefined ? Number.NaN : {}));
        this.reset();
        if (typeof values === 'number') this.set(values);
        else for (const [value, count] of Object.entries(values)) this.set({ [label as string]: value }, count);
      },
    });
  }
}

/** The text that Prometheus scrapes. */
export function metricsText(app: FastifyInstance): Promise<string> {
  return Registry.merge([ofProcess(), app.metrics]).metrics();
}

export const metricsMediaType = Registry.PROMETHEUS_CONTENT_TYPE;
