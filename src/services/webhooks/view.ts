/** The webhooks of a job as the wire shows them: everything but the secret. */
import { toTimestamp } from '../../schemas/common.ts';
import type { WebhookList } from '../../schemas/webhook.ts';
import type { Delivery, Store, WebhookRecord } from '../../store/store.ts';
import { messageId } from './payload.ts';

const shownDeliveries = 50;

const timeOf = (at: number | null): string | null => (at === null ? null : toTimestamp(at));

export async function webhooksOf({ webhooks }: Pick<Store, 'webhooks'>, job_id: string): Promise<WebhookList> {
  const records = await webhooks.list(job_id);
  const data = await Promise.all(
    records.map(async (record) => viewOf(record, await webhooks.deliveries(job_id, record.number, shownDeliveries))),
  );
  return { data };
}

type View = WebhookList['data'][number];

function viewOf({ number, url, events, threshold, disabled_at }: WebhookRecord, deliveries: readonly Delivery[]): View {
  return {
    number,
    url,
    events: [...events],
    threshold: threshold as View['threshold'],
    disabled_at: timeOf(disabled_at),
    deliveries: deliveries.map((delivery) => ({
      id: messageId(delivery),
      event_id: delivery.event_id,
      state: delivery.state,
      attempts: delivery.attempts,
      next_attempt_at: timeOf(delivery.next_attempt_at),
      last_attempt_at: timeOf(delivery.last_attempt_at),
      status: delivery.status,
      error: delivery.error,
    })),
  };
}
