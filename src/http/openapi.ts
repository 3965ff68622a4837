/** The OpenAPI 3.1 document: written by the zod schemas of the routes and the registry of errors, never by hand. */
import swagger from '@fastify/swagger';
import { createJsonSchemaTransform, createJsonSchemaTransformObject } from '@fastify/type-provider-zod';
import type { FastifyInstance, FastifySchema } from 'fastify';
import type { Config } from '../config.ts';
import { type ErrorCode, errors, ProblemError } from '../errors.ts';
import { problemDocument } from '../schemas/problem.ts';
import { componentPrefix, pruneSchemas } from './components.ts';
import type { AllResponseDocs, ResponseDocs } from './contract.ts';
import { describeWebhooks } from './openapi-webhooks.ts';
import { problemDocumentOf, problemMediaType } from './problems.ts';

/** The part of an OpenAPI document that is changed here. */
interface Document {
  paths: Record<string, Record<string, Operation>>;
  webhooks?: Record<string, unknown>;
  components: { schemas: Record<string, unknown> };
}

interface Media {
  schema?: unknown;
  example?: unknown;
  examples?: Record<string, { value: unknown }>;
}

interface Response {
  description: string;
  headers?: Record<string, unknown>;
  content?: Record<string, Media>;
}

interface Operation {
  requestBody?: { content: Record<string, Media> };
  responses: Record<string, Response>;
  /** What the route says beyond its schemas; taken out again when it has been worked in. */
  [docsKey]?: OperationDocs;
  security?: unknown;
}

const docsKey = 'x-docs';

interface OperationDocs {
  readonly errors: readonly ErrorCode[];
  readonly examples?: Readonly<Record<string, unknown>> | undefined;
  readonly requestMedia?: Readonly<Record<string, string>> | undefined;
  readonly responseDocs: AllResponseDocs;
}

export const tags = [
  { name: 'networks', description: 'Immutable definitions: layers, activations and loss.' },
  { name: 'datasets', description: 'Rows of inputs and targets, uploaded once and used by many jobs.' },
  { name: 'jobs', description: 'Training runs: progress, history, parameters, predictions.' },
  { name: 'gradients', description: 'Gradients explained, checked and audited, always in float64.' },
  { name: 'operations', description: 'Catalog, health, metrics and version.' },
];

/** Errors that follow from the shape of an operation. */
function impliedErrors(schema: FastifySchema, method: string): ErrorCode[] {
  const body: ErrorCode[] = [
    'malformed_json',
    'empty_body',
    'unsafe_json',
    'json_too_deep',
    'payload_too_large',
    'unsupported_media_type',
    'validation_failed',
  ];
  return [
    'bad_request',
    'unauthorized',
    ...(schema.body === undefined ? [] : body),
    ...(schema.querystring === undefined ? [] : ['validation_failed' as const]),
    ...(schema.params === undefined ? [] : ['not_found' as const, 'uri_too_long' as const]),
    'internal_error',
    'unavailable',
    ...(method === 'GET' ? [] : ['insufficient_storage' as const]),
  ];
}

const toJsonSchema = createJsonSchemaTransform({});
const withComponents = createJsonSchemaTransformObject({});

export async function describeApi(app: FastifyInstance, config: Config, version: string): Promise<void> {
  const secured = config.apiKeys.length > 0;
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Trainyard',
        version,
        description:
          'Trains neural networks over HTTP and explains their numbers. Every error is an RFC 9457 problem document with a stable `code`; `GET /v1/catalog` lists them all.',
        license: { name: 'MIT', identifier: 'MIT' },
      },
      servers: [{ url: '/', description: 'This service' }],
      tags,
      components: {
        securitySchemes: {
          bearer: { type: 'http', scheme: 'bearer', description: 'An API key as a bearer token.' },
          api_key: {
            type: 'apiKey',
            in: 'header',
            name: 'X-API-Key',
            description: 'An API key in a header of its own.',
          },
        },
      },
      security: secured ? [{ bearer: [] }, { api_key: [] }] : [{ bearer: [] }, { api_key: [] }, {}],
    },
    transform: (document) => {
      const transformed = toJsonSchema(document);
      const schema = document.schema as FastifySchema | undefined;
      if (schema === undefined || schema.hide) return transformed;
      const docs: OperationDocs = {
        errors: [...new Set([...impliedErrors(schema, String(document.route.method)), ...(schema.errors ?? [])])],
        examples: schema.examples,
        requestMedia: schema.requestMedia,
        // By now they have been computed.
        responseDocs: (schema.responseDocs ?? {}) as AllResponseDocs,
      };
      return { ...transformed, schema: { ...transformed.schema, [docsKey]: docs } };
    },
    transformObject: (document) => {
      const complete = withComponents(document) as unknown as Document;
      for (const methods of Object.values(complete.paths)) {
        for (const operation of Object.values(methods)) workIn(operation, complete.components.schemas);
      }
      complete.webhooks = describeWebhooks();
      return pruneSchemas(complete) as never;
    },
  });
}

