/** The tables, as numbered migrations that are applied when the store is opened. A migration that was released never changes. */
import type { Dialect, Driver, Queryable } from './driver.ts';
import { StoreError } from './store.ts';

interface Migration {
  readonly version: number;
  readonly statements: (words: Dialect) => readonly string[];
}

/** Networks, data sets and jobs, the labels they are filtered by, and the answers to repeated requests. */
const records = ({ text, integer, double, tableOptions }: Dialect): readonly string[] => [
  `create table networks (
    id ${text} primary key, name ${text}, definition ${text} not null, metadata ${text} not null,
    created_at ${integer} not null
  ) ${tableOptions}`,
  `create table datasets (
    id ${text} primary key, name ${text}, profile ${text} not null, sha256 ${text} not null, blob_key ${text} not null,
    metadata ${text} not null, created_at ${integer} not null
  ) ${tableOptions}`,
  `create table jobs (
    id ${text} primary key, network_id ${text}, dataset_id ${text}, external_id ${text} unique,
    network ${text} not null, request ${text} not null, data_key ${text},
    state ${text} not null, attempt ${integer} not null, stop_reason ${text}, error ${text}, control ${text},
    epoch ${integer} not null, epochs ${integer} not null, step ${integer} not null, steps ${integer} not null,
    samples_per_second ${double}, latest ${text}, best ${text}, warnings ${text}, metadata ${text} not null,
    priority ${integer} not null, run_sha256 ${text}, parameters_sha256 ${text}, backend ${text},
    crashes ${integer} not null, crash_step ${integer}, last_event_id ${integer} not null,
    created_at ${integer} not null, started_at ${integer}, finished_at ${integer}, updated_at ${integer} not null
  ) ${tableOptions}`,
  'create index jobs_by_state on jobs (state, id)',
  'create index jobs_by_network on jobs (network_id, id)',
  'create index jobs_by_dataset on jobs (dataset_id, id)',
  'create index jobs_by_run on jobs (run_sha256, id)',
  `create table labels (
    owner_id ${text} not null, key ${text} not null, value ${text} not null, primary key (owner_id, key)
  ) ${tableOptions}`,
  'create index labels_by_value on labels (key, value, owner_id)',
  `create table idempotency_keys (
    scope ${text} not null, key ${text} not null, body_sha256 ${text} not null, status ${integer} not null,
    headers ${text} not null, body ${text} not null, created_at ${integer} not null, expires_at ${integer} not null,
    primary key (scope, key)
  ) ${tableOptions}`,
  'create index idempotency_keys_by_expiry on idempotency_keys (expires_at)',
];

/** What belongs to one job and ends with it. */
const histories = ({ text, integer, binary, tableOptions }: Dialect): readonly string[] => {
  const job = `job_id ${text} not null references jobs (id) on delete cascade`;
  return [
    `create table transitions (
      ${job}, number ${integer} not null, state ${text} not null, at ${integer} not null, reason ${text},
      attempt ${integer} not null, primary key (job_id, number)
    ) ${tableOptions}`,
    `create table events (
      ${job}, id ${integer} not null, type ${text} not null, data ${text}, at ${integer} not null,
      primary key (job_id, id)
    ) ${tableOptions}`,
    `create table points (
      ${job}, resolution ${text} not null, first_index ${integer} not null, last_index ${integer} not null,
      series ${text} not null, data ${binary} not null, primary key (job_id, resolution, first_index)
    ) ${tableOptions}`,
    `create table checkpoints (
      ${job}, step ${integer} not null, epoch ${integer} not null, kind ${text} not null,
      blob_key ${text} not null unique, sha256 ${text} not null, size ${integer} not null,
      created_at ${integer} not null, primary key (job_id, step)
    ) ${tableOptions}`,
    `create table queue (
      job_id ${text} primary key references jobs (id) on delete cascade, priority ${integer} not null,
      enqueued_at ${integer} not null, deadline ${integer}, owner ${text}, expires_at ${integer}
    ) ${tableOptions}`,
    'create index queue_by_turn on queue (priority desc, enqueued_at, job_id) where owner is null',
  ];
};

