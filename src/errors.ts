/** The registry of coded errors: every 4xx and 5xx answer, the OpenAPI document, the catalog and the README's table derive from it. */

interface ErrorEntry {
  readonly status: number;
  readonly title: string;
  /** What happened and what the client can do about it. */
  readonly description: string;
}

/** Codes of whole answers, by status. */
export const errors = {
  malformed_json: {
    status: 400,
    title: 'The body is not valid JSON',
    description: 'The body could not be parsed as JSON; `detail` gives line and column. NaN and Infinity are not JSON.',
  },
  empty_body: {
    status: 400,
    title: 'The body is empty',
    description: 'The operation needs a JSON body, and none was sent.',
  },
  unsafe_json: {
    status: 400,
    title: 'The body contains a forbidden key',
    description: 'A key named `__proto__`, or `constructor` with a `prototype`, is refused wherever it stands.',
  },
  json_too_deep: {
    status: 400,
    title: 'The body is nested too deeply',
    description: 'Objects and arrays are nested deeper than the limit `max_json_depth`.',
  },
  bad_request: {
    status: 400,
    title: 'The request is malformed',
    description: 'The request line, a header or the framing of the body is not valid HTTP.',
  },
  unauthorized: {
    status: 401,
    title: 'An API key is needed',
    description:
      'The service has API keys and the request carries none that is valid: `Authorization: Bearer <key>` or `X-API-Key: <key>`.',
  },
  not_found: {
    status: 404,
    title: 'Nothing is here',
    description: 'There is no such path, or no resource with this id.',
  },
  method_not_allowed: {
    status: 405,
    title: 'The path does not support this method',
    description: 'The header `Allow` lists the methods that the path supports.',
  },
  not_acceptable: {
    status: 406,
    title: 'No representation matches the Accept header',
    description: 'The resource is not available in any media type that the request accepts.',
  },
  request_timeout: {
    status: 408,
    title: 'The request took too long to arrive',
    description: 'The whole request must arrive within two minutes.',
  },
  wrong_state: {
    status: 409,
    title: 'The resource is in the wrong state',
    description: 'The action is not possible now; `current_state` and `allowed_actions` say what is.',
  },
  already_exists: {
    status: 409,
    title: 'There is one already',
    description: 'The key of your own is taken by another resource; `existing` says which one.',
  },
  cannot_replay: {
    status: 409,
    title: 'The job cannot be replayed',
    description:
      'Its data set has been deleted, its checkpoints cannot be read, or this machine computes otherwise than the one that trained it; `"arithmetic": "strict"` is the same on every machine.',
  },
  in_use: {
    status: 409,
    title: 'The resource is in use',
    description: 'Another resource still refers to this one, so it cannot be deleted.',
  },
  payload_too_large: {
    status: 413,
    title: 'The body is too large',
    description: 'The body is larger than the limit named in `limit`.',
  },
  uri_too_long: {
    status: 414,
    title: 'The URL is too long',
    description: 'A part of the path is longer than any id of this service.',
  },
  unsupported_media_type: {
    status: 415,
    title: 'The media type of the body is not supported',
    description: 'Send the body as one of the types that `detail` names, usually `Content-Type: application/json`.',
  },
  expectation_failed: {
    status: 417,
    title: 'The expectation cannot be met',
    description: 'The only expectation that a request may have is `Expect: 100-continue`.',
  },
  validation_failed: {
    status: 422,
    title: 'The request has invalid fields',
    description:
      'The request is well formed but says something that cannot be carried out; `errors` lists every problem with its pointer.',
  },
  limit_exceeded: {
    status: 422,
    title: 'The request is over a limit of this service',
    description:
      'The work would exceed a configured limit; `errors` gives the estimate, the limit’s name and its value. Nothing was allocated.',
  },
  idempotency_key_reused: {
    status: 422,
    title: 'The idempotency key was used with another body',
    description: 'The same `Idempotency-Key` came with a different request before; use a new key for a new request.',
  },
  too_many_requests: {
    status: 429,
    title: 'Too much is waiting already',
    description: 'The queue is full; `limit` names the limit and `Retry-After` says when to try again.',
  },
  headers_too_large: {
    status: 431,
    title: 'The request headers are too large',
    description: 'The headers together are larger than 16 KiB.',
  },
  internal_error: {
    status: 500,
    title: 'The service failed',
    description: 'A fault of the service, not of the request. The log has the details under the `request_id`.',
  },
  unavailable: {
    status: 503,
    title: 'The service cannot take the request now',
    description: 'The service is starting, stopping or overloaded; `Retry-After` says when to try again.',
  },
  insufficient_storage: {
    status: 507,
    title: 'There is no room on the disk',
    description:
      'Nothing of the request was kept. Running jobs rest and go on by themselves when there is room; deleting data sets and jobs makes some. `Retry-After` says when to try again.',
  },
} as const satisfies Record<string, ErrorEntry>;