/** Works the examples, headers, media types and errors of a route into its operation. */
function workIn(operation: Operation, schemas: Document['components']['schemas']): void {
  const docs = operation[docsKey];
  delete operation[docsKey];
  if (docs === undefined) return;
  for (const media of Object.values(operation.requestBody?.content ?? {})) addExamples(media, docs.examples ?? {});
  for (const [type, example] of Object.entries(docs.requestMedia ?? {})) {
    if (operation.requestBody !== undefined)
      operation.requestBody.content[type] = { schema: { type: 'string' }, example };
  }
  for (const [status, response] of Object.entries(operation.responses)) {
    response.description = descriptionOf(response, schemas);
    describeResponse(response, docs.responseDocs[Number(status)] ?? {});
  }
  const statuses = [...new Set(docs.errors.map((code) => errors[code].status))].sort((a, b) => a - b);
  for (const status of statuses) {
    operation.responses[status] = errorResponse(docs.errors.filter((code) => errors[code].status === status));
  }
}

/** A response is described by its schema unless the route says more; @fastify/swagger does not look behind references. */
function descriptionOf(response: Response, schemas: Document['components']['schemas']): string {
  const schema = response.content?.['application/json']?.schema as { readonly $ref?: string } | undefined;
  const component = schema?.$ref === undefined ? undefined : schemas[schema.$ref.slice(componentPrefix.length)];
  return (component as { readonly description?: string } | undefined)?.description ?? response.description;
}

function addExamples(media: Media | undefined, examples: Readonly<Record<string, unknown>>): void {
  if (media === undefined) return;
  if (Object.keys(examples).length === 0) return;
  delete media.example;
  media.examples = Object.fromEntries(Object.entries(examples).map(([name, value]) => [name, { value }]));
}

function describeResponse(response: Response, docs: ResponseDocs): void {
  if (docs.description !== undefined) response.description = docs.description;
  if (docs.headers !== undefined) {
    response.headers = Object.fromEntries(
      Object.entries(docs.headers).map(([name, description]) => [name, { description, schema: { type: 'string' } }]),
    );
  }
  if (docs.examples !== undefined) addExamples(response.content?.['application/json'], docs.examples);
  const onlyOther =
    docs.media !== undefined &&
    response.content?.['application/json']?.schema !== undefined &&
    isString(response.content['application/json'].schema);
  if (onlyOther) delete response.content?.['application/json'];
  for (const [type, example] of Object.entries(docs.media ?? {})) {
    response.content = { ...response.content, [type]: { schema: { type: 'string' }, example } };
  }
}

/** A response that is a plain string has no JSON form: its media types are those of `media` alone. */
const isString = (schema: unknown): boolean => (schema as { type?: unknown }).type === 'string';

const problemReference = `${componentPrefix}${problemDocument.meta()?.id}`;

function errorResponse(codes: readonly ErrorCode[]): Response {
  return {
    description: codes.map((code) => `\`${code}\`: ${errors[code].title}.`).join(' '),
    ...headersOf(codes[0]),
    content: {
      [problemMediaType]: {
        schema: { $ref: problemReference },
        examples: Object.fromEntries(
          codes.map((code) => [code, { summary: errors[code].title, value: exampleOf(code) }]),
        ),
      },
    },
  };
}

const retry = { 'Retry-After': { description: 'Seconds to wait.', schema: { type: 'string' } } };
const challenge = { 'WWW-Authenticate': { description: 'The scheme to use.', schema: { type: 'string' } } };
const headersByStatus: Readonly<Record<number, Response['headers']>> = { 401: challenge, 429: retry, 503: retry };

function headersOf(code: ErrorCode): Pick<Response, 'headers'> {
  const headers = headersByStatus[errors[code].status];
  return headers === undefined ? {} : { headers };
}

const exampleProblem = {
  pointer: '/layers/0/activation',
  code: 'unknown_name',
  detail: 'activation cannot be "rleu". Did you mean relu?',
  allowed: ['linear', 'relu'],
  did_you_mean: 'relu',
} as const;

function exampleOf(code: ErrorCode): unknown {
  const members = code === 'validation_failed' ? { errors: [exampleProblem] } : {};
  const detail = code === 'validation_failed' ? exampleProblem.detail : errors[code].description;
  return problemDocumentOf(
    new ProblemError(code, detail, members),
    '/v1/networks',
    '0198c5d2-7a3e-7bc1-9f00-5d3c1c0a8e21',
  );
}
