/** Every 4xx and 5xx as application/problem+json (RFC 9457): thrown errors, unknown paths, wrong methods, broken requests. */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Limits } from '../config.ts';
import { type ErrorCode, errorCodes, errors, errorType, ProblemError } from '../errors.ts';
import { jsonType } from './json-body.ts';

// Imported as an ES module it would bring `fetch` and WebSocket with it: 20 ms and 3 MB at every start.
const { STATUS_CODES } = process.getBuiltinModule('node:http');

export const problemMediaType = 'application/problem+json';

/** The document of an error, as the wire has it. */
export function problemDocumentOf(error: ProblemError, instance: string, request_id: string): Record<string, unknown> {
  const { status, title } = errors[error.code];
  const type = errorType(error.code);
  return { type, title, status, detail: error.message, instance, code: error.code, request_id, ...error.members };
}

/** Fastify's own errors that have an entry of their own in the registry; the rest goes by its status. */
const frameworkErrors: Readonly<Record<string, ErrorCode>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'payload_too_large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported_media_type',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'empty_body',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'bad_request',
  FST_ERR_MAX_PARAM_LENGTH: 'uri_too_long',
};

const frameworkDetails: Partial<Record<ErrorCode, string>> = {
  bad_request: 'The request could not be understood as HTTP.',
  uri_too_long: 'A part of the path is longer than any id of this service.',
};

function fromFramework(error: FastifyError, request: FastifyRequest, limits: Limits): ProblemError {
  const byStatus = errorCodes.find((code) => errors[code].status === error.statusCode);
  const code = frameworkErrors[error.code] ?? (isClientError(error) ? (byStatus ?? 'bad_request') : 'internal_error');
  if (code === 'payload_too_large') {
    const limit = { name: 'max_body_bytes', value: limits.max_body_bytes };
    return new ProblemError(
      code,
      `The body has more than ${limit.value} bytes. Larger data go to POST /v1/datasets, which streams them.`,
      { limit },
      { cause: error },
    );
  }
  const media = `The Content-Type of the body is not one that this operation accepts: ${mediaTypes(request).join(', ')}.`;
  const detail = code === 'unsupported_media_type' ? media : (frameworkDetails[code] ?? errors[code].description);
  return new ProblemError(code, detail, {}, { cause: error });
}

/** What the body of the operation may be. */
const mediaTypes = ({ routeOptions }: FastifyRequest): readonly string[] => routeOptions.schema?.consumes ?? [jsonType];

/** A 415 says what would have been accepted: RFC 9110 §15.5.16 and §12.5.3, RFC 5789 §3.1, LDP 1.0 §7.1. */
function nameAccepted(request: FastifyRequest, reply: FastifyReply): void {
  const names: Readonly<Record<string, string>> = { POST: 'accept-post', PATCH: 'accept-patch' };
  const name = names[request.method];
  if (name !== undefined) reply.header(name, mediaTypes(request).join(', '));
  if (request.headers['content-encoding'] !== undefined) reply.header('accept-encoding', 'identity');
}

/** Compressed bodies are not read: a small one could become a huge one. */
async function refuseContentCodings({ headers }: FastifyRequest): Promise<void> {
  const coding = headers['content-encoding'] ?? 'identity';
  if (coding.trim().toLowerCase() === 'identity') return;
  throw new ProblemError('unsupported_media_type', 'The body must come as it is, without a Content-Encoding.');
}

const isClientError = ({ statusCode }: FastifyError): boolean =>
  statusCode !== undefined && statusCode >= 400 && statusCode < 500;

/** Answers with a problem document and the headers that belong to it. */
export function sendProblem(request: FastifyRequest, reply: FastifyReply, error: ProblemError): FastifyReply {
  if (error.members.retry_after !== undefined)
    reply.header('retry-after', String(Math.ceil(error.members.retry_after)));
  return reply
    .code(error.status)
    .header('cache-control', 'no-store')
    .type(problemMediaType)
    .serializer(JSON.stringify)
    .send(problemDocumentOf(error, request.url, request.id));
}

