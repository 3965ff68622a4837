/** Requests that may come twice, and what has become of them. */

/** The answer to a creating request, as it is repeated to a client that asks again. */
export interface StoredAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** The body as it was sent. */
  readonly body: string;
}

/** What identifies a request that may come twice. */
export interface IdempotencyClaim {
  /** The client's Idempotency-Key. */
  readonly key: string;
  /** Method and path, such as `POST /v1/jobs`: the same key may be used once for each. */
  readonly scope: string;
  readonly body_sha256: string;
  readonly answer: StoredAnswer;
  readonly created_at: number;
  /** From this time on the key may be used afresh. */
  readonly expires_at: number;
}

/** What became of a creation with an idempotency key. Only `created` has changed anything. */
export type Created<T> =
  | { readonly outcome: 'created'; readonly record: T }
  /** The same request was answered before, with this. */
  | { readonly outcome: 'replayed'; readonly answer: StoredAnswer }
  /** The key was used for another body. */
  | { readonly outcome: 'key_reused' };

export interface IdempotencyRecords {
  /** The answer kept for a key, or what is wrong with it; `undefined` when the key is new or expired at `now`. */
  find(
    claim: Pick<IdempotencyClaim, 'key' | 'scope' | 'body_sha256'>,
    now: number,
  ): Promise<Exclude<Created<never>, { outcome: 'created' }> | undefined>;
  /** Keeps the answer to a request that has created nothing. */
  keep(claim: IdempotencyClaim): Promise<Created<null>>;
  /** Forgets the keys that have expired and says how many. */
  sweep(now: number): Promise<number>;
}
