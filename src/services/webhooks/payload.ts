/** What a receiver is sent: a thin message that names job and event, equal on every attempt; the rest is a GET away. */
import { toTimestamp } from '../../schemas/common.ts';
import type { WebhookMessage } from '../../schemas/webhook.ts';
import type { DueDelivery } from '../../store/store.ts';
import { urlsOf } from '../job-view.ts';

type Told = Pick<DueDelivery, 'job_id' | 'webhook' | 'event_id' | 'type' | 'data' | 'at' | 'external_id'>;

/** The id as the specification wants it: unique, and without a full stop. */
export const messageId = ({ job_id, webhook, event_id }: Pick<Told, 'job_id' | 'webhook' | 'event_id'>): string =>
  `msg_${job_id.replace(/^job_/, '')}_${event_id}_${webhook}`;

export function payloadOf(told: Told): { readonly id: string; readonly body: string } {
  const { job_id, event_id, external_id, type, at } = told;
  const data = { ...(told.data as object), job_id, external_id, event_id, job_url: urlsOf(job_id).self };
  const message: WebhookMessage = { type: `job.${type}`, timestamp: toTimestamp(at), data };
  return { id: messageId(told), body: JSON.stringify(message) };
}