/** Turns an error of another layer (the store's, say) into one of the registry, or leaves it to the caller. */
export type Translate = (error: unknown) => ProblemError | undefined;

/** Installs the error handler and the answer to unknown paths and wrong methods. */
export function answerProblems(app: FastifyInstance, limits: Limits, translate: Translate): void {
  const methodsOf = collectRoutes(app);
  app.setErrorHandler<FastifyError>((error, request, reply) => {
    const problem = error instanceof ProblemError ? error : (translate(error) ?? fromFramework(error, request, limits));
    if (problem.status === 415) nameAccepted(request, reply);
    if (problem.status >= 500) request.log.error({ err: error }, problem.message);
    return sendProblem(request, reply, problem);
  });
  // Before the body is read: what is wrong with the path or the method does not depend on it.
  app.addHook('onRequest', async (request, reply) => {
    if (request.is404) return answerUnknown(request, reply, methodsOf);
  });
  app.addHook('onRequest', refuseContentCodings);
  app.server.on('checkExpectation', answerExpectation);
  app.setNotFoundHandler((request, reply) => answerUnknown(request, reply, methodsOf));
}

function answerUnknown(
  request: FastifyRequest,
  reply: FastifyReply,
  methodsOf: (path: string) => string[],
): FastifyReply {
  const path = request.url.split('?', 1)[0];
  const allowed = methodsOf(path);
  if (allowed.length === 0)
    return sendProblem(request, reply, new ProblemError('not_found', `There is nothing at ${path}.`));
  reply.header('allow', allowed.join(', '));
  if (request.method === 'OPTIONS') return reply.code(204).send();
  const detail = `${path} supports ${allowed.join(', ')}, but not ${request.method}.`;
  return sendProblem(request, reply, new ProblemError('method_not_allowed', detail));
}

/** Remembers the routes as they are registered, and says which methods a path has. */
function collectRoutes(app: FastifyInstance): (path: string) => string[] {
  const routes: { readonly pattern: RegExp; readonly methods: readonly string[] }[] = [];
  app.addHook('onRoute', ({ url, method }) => {
    const source = url
      .replace(/[.+?^${}()|[\]\\]/g, '\\$&')
      .replace(/:\w+/g, '[^/]+')
      .replace(/\*/g, '.*');
    routes.push({ pattern: new RegExp(`^${source}$`), methods: [method].flat() });
  });
  return (path) => {
    const found = routes.filter(({ pattern }) => pattern.test(path)).flatMap(({ methods }) => methods);
    return found.length === 0 ? [] : [...new Set([...found, 'OPTIONS'])].sort();
  };
}

/** The only expectation of HTTP/1.1 is `100-continue`, which Node meets by itself. */
function answerExpectation(request: IncomingMessage, response: ServerResponse): void {
  const detail = `The expectation ${JSON.stringify(request.headers.expect)} cannot be met.`;
  const document = problemDocumentOf(new ProblemError('expectation_failed', detail), request.url ?? '', randomUUID());
  response.writeHead(417, { 'content-type': problemMediaType, connection: 'close' }).end(JSON.stringify(document));
}

const socketErrors: Readonly<Record<string, ErrorCode>> = {
  ERR_HTTP_REQUEST_TIMEOUT: 'request_timeout',
  HPE_HEADER_OVERFLOW: 'headers_too_large',
};

/** Answers a connection on which no request could be parsed, then closes it. */
export function answerBrokenRequest(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const code = socketErrors[error.code ?? ''] ?? 'bad_request';
  const problem = new ProblemError(code, frameworkDetails[code] ?? errors[code].description);
  const body = JSON.stringify(problemDocumentOf(problem, '', ''));
  const head = [
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}`,
    `Content-Type: ${problemMediaType}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}