export type ErrorCode = keyof typeof errors;
export const errorCodes = Object.keys(errors) as ErrorCode[];

/** Codes of single problems: the entries of `errors[]` in an answer. */
export const problemCodes = {
  required: 'The field must be given.',
  unknown_field: 'There is no such field; `did_you_mean` has the nearest name.',
  unknown_name: 'The value is not one of the names in `allowed`.',
  wrong_type: 'The value has the wrong JSON type.',
  wrong_format: 'The string does not have the form that is asked for.',
  out_of_range: 'The number is outside its range.',
  wrong_length: 'The string or array is too short or too long.',
  not_finite: 'The number is too large for a float64 (about 1.8e308).',
  not_allowed: 'Two or more fields cannot be given together, or a field is not allowed here.',
  invalid: 'The value cannot be used; `detail` says why.',
  empty: 'At least one row, column or entry is needed.',
  ragged_rows: 'All rows of a matrix must have the same number of columns.',
  width_mismatch: 'The number of columns does not match the network.',
  row_mismatch: 'Two matrices that belong together have different numbers of rows.',
  shape_mismatch: 'Given parameters do not have the shape of the network.',
  target_domain: 'A target is outside the values for which the loss is defined.',
  undefined_pair: 'The loss is not defined on outputs of this activation.',
  not_found: 'The id given in this field does not exist.',
  limit_exceeded: 'The value is over a limit of this service.',
} as const;

export type ProblemCode = keyof typeof problemCodes;

/** A limit that a request met, by the name that the catalog lists. */
export interface MetLimit {
  readonly name: string;
  readonly value: number;
  readonly estimate?: number | undefined;
}

/** One thing that is wrong with a request. */
export interface Problem {
  /** RFC 6901 pointer into the body (`''` is the whole body), `?name` for a query parameter, `{name}` for a path parameter, a header's name for a header. */
  readonly pointer: string;
  readonly code: ProblemCode;
  /** What is wrong and what would be right, in one plain sentence. */
  readonly detail: string;
  readonly allowed?: readonly string[] | undefined;
  readonly did_you_mean?: string | undefined;
  readonly limit?: MetLimit | undefined;
}

/** Extension members of a problem document besides those of RFC 9457. */
export interface ProblemMembers {
  readonly errors?: readonly Problem[] | undefined;
  readonly current_state?: string | undefined;
  readonly allowed_actions?: readonly string[] | undefined;
  /** The resource that stands in the way. */
  readonly existing?: { readonly id: string; readonly url: string } | undefined;
  /** The limit that was met, by the name that the catalog lists. */
  readonly limit?:
    | { readonly name: string; readonly value: number; readonly estimate?: number | undefined }
    | undefined;
  /** Seconds; sent as the header `Retry-After` as well. */
  readonly retry_after?: number | undefined;
}

/** An error with a stable code, thrown by any service and answered as problem+json. */
export class ProblemError extends Error {
  readonly code: ErrorCode;
  readonly members: ProblemMembers;

  constructor(code: ErrorCode, detail: string, members: ProblemMembers = {}, options?: ErrorOptions) {
    super(detail, options);
    this.name = 'ProblemError';
    this.code = code;
    this.members = members;
  }

  get status(): number {
    return errors[this.code].status;
  }
}

/** The `type` member: a name for the kind of error that stays the same wherever the service runs. */
export const errorType = (code: ErrorCode): string => `urn:trainyard:error:${code}`;

/** The error for one or more problems of a request, with the first limit that was met. */
export function problemError(problems: readonly Problem[], code: ErrorCode = 'validation_failed'): ProblemError {
  const [first] = problems;
  const detail = problems.length === 1 ? first.detail : `${problems.length} problems; the first: ${first.detail}`;
  return new ProblemError(code, detail, { errors: problems, limit: problems.find(({ limit }) => limit)?.limit });
}

/**
 * Refuses a request for the given problems; does nothing when there are none.
 * @throws {ProblemError}
 */
export function refuse(problems: readonly Problem[], code?: ErrorCode): void {
  if (problems.length > 0) throw problemError(problems, code);
}

/** The 404 of a resource: `notFound('network', id)`. */
export function notFound(kind: string, id: string): ProblemError {
  return new ProblemError('not_found', `There is no ${kind} with the id ${JSON.stringify(id)}.`);
}