/** Blobs in the database; the embedded store keeps them as files instead. */
const blobs = ({ text, integer, binary, tableOptions }: Dialect): readonly string[] => [
  `create table blobs (
    key ${text} primary key, size ${integer} not null, written_at ${integer} not null
  ) ${tableOptions}`,
  `create table blob_chunks (
    key ${text} not null references blobs (key) on delete cascade, number ${integer} not null,
    data ${binary} not null, primary key (key, number)
  ) ${tableOptions}`,
];

/** Wishes of clients while a job is under way. `first_step` is null until the change has taken effect. */
const learningRates = ({ text, integer, double, tableOptions }: Dialect): readonly string[] => [
  `create table learning_rates (
    job_id ${text} not null references jobs (id) on delete cascade, number ${integer} not null,
    learning_rate ${double} not null, first_step ${integer}, requested_at ${integer} not null,
    primary key (job_id, number)
  ) ${tableOptions}`,
];

/** Whom to tell of a job's events, and what is still to be told. */
const webhooks = ({ text, integer, tableOptions }: Dialect): readonly string[] => {
  const job = `job_id ${text} not null references jobs (id) on delete cascade`;
  return [
    `create table webhooks (
      ${job}, number ${integer} not null, url ${text} not null, secret ${text} not null, events ${text} not null,
      threshold ${text}, disabled_at ${integer}, primary key (job_id, number)
    ) ${tableOptions}`,
    `create table webhook_deliveries (
      ${job}, webhook ${integer} not null, event_id ${integer} not null, state ${text} not null,
      attempts ${integer} not null, next_attempt_at ${integer}, last_attempt_at ${integer}, status ${integer},
      error ${text}, primary key (job_id, webhook, event_id)
    ) ${tableOptions}`,
    "create index webhook_deliveries_due on webhook_deliveries (next_attempt_at) where state = 'pending'",
  ];
};

const migrations: readonly Migration[] = [
  { version: 1, statements: (words) => [...records(words), ...histories(words), ...blobs(words)] },
  { version: 2, statements: learningRates },
  { version: 3, statements: ({ text }) => [`alter table jobs add column test ${text}`] },
  { version: 4, statements: webhooks },
  { version: 5, statements: ({ integer }) => [`alter table jobs add column threads ${integer}`] },
  // Points may be float32 or one value for all: a service that knows nothing of it must not read them.
  { version: 6, statements: () => [] },
  { version: 7, statements: ({ text }) => [`alter table jobs add column roundings ${text}`] },
];

async function appliedVersion(sql: Queryable, { integer, tableOptions }: Dialect): Promise<number> {
  await sql.query(
    `create table if not exists schema_migrations (
      version ${integer} primary key, applied_at ${integer} not null
    ) ${tableOptions}`,
  );
  const [row] = await sql.query('select max(version) as version from schema_migrations');
  return Number(row?.version ?? 0);
}

/**
 * Brings the schema to the newest version, in one transaction.
 * @throws {StoreError} `schema_too_new` when the database was written by a newer service.
 */
export async function migrate(driver: Driver, now: number): Promise<void> {
  const newest = migrations.at(-1)?.version ?? 0;
  await driver.transaction(async (sql) => {
    if (driver.dialect.lockSchema !== null) await sql.query(driver.dialect.lockSchema);
    const applied = await appliedVersion(sql, driver.dialect);
    if (applied > newest) {
      const message = `The database has schema ${applied}; this version of the service knows ${newest}. Use a newer version.`;
      throw new StoreError('schema_too_new', message);
    }
    for (const { version, statements } of migrations.filter((migration) => migration.version > applied)) {
      for (const statement of statements(driver.dialect)) await sql.query(statement);
      await sql.query('insert into schema_migrations (version, applied_at) values ($1, $2)', [version, now]);
    }
  });
}
