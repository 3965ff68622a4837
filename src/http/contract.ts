/** What a route may say about itself in its schema, besides what Fastify and @fastify/swagger know: see routes/README.md. */
import type { ErrorCode } from '../errors.ts';

/** Documentation of one response beyond its zod schema. */
export interface ResponseDocs {
  /** Defaults to the description of the response's zod schema. */
  readonly description?: string;
  /** Examples by name; they are checked against the schema by a test. */
  readonly examples?: Readonly<Record<string, unknown>>;
  /** Header → what it says. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Other media types of the same answer, each with an example text: `{'text/csv': 'step,loss\n…'}`. */
  readonly media?: Readonly<Record<string, string>>;
}

/** By status. */
export type AllResponseDocs = Readonly<Record<number, ResponseDocs>>;

declare module 'fastify' {
  interface FastifySchema {
    /** Codes of the registry that this operation can answer, besides those that follow from its shape. */
    readonly errors?: readonly ErrorCode[];
    /** Examples of the request body by name; they are checked against the schema by a test. */
    readonly examples?: Readonly<Record<string, unknown>>;
    /** Other media types of the request body, each with an example text. */
    readonly requestMedia?: Readonly<Record<string, string>>;
    /** A function where they have to be computed: it is called when the documentation is first asked for. */
    readonly responseDocs?: AllResponseDocs | (() => Promise<AllResponseDocs>);
  }
}
