/** The events of a job as they happen: stored ones with their number, gapless from any number on, and snapshots of the progress. */
import type { WireEvent } from '../schemas/events.ts';
import type { EventRecord, JobRecord, Store } from '../store/store.ts';
import { isTerminal } from '../training/states.ts';
import { Inbox, type JobFeed } from './feed.ts';
import type { LiveProgress } from './job-run.ts';
import { isSuspended, stateOf } from './job-transitions.ts';

export interface StreamContext {
  readonly store: Pick<Store, 'events' | 'jobs'>;
  readonly feed: JobFeed;
  /** How far the attempt under way is. */
  live(job_id: string): LiveProgress | null;
}

/** A stored event has an id; a snapshot has none, so that a client which comes back asks again from its last stored event. */
export type StreamItem =
  | { readonly type: 'event'; readonly event: EventRecord }
  | { readonly type: 'progress'; readonly progress: LiveProgress }
  | { readonly type: 'heartbeat' }
  | { readonly type: 'end'; readonly job: JobRecord };

/** Shorter than the idle time-outs of usual proxies. */
export const heartbeatMs = 15_000;
const eventsPerRead = 100;

/**
 * Follows a job to its end. Nothing is kept for a slow reader: what it has not seen yet is read when it asks for more.
 * @param after number of the last event that the reader has seen
 */
export async function* followJob(
  { store, feed, live }: StreamContext,
  job_id: string,
  after: number,
  abort: AbortSignal,
): AsyncGenerator<StreamItem> {
  const inbox = new Inbox(feed, job_id);
  let seen = after;
  let shown: LiveProgress | null = null;
  let look = true;
  try {
    while (!abort.aborted) {
      while (look) {
        const page = await store.events.list(job_id, { after: seen, limit: eventsPerRead });
        for (const event of page.data) {
          yield { type: 'event', event };
          seen = event.id;
        }
        look = page.has_more;
      }
      const job = await store.jobs.get(job_id);
      if (job === undefined) return;
      if (job.last_event_id > seen) {
        look = true;
        continue;
      }
      if (isTerminal(stateOf(job))) return yield { type: 'end', job };
      const progress = live(job_id);
      if (progress !== null && progress !== shown) {
        shown = progress;
        yield { type: 'progress', progress };
      }
      const signals = await inbox.next(heartbeatMs, abort);
      if (signals.size === 0 && !abort.aborted) yield { type: 'heartbeat' };
      look = signals.has('events');
    }
  } finally {
    inbox.close();
  }
}

/** Waits until a job has ended, is paused, or the time is up; the job as it is then. */
export async function waitForJob(
  { store, feed }: Pick<StreamContext, 'store' | 'feed'>,
  job_id: string,
  milliseconds: number,
): Promise<void> {
  const inbox = new Inbox(feed, job_id);
  const deadline = performance.now() + milliseconds;
  try {
    for (;;) {
      const job = await store.jobs.get(job_id);
      const left = deadline - performance.now();
      const isAtRest = job === undefined || isTerminal(stateOf(job)) || (await isPaused(store, job));
      if (isAtRest || left <= 0 || feed.closed.aborted) return;
      let signals: ReadonlySet<string>;
      do signals = await inbox.next(Math.max(0, deadline - performance.now()), feed.closed);
      while (signals.size > 0 && !signals.has('events'));
    }
  } finally {
    inbox.close();
  }
}

/** A job that rests because the disk is full goes on by itself. */
const isPaused = async (store: Pick<Store, 'jobs'>, job: JobRecord): Promise<boolean> =>
  stateOf(job) === 'paused' && !(await isSuspended(store, job.id));

/** An event as the wire shows it. */
export const wireEvent = ({ id, type, at, data }: EventRecord): WireEvent => ({
  id,
  type,
  at: new Date(at).toISOString(),
  data: data as WireEvent['data'],
});
