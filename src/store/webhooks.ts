/**
 * Webhooks of jobs and their outbox. A delivery is written in the transaction of the event that it tells of, so that none
 * is lost and none tells of what did not happen; it is `pending` until whoever sends it settles it.
 */
import type { Driver, Queryable } from './driver.ts';
import { type Columns, decode, insertInto, parameters } from './sql.ts';
import type { Delivery, DueDelivery, NewEvent, NewWebhook, WebhookRecord, Webhooks } from './store.ts';

const webhookColumns: Columns<NewWebhook> = {
  number: 'plain',
  url: 'plain',
  secret: 'plain',
  events: 'json',
  threshold: 'json',
};

const deliveryColumns: Columns<Delivery> = {
  job_id: 'plain',
  webhook: 'plain',
  event_id: 'plain',
  state: 'plain',
  attempts: 'plain',
  next_attempt_at: 'plain',
  last_attempt_at: 'plain',
  status: 'plain',
  error: 'plain',
};

const dueColumns: Columns<DueDelivery> = {
  ...deliveryColumns,
  url: 'plain',
  secret: 'plain',
  type: 'plain',
  data: 'json',
  at: 'plain',
  external_id: 'plain',
};

export async function putWebhooks(sql: Queryable, job_id: string, webhooks: readonly NewWebhook[]): Promise<void> {
  for (const webhook of webhooks) {
    const p = parameters();
    const columns = { ...webhookColumns, job_id: 'plain' } as const;
    await sql.query(insertInto('webhooks', columns, { ...webhook, job_id }, p), p.values);
  }
}

/** An event that names a webhook in its data is for that one alone. */
function isFor({ number, events }: Pick<NewWebhook, 'number' | 'events'>, { type, data }: NewEvent): boolean {
  const only = (data as { readonly webhook?: number } | null)?.webhook;
  return events.includes(type) && (only === undefined || only === number);
}

/** Puts the deliveries of new events into the outbox. */
export async function putDeliveries(
  sql: Queryable,
  job_id: string,
  events: readonly (NewEvent & { readonly id: number })[],
  at: number,
): Promise<void> {
  if (events.length === 0) return;
  const rows = await sql.query('select * from webhooks where job_id = $1 and disabled_at is null', [job_id]);
  for (const webhook of rows.map((row) => decode(webhookColumns, row))) {
    for (const event of events.filter((one) => isFor(webhook, one))) {
      await sql.query(
        `insert into webhook_deliveries (job_id, webhook, event_id, state, attempts, next_attempt_at)
         values ($1, $2, $3, 'pending', 0, $4)`,
        [job_id, webhook.number, event.id, at],
      );
    }
  }
}

/** Of each webhook only the oldest delivery that is pending, so that what comes later waits for what came before. */
const isNext = `webhook_deliveries.state = 'pending' and not exists (
  select 1 from webhook_deliveries as earlier
  where earlier.job_id = webhook_deliveries.job_id and earlier.webhook = webhook_deliveries.webhook
    and earlier.state = 'pending' and earlier.event_id < webhook_deliveries.event_id
)`;

export function webhooks(driver: Driver): Webhooks {
  return {
    async list(job_id) {
      const rows = await driver.query(
        `select webhooks.*, (
           select count(*) from webhook_deliveries join events
             on events.job_id = webhook_deliveries.job_id and events.id = event_id
           where webhook_deliveries.job_id = webhooks.job_id and webhook = number and type = 'threshold_reached'
         ) as reached
         from webhooks where job_id = $1 order by number`,
        [job_id],
      );
      const columns: Columns<WebhookRecord> = { ...webhookColumns, disabled_at: 'plain', threshold_reached: 'plain' };
      return rows.map((row) => decode(columns, { ...row, threshold_reached: row.reached }));
    },

    async deliveries(job_id, webhook, limit) {
      const rows = await driver.query(
        'select * from webhook_deliveries where job_id = $1 and webhook = $2 order by event_id desc limit $3',
        [job_id, webhook, limit],
      );
      return rows.map((row) => decode(deliveryColumns, row));
    },

    async due(now, limit) {
      const rows = await driver.query(
        `select webhook_deliveries.*, url, secret, type, data, at, external_id
         from webhook_deliveries
           join webhooks on webhooks.job_id = webhook_deliveries.job_id and number = webhook
           join events on events.job_id = webhook_deliveries.job_id and events.id = event_id
           join jobs on jobs.id = webhook_deliveries.job_id
         where ${isNext} and next_attempt_at <= $1
         order by next_attempt_at, webhook_deliveries.job_id, event_id, webhook limit $2`,
        [now, limit],
      );
      return rows.map((row) => decode(dueColumns, row));
    },

    async nextAttemptAt() {
      const [row] = await driver.query(`select min(next_attempt_at) as at from webhook_deliveries where ${isNext}`);
      return row?.at == null ? undefined : Number(row.at);
    },

    async settle({ job_id, webhook, event_id, ...outcome }, disable = false) {
      await driver.transaction(async (sql) => {
        await sql.query(
          `update webhook_deliveries
           set state = $4, attempts = $5, next_attempt_at = $6, last_attempt_at = $7, status = $8, error = $9
           where job_id = $1 and webhook = $2 and event_id = $3`,
          [
            job_id,
            webhook,
            event_id,
            outcome.state,
            outcome.attempts,
            outcome.next_attempt_at,
            outcome.last_attempt_at,
            outcome.status,
            outcome.error,
          ],
        );
        if (!disable) return;
        await sql.query('update webhooks set disabled_at = $3 where job_id = $1 and number = $2', [
          job_id,
          webhook,
          outcome.last_attempt_at,
        ]);
        await sql.query(
          `update webhook_deliveries set state = 'failed', next_attempt_at = null, error = $3
           where job_id = $1 and webhook = $2 and state = 'pending'`,
          [job_id, webhook, outcome.error],
        );
      });
    },
  };
}
