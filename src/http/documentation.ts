/**
 * The API documentation, `/docs` and `/openapi.json`: made when it is first asked for, because making it takes nearly as
 * long as starting all the rest, and most processes are never asked.
 */
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest, type RouteOptions } from 'fastify';
import type { Config } from '../config.ts';
import { schemaController } from './schema-controller.ts';

/** Headers that belong to a connection, or that Fastify sets for every answer. */
const notPassedOn = new Set(['connection', 'content-length', 'date', 'keep-alive', 'transfer-encoding']);

/** Documents every route that is added to the application from now on. */
export function serveDocumentation(app: FastifyInstance, config: Config, version: string): void {
  const described: RouteOptions[] = [];
  let made: Promise<FastifyInstance> | undefined;
  const answer = async (request: FastifyRequest, reply: FastifyReply) => {
    made ??= makeDocumentation(described, config, version);
    const { statusCode, headers, rawPayload } = await (await made).inject({
      method: 'GET',
      url: request.url,
      headers: request.headers as Record<string, string>,
    });
    if (statusCode === 404) return reply.callNotFound();
    for (const [name, value] of Object.entries(headers)) {
      if (value !== undefined && !notPassedOn.has(name)) reply.header(name, value);
    }
    return reply.code(statusCode).send(rawPayload);
  };
  for (const url of ['/openapi.json', '/docs', '/docs/*']) app.get(url, { schema: { hide: true } }, answer);
  app.addHook('onRoute', (route) => {
    if (route.method !== 'HEAD') described.push({ ...route });
  });
}

/** An application of its own that never listens. It has the routes for their descriptions only. */
async function makeDocumentation(
  described: readonly RouteOptions[],
  config: Config,
  version: string,
): Promise<FastifyInstance> {
  const [{ describeApi }, { default: swaggerUi }] = await Promise.all([
    import('./openapi.ts'),
    import('@fastify/swagger-ui'),
  ]);
  // Nobody calls the routes here, so that nothing is checked.
  const documentation = fastify({ schemaController: schemaController(() => () => true) });
  await describeApi(documentation, config, version);
  await documentation.register(swaggerUi, {
    routePrefix: '/docs',
    uiConfig: { deepLinking: true, tryItOutEnabled: true },
    theme: { title: 'Trainyard API' },
  });
  for (const route of described) documentation.route(await withAnswers(route));
  documentation.get('/openapi.json', { schema: { hide: true } }, async () => documentation.swagger());
  await documentation.ready();
  return documentation;
}

/** The route with those of its documented answers that have to be computed. */
async function withAnswers(route: RouteOptions): Promise<RouteOptions> {
  const { schema } = route;
  if (typeof schema?.responseDocs !== 'function') return route;
  return { ...route, schema: { ...schema, responseDocs: await schema.responseDocs() } };
}
