/** Requests that may come twice: recognised by the client's Idempotency-Key, answered the second time as the first. */
import { ProblemError } from '../errors.ts';
import type { Created, IdempotencyClaim, IdempotencyRecords } from '../store/store.ts';
import { digestOf } from './digest.ts';

/** The answer to a creation, as it was given the first time. */
export interface CreatedAnswer {
  readonly id: string;
  /** 201 for something new, 200 for what was there. */
  readonly status: number;
  /** JSON of the resource's view. */
  readonly body: string;
  /** An earlier request with the same key was answered so. */
  readonly replayed: boolean;
}

/** What identifies such a request. */
export interface RequestClaim {
  /** The client's Idempotency-Key. */
  readonly key: string;
  /** Method and path: the same key may be used once for each. */
  readonly scope: string;
  readonly body_sha256: string;
}

/** How long a key is remembered. */
const keyLifetimeMs = 24 * 3600 * 1000;

/** @param content all that the request says; `undefined` without a key */
export function claimOf(scope: string, key: string | undefined, content: unknown): RequestClaim | undefined {
  return key === undefined ? undefined : { key, scope, body_sha256: digestOf(content) };
}

export const answered = <View extends { readonly id: string }>(status: number, view: View): CreatedAnswer => ({
  id: view.id,
  status,
  body: JSON.stringify(view),
  replayed: false,
});

/**
 * What is written together with the creation.
 * @param collection the path below which the resource is
 */
export function keptAnswer(
  claim: RequestClaim | undefined,
  { id, status, body }: CreatedAnswer,
  collection: string,
  created_at: number,
): IdempotencyClaim | undefined {
  if (claim === undefined) return undefined;
  const answer = { status, headers: { location: `${collection}/${id}` }, body };
  return { ...claim, answer, created_at, expires_at: created_at + keyLifetimeMs };
}

export type Repeated = Exclude<Created<never>, { readonly outcome: 'created' }>;

/** @throws {ProblemError} `idempotency_key_reused` */
export function repeated(known: Repeated): CreatedAnswer {
  if (known.outcome === 'key_reused') {
    throw new ProblemError('idempotency_key_reused', 'This Idempotency-Key was used with another body before.');
  }
  const { status, body } = known.answer;
  return { id: (JSON.parse(body) as { id: string }).id, status, body, replayed: true };
}

/**
 * The answer that was given to the same request before, found without doing its work again.
 * @throws {ProblemError} `idempotency_key_reused`
 */
export async function earlierAnswer(
  records: Pick<IdempotencyRecords, 'find'>,
  claim: RequestClaim | undefined,
  now: number,
): Promise<CreatedAnswer | undefined> {
  const known = claim === undefined ? undefined : await records.find(claim, now);
  return known && repeated(known);
}
