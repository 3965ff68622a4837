/** Answers kept for requests that may come twice; written in the transaction of what they created. */
import type { Driver, Queryable, Row } from './driver.ts';
import { type Columns, decode, insertInto, parameters } from './sql.ts';
import type { Created, IdempotencyClaim, IdempotencyRecords, StoredAnswer } from './store.ts';

type Repeated = Exclude<Created<never>, { outcome: 'created' }>;
type KeyRecord = Omit<IdempotencyClaim, 'answer'> & StoredAnswer;

const columns: Columns<KeyRecord> = {
  scope: 'plain',
  key: 'plain',
  body_sha256: 'plain',
  status: 'plain',
  headers: 'json',
  // As JSON text, so that any string survives.
  body: 'json',
  created_at: 'plain',
  expires_at: 'plain',
};

/** Thrown inside a transaction to undo it, and turned into the outcome it carries outside. */
class Refusal<Outcome> {
  readonly outcome: Outcome;

  constructor(outcome: Outcome) {
    this.outcome = outcome;
  }
}

/** Ends the transaction under way without any effect; its call answers with this outcome. */
export function refuse<Outcome extends { readonly outcome: string }>(outcome: Outcome): never {
  throw new Refusal(outcome);
}

function verdict(row: Row, body_sha256: string): Repeated {
  const { status, headers, body, ...kept } = decode(columns, row);
  if (kept.body_sha256 !== body_sha256) return { outcome: 'key_reused' };
  return { outcome: 'replayed', answer: { status, headers, body } };
}

/**
 * Writes a key, or refuses the transaction when the key is taken. In PostgreSQL a second request with the same key
 * waits here until the first has committed.
 */
async function take(sql: Queryable, { answer, ...claim }: IdempotencyClaim): Promise<void> {
  const p = parameters();
  const replaced = Object.keys(columns).map((name) => `${name} = excluded.${name}`);
  const taken = await sql.query(
    `${insertInto<KeyRecord>('idempotency_keys', columns, { ...claim, ...answer }, p)}
     on conflict (scope, key) do update set ${replaced.join(', ')}
       where idempotency_keys.expires_at <= excluded.created_at
     returning key`,
    p.values,
  );
  if (taken.length > 0) return;
  const [row] = await sql.query('select * from idempotency_keys where scope = $1 and key = $2', [
    claim.scope,
    claim.key,
  ]);
  // Swept between the two statements (PostgreSQL only): the key is free now.
  if (row === undefined) return take(sql, { answer, ...claim });
  refuse(verdict(row, claim.body_sha256));
}

/** Runs a creation in one transaction with its idempotency key; `refuse` within it undoes both. */
export async function createOnce<T, Refused = never>(
  driver: Driver,
  claim: IdempotencyClaim | undefined,
  create: (sql: Queryable) => Promise<T>,
): Promise<Created<T> | Refused> {
  try {
    return await driver.transaction(async (sql) => {
      if (claim !== undefined) await take(sql, claim);
      return { outcome: 'created', record: await create(sql) } as const;
    });
  } catch (error) {
    if (error instanceof Refusal) return error.outcome as Repeated | Refused;
    throw error;
  }
}

export function idempotencyRecords(driver: Driver): IdempotencyRecords {
  return {
    async find({ key, scope, body_sha256 }, now) {
      const [row] = await driver.query(
        'select * from idempotency_keys where scope = $1 and key = $2 and expires_at > $3',
        [scope, key, now],
      );
      return row && verdict(row, body_sha256);
    },

    keep: (claim) => createOnce(driver, claim, async () => null),

    async sweep(now) {
      const swept = await driver.transaction((sql) =>
        sql.query('delete from idempotency_keys where expires_at <= $1 returning key', [now]),
      );
      return swept.length;
    },
  };
}
