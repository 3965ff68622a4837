import { z } from 'zod';
import packageJson from '../package.json' with { type: 'json' };
import { addGauges, metricsMediaType, metricsText } from '../src/http/metrics.ts';
import { health, version } from '../src/schemas/operations.ts';
import { checkReadiness } from '../src/services/readiness.ts';
import type { Routes } from './plugin.ts';

const tags = ['operations'];
/** Probes are open also where the service has API keys. */
const security: Record<string, string[]>[] = [{}];

const page = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Trainyard</title>
<h1>Trainyard</h1>
<p>A self-hosted HTTP service that trains neural networks and explains their numbers.</p>
<ul>
<li><a href="/docs">API documentation</a>, with examples that run</li>
<li><a href="/openapi.json">OpenAPI document</a></li>
<li><a href="/v1/catalog">Catalog</a> of activations, losses, optimizers, limits and errors</li>
</ul>
</html>
`;

export const operationRoutes: Routes = async (app, { services }) => {
  addGauges(app, services.gauges);

  app.get(
    '/livez',
    {
      schema: {
        operationId: 'getLiveness',
        tags,
        security,
        summary: 'Is the process alive?',
        description: 'Answers 200 as long as the process answers at all; a supervisor restarts it otherwise.',
        response: { 200: health },
      },
    },
    async () => ({ status: 'ok' as const }),
  );

  app.get(
    '/readyz',
    {
      schema: {
        operationId: 'getReadiness',
        tags,
        security,
        summary: 'Can it take requests?',
        description:
          'Answers 503 while the service starts or stops, or when the storage does not answer; a balancer sends requests elsewhere.',
        response: { 200: health },
      },
    },
    async () => {
      await checkReadiness(services);
      return { status: 'ok' as const };
    },
  );

  app.get(
    '/metrics',
    {
      schema: {
        operationId: 'getMetrics',
        tags,
        summary: 'Metrics for Prometheus',
        description:
          'The process with the delay of its event loop, the requests by route and status, the jobs by state, the queue, the workers, and whether the disk is full.',
        response: { 200: z.string().meta({ description: 'The Prometheus text format.' }) },
        responseDocs: {
          200: { media: { 'text/plain': '# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total 0.5\n' } },
        },
      },
    },
    async (_request, reply) => reply.type(metricsMediaType).send(await metricsText(app)),
  );

  app.get(
    '/version',
    {
      schema: {
        operationId: 'getVersion',
        tags,
        summary: 'What is running',
        description: 'The version of the service, of Node and of V8.',
        response: { 200: version },
      },
    },
    async () => ({
      name: packageJson.name,
      version: packageJson.version,
      node: process.versions.node,
      v8: process.versions.v8,
      platform: process.platform,
      arch: process.arch,
    }),
  );

  app.get('/', { schema: { hide: true } }, async (_request, reply) =>
    reply.type('text/html; charset=utf-8').send(page),
  );
};
