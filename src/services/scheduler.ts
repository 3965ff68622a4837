/** Gives waiting jobs to free workers, oldest of the highest priority first, and keeps going what a restart interrupted. */
import { randomUUID } from 'node:crypto';
import type { JobRecord } from '../store/store.ts';
import { StoreError } from '../store/store.ts';
import { type JobAction, stopReasons } from '../training/states.ts';
import type { KeptRequest } from './job-request.ts';
import { JobRun, type RunContext } from './job-run.ts';
import { applyEvent } from './job-transitions.ts';
import type { Log } from './log.ts';

export interface SchedulerContext extends RunContext {
  readonly log: Log;
}

/** The only process of a store holds its leases until it is gone, and the next one takes them all. */
const neverMs = Number.MAX_SAFE_INTEGER - 1;

/** How long the storage is left alone after it has failed. */
const storageRetryMs = 1_000;
/** How often jobs are looked for that have waited too long. */
const overdueIntervalMs = 1_000;

export class Scheduler {
  readonly #context: SchedulerContext;
  readonly #owner = randomUUID();
  readonly #runs = new Map<string, { readonly run: JobRun; readonly done: Promise<void> }>();
  #pumping: Promise<void> | null = null;
  #again = false;
  #closing = false;
  #overdueTimer: NodeJS.Timeout | null = null;
  #retryTimer: NodeJS.Timeout | null = null;

  constructor(context: SchedulerContext) {
    this.#context = context;
  }

  /** Takes up what the last process left behind, then begins to claim. */
  async start(): Promise<void> {
    await this.#recover();
    this.#overdueTimer = setInterval(() => void this.#giveUpOverdue(), overdueIntervalMs).unref();
    this.wake();
  }

  /** There may be something to do. */
  wake(): void {
    this.#again = true;
    this.#pumping ??= this.#pump().finally(() => {
      this.#pumping = null;
      if (this.#again && !this.#closing) this.wake();
    });
  }

  /** The attempt under way, if there is one in this process. */
  runOf(job_id: string): JobRun | undefined {
    return this.#runs.get(job_id)?.run;
  }

  /** Tells the attempt under way what its record says already. */
  pass(job_id: string, action: JobAction): void {
    if (action !== 'resume') this.runOf(job_id)?.obey(action);
  }

  /** Saves what runs; resolves when every attempt is settled. */
  async close(): Promise<void> {
    this.#closing = true;
    if (this.#overdueTimer !== null) clearInterval(this.#overdueTimer);
    if (this.#retryTimer !== null) clearTimeout(this.#retryTimer);
    await this.#pumping;
    await this.#context.pool.close();
    await Promise.all([...this.#runs.values()].map(({ done }) => done));
  }

  /** Every lease of the last process is abandoned: this is the only one that may use the storage. */
  async #recover(): Promise<void> {
    const { store, now } = this.#context;
    for (const { job_id: id, attempt } of await store.queue.leases()) {
      await applyEvent(store, { id, attempt }, 'release', { at: now(), reason: 'restart' });
    }
    for (const job of (await store.jobs.list({ states: ['cancelling'], limit: 1_000 })).data) {
      await applyEvent(store, job, 'rest', { at: now(), reason: 'cancelled' });
    }
  }

  async #pump(): Promise<void> {
    const { store, pool, now, log } = this.#context;
    try {
      while (this.#again && !this.#closing) {
        this.#again = false;
        while (this.#runs.size < pool.workers && !this.#closing) {
          const claim = { owner: this.#owner, now: now(), lease_expires_at: neverMs };
          const job = await store.queue.claim({
            ...claim,
            events: [{ type: 'state', data: { state: 'running', reason: null } }],
          });
          if (job === undefined) break;
          this.#launch(job);
        }
      }
    } catch (error) {
      log.error({ err: error }, 'the queue could not be read');
      this.#retryLater();
    }
  }

  #launch(job: JobRecord): void {
    const { feed, log } = this.#context;
    const { checkpoint } = job.request as KeptRequest;
    const run = new JobRun(job, checkpoint.every_epochs, this.#context);
    log.info({ job_id: job.id, attempt: job.attempt }, 'job started');
    const done = run
      .carryOut()
      .catch((error: unknown) => this.#letGo(job, error))
      .finally(() => {
        this.#runs.delete(job.id);
        log.info({ job_id: job.id, attempt: job.attempt }, 'job attempt ended');
        feed.signal(job.id, 'events');
        this.wake();
      });
    this.#runs.set(job.id, { run, done });
    feed.signal(job.id, 'events');
  }

  /** The attempt could not be carried out or kept: again later when it was the storage, else the job has failed. */
  async #letGo(job: JobRecord, error: unknown): Promise<void> {
    const { store, now, log } = this.#context;
    const storage = error instanceof StoreError ? error : null;
    const isEnd = this.#closing && storage === null;
    if (!isEnd) log.error({ err: error, job_id: job.id }, 'an attempt could not be carried out');
    const failed = { code: 'internal_error', message: 'The job could not be carried out; the log says why.' };
    const move =
      storage !== null || isEnd
        ? ({ event: 'release', reason: storage?.code ?? 'shutdown', set: {} } as const)
        : ({ event: 'fail', reason: failed.code, set: { stop_reason: 'worker_crashed', error: failed } } as const);
    try {
      await applyEvent(store, job, move.event, { at: now(), reason: move.reason, set: move.set });
    } catch (again) {
      // The next start finds the abandoned lease.
      log.error({ err: again, job_id: job.id }, 'an attempt could not be given back');
    }
    if (storage !== null) await this.#pause();
  }

  /** Waits before the place of an attempt that the storage has failed is given away again. */
  async #pause(): Promise<void> {
    if (this.#closing) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    setTimeout(resolve, storageRetryMs).unref();
    await promise;
  }

  #retryLater(): void {
    this.#retryTimer ??= setTimeout(() => {
      this.#retryTimer = null;
      if (!this.#closing) this.wake();
    }, storageRetryMs).unref();
  }

  async #giveUpOverdue(): Promise<void> {
    const { store, now, log, feed } = this.#context;
    try {
      for (const id of await store.queue.overdue(now())) {
        const job = await store.jobs.get(id);
        if (job === undefined) continue;
        const stop_reason = 'queue_timeout';
        const error = { code: stop_reason, message: stopReasons[stop_reason].description };
        await applyEvent(store, job, 'fail', { at: now(), reason: stop_reason, set: { stop_reason, error } });
        feed.signal(id, 'events');
      }
    } catch (error) {
      log.error({ err: error }, 'waiting jobs could not be checked');
    }
  }
}
