/** Who is told of a job's events, and what is on its way to them. */
import type { EventRecord } from './history.ts';
import type { JobRecord } from './jobs.ts';
import type { Json } from './values.ts';

/** Who is told of a job's events. */
export interface NewWebhook {
  /** 1, 2, 3, … within the job. */
  readonly number: number;
  readonly url: string;
  /** Signs what is sent; never shown. */
  readonly secret: string;
  /** Types of the events that it is told of. */
  readonly events: readonly string[];
  readonly threshold: Json;
}

export interface WebhookRecord extends NewWebhook {
  /** When its receiver asked not to be told any more. */
  readonly disabled_at: number | null;
  /** How many events `threshold_reached` it is or was told of. */
  readonly threshold_reached: number;
}

/** One event on its way to one webhook. */
export interface Delivery {
  readonly job_id: string;
  readonly webhook: number;
  readonly event_id: number;
  readonly state: 'pending' | 'delivered' | 'failed';
  readonly attempts: number;
  /** `null` when it is settled. */
  readonly next_attempt_at: number | null;
  readonly last_attempt_at: number | null;
  /** The status that the receiver has answered the last attempt with. */
  readonly status: number | null;
  readonly error: string | null;
}

/** With all that is needed to send it. */
export interface DueDelivery
  extends Delivery,
    Pick<NewWebhook, 'url' | 'secret'>,
    Pick<EventRecord, 'type' | 'data' | 'at'>,
    Pick<JobRecord, 'external_id'> {}

export interface Webhooks {
  list(job_id: string): Promise<readonly WebhookRecord[]>;
  /** The newest first. */
  deliveries(job_id: string, webhook: number, limit: number): Promise<readonly Delivery[]>;
  /** Pending deliveries whose time has come, of each webhook only the oldest pending one; those that wait longest first. */
  due(now: number, limit: number): Promise<readonly DueDelivery[]>;
  /** When the next pending delivery is to be tried; `undefined` when there is none. */
  nextAttemptAt(): Promise<number | undefined>;
  /** Writes down an attempt. `disable`: nothing more is sent to this webhook. */
  settle(delivery: Delivery, disable?: boolean): Promise<void>;
}
