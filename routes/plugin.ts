import type { FastifyPluginAsyncZod } from '@fastify/type-provider-zod';
import type { Config } from '../src/config.ts';
import type { Services } from '../src/services/services.ts';

/** What a route may use. */
export interface RouteContext {
  readonly services: Services;
  readonly config: Config;
  readonly [option: string]: unknown;
}

/** A file of this folder exports one of these. */
export type Routes = FastifyPluginAsyncZod<RouteContext & Record<never, never>>;
