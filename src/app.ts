/** The application: every route and plugin on one Fastify instance, without listening and without reading the environment. */
import type { FastifyPluginAsyncZod } from '@fastify/type-provider-zod';
import type { FastifyInstance } from 'fastify';
import type { Config } from './config.ts';
import type { Services } from './services/services.ts';

export type { Services } from './services/services.ts';

export interface RouteContext {
  readonly services: Services;
  readonly config: Config;
  readonly [option: string]: unknown;
}

/** A file in routes/ exports one of these. */
export type Routes = FastifyPluginAsyncZod<RouteContext & Record<never, never>>;

/** Builds the application. The services outlive it: whoever made them closes them. */
export type BuildApp = (config: Config, services: Services) => Promise<FastifyInstance>;
