/**
 * Sends what is in the outbox: at least once, in order for each webhook, tried again with growing pauses, and given up
 * after the last attempt. What is under way when the service ends is sent again by the next start.
 */
import { createHash } from 'node:crypto';
import type { Delivery, DueDelivery, Store } from '../../store/store.ts';
import { Backoff, pause } from '../backoff.ts';
import type { JobFeed } from '../feed.ts';
import type { Log } from '../log.ts';
import { DeliveryError } from './addresses.ts';
import { payloadOf } from './payload.ts';
import type { Send } from './send.ts';
import { signedHeaders } from './signature.ts';

export interface OutboxContext {
  readonly store: Pick<Store, 'webhooks'>;
  readonly feed: JobFeed;
  readonly send: Send;
  readonly log: Log;
  readonly now: () => number;
  readonly storage_retry_ms?: number | undefined;
}

export const maxAttempts = 10;
const firstPauseMs = 5_000;
const longestPauseMs = 6 * 3600 * 1000;
/** The status with which a receiver says that it wants to hear nothing more. */
const gone = 410;

const underWayAtOnce = 8;
const readAtOnce = 64;
/** Timers are for at most so long; then the outbox is looked at again. */
const longestTimerMs = 60_000;

/** 5 s, 20 s, 80 s, … up to 6 h after the n-th failure, up to a quarter longer: drawn from the message, not from the clock. */
export function pauseAfter(attempts: number, id: string): number {
  const pause = Math.min(firstPauseMs * 4 ** (attempts - 1), longestPauseMs);
  const draw = createHash('sha256').update(`${id} ${attempts}`).digest().readUInt32LE(0) / 2 ** 32;
  return Math.round(pause * (1 + draw / 4));
}

const placeOf = ({ job_id, webhook }: Pick<Delivery, 'job_id' | 'webhook'>): string => `${job_id} ${webhook}`;

export class Outbox {
  readonly #context: OutboxContext;
  readonly #underWay = new Map<string, Promise<void>>();
  readonly #closed = new AbortController();
  readonly #reading: Backoff;
  #pumping: Promise<void> | null = null;
  #again = false;
  #timer: NodeJS.Timeout | null = null;

  constructor(context: OutboxContext) {
    this.#context = context;
    this.#reading = new Backoff(context.storage_retry_ms);
  }

  /** Takes up what the last process left, and follows the events of all jobs from now on. */
  start(): void {
    this.#context.feed.onEvents(() => this.wake());
    this.wake();
  }

  /** There may be something to send. */
  wake(): void {
    if (this.#closed.signal.aborted) return;
    this.#again = true;
    this.#pumping ??= this.#pump().finally(() => {
      this.#pumping = null;
      if (this.#again) this.wake();
    });
  }

  /** Resolves when nothing is under way any more; requests are broken off. */
  async close(): Promise<void> {
    this.#closed.abort();
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#pumping;
    await Promise.all(this.#underWay.values());
  }

  async #pump(): Promise<void> {
    const { store, now, log } = this.#context;
    try {
      while (this.#again && !this.#closed.signal.aborted) {
        this.#again = false;
        for (const delivery of await store.webhooks.due(now(), readAtOnce)) this.#launch(delivery);
      }
      await this.#setTimer();
      this.#reading.succeed();
    } catch (error) {
      const retry_in_ms = this.#reading.fail();
      log.error({ err: error, retry_in_ms }, 'the outbox of the webhooks could not be read');
      this.#wakeIn(retry_in_ms);
    }
  }

  /** What has no place now is found again when a place becomes free. */
  #launch(delivery: DueDelivery): void {
    const place = placeOf(delivery);
    if (this.#underWay.has(place) || this.#underWay.size >= underWayAtOnce) return;
    const done = this.#deliver(delivery)
      .catch((error: unknown) => {
        this.#context.log.error({ err: error, job_id: delivery.job_id }, 'a webhook could not be sent');
      })
      .finally(() => {
        this.#underWay.delete(place);
        this.wake();
      });
    this.#underWay.set(place, done);
  }

  async #deliver(due: DueDelivery): Promise<void> {
    const { send, log, now } = this.#context;
    const { id, body } = payloadOf(due);
    const headers = {
      'content-type': 'application/json',
      'user-agent': 'Trainyard-Webhooks',
      ...signedHeaders({ id, at: now(), body }, due.secret),
    };
    const failure = await send({ url: due.url, headers, body }, this.#closed.signal).then(
      (status) => ({ status, message: null }),
      (error: unknown) =>
        error instanceof DeliveryError
          ? { status: error.status, message: error.message }
          : { status: null, message: `the service failed: ${String(error)}` },
    );
    if (failure.message !== null && this.#closed.signal.aborted) return;
    const settled = this.#settled(due, id, failure);
    const { job_id, webhook, event_id } = due;
    const { state, attempts, status, error } = settled;
    if (error !== null)
      log.warn({ job_id, webhook, event_id, attempts, state, status, error }, 'webhook not delivered');
    await this.#writeDown(settled);
  }

  /** Until it is written down nothing more is sent to this webhook, so that a full disk does not make it send for ever. */
  async #writeDown(delivery: Delivery): Promise<void> {
    const { store, log, storage_retry_ms } = this.#context;
    const backoff = new Backoff(storage_retry_ms);
    for (;;) {
      try {
        return await store.webhooks.settle(delivery, delivery.status === gone);
      } catch (error) {
        const { job_id, webhook, event_id } = delivery;
        const retry_in_ms = backoff.fail();
        log.error({ err: error, job_id, webhook, event_id, retry_in_ms }, 'a delivery could not be written down');
        if (this.#closed.signal.aborted) return;
        await pause(retry_in_ms, this.#closed.signal);
      }
    }
  }

  #settled(due: DueDelivery, id: string, { status, message }: { status: number | null; message: string | null }) {
    const { job_id, webhook, event_id } = due;
    const at = this.#context.now();
    const attempts = due.attempts + 1;
    const isLast = attempts >= maxAttempts || status === gone;
    const state = message === null ? 'delivered' : isLast ? 'failed' : 'pending';
    const next_attempt_at = state === 'pending' ? at + pauseAfter(attempts, id) : null;
    const outcome = { state, attempts, next_attempt_at, last_attempt_at: at, status, error: message } as const;
    return { job_id, webhook, event_id, ...outcome } satisfies Delivery;
  }

  async #setTimer(): Promise<void> {
    const next = await this.#context.store.webhooks.nextAttemptAt();
    const left = (next ?? Number.POSITIVE_INFINITY) - this.#context.now();
    // What is due and still here waits for a place or for the delivery before it, whose end wakes this.
    if (left > 0 && left < Number.POSITIVE_INFINITY) this.#wakeIn(left);
  }

  #wakeIn(milliseconds: number): void {
    if (this.#closed.signal.aborted) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.wake(), Math.min(milliseconds, longestTimerMs)).unref();
  }
}
