/** Gives waiting jobs to free workers, oldest of the highest priority first, and keeps going what a restart interrupted. */
import { randomUUID } from 'node:crypto';
import { isFullError, type Room } from '../store/room.ts';
import type { JobRecord } from '../store/store.ts';
import { StoreError } from '../store/store.ts';
import { type JobAction, type JobEvent, stopReasons } from '../training/states.ts';
import { Backoff, pause } from './backoff.ts';
import type { KeptRequest } from './job-request.ts';
import { JobRun, type RunContext } from './job-run.ts';
import { applyEvent, isSuspended, suspendedReason } from './job-transitions.ts';
import type { Log } from './log.ts';

export interface SchedulerContext extends RunContext {
  readonly log: Log;
  readonly room: Room;
  /** Milliseconds; another time in tests. */
  readonly storage_retry_ms?: number | undefined;
}

/** The only process of a store holds its leases until it is gone, and the next one takes them all. */
const neverMs = Number.MAX_SAFE_INTEGER - 1;

export class Scheduler {
  readonly #context: SchedulerContext;
  readonly #owner = randomUUID();
  readonly #runs = new Map<string, { readonly run: JobRun; readonly done: Promise<void> }>();
  #pumping: Promise<void> | null = null;
  #again = false;
  readonly #closed = new AbortController();
  /** Looks at the queue: how often, and how much later after failures. */
  readonly #looking: Backoff;
  /** Attempts that the storage failed, without one that it kept something of. */
  readonly #attempting: Backoff;
  /** Their jobs, which come after those that wait for the first time. */
  readonly #failed = new Set<string>();
  #isTick = false;
  /** Jobs may be at rest because the disk was full. */
  #maySuspend = true;
  /** Why an attempt can be gone without a trace: before the first look, because the last process is. */
  #lostBy: 'restart' | 'storage_failed' = 'restart';
  #timer: NodeJS.Timeout | null = null;

  constructor(context: SchedulerContext) {
    this.#context = context;
    this.#looking = new Backoff(context.storage_retry_ms);
    this.#attempting = new Backoff(context.storage_retry_ms);
  }

  /** Takes up what the last process left behind, then begins to claim. */
  async start(): Promise<void> {
    this.wake();
    await this.#pumping;
    this.#setTimer();
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
    this.#closed.abort();
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#pumping;
    await this.#context.pool.close();
    await Promise.all([...this.#runs.values()].map(({ done }) => done));
  }

  get #closing(): boolean {
    return this.#closed.signal.aborted;
  }

  #setTimer(): void {
    if (!this.#closing) this.#timer = setTimeout(() => void this.#tick(), this.#looking.pauseMs).unref();
  }

  /** Looks whether all is as it should be, then waits for the next look. */
  async #tick(): Promise<void> {
    this.#isTick = true;
    this.wake();
    await this.#pumping;
    this.#setTimer();
  }

  /**
   * Mends what the storage says is under way and is not: this process is the only one that may use the storage, so an
   * attempt that is not among its runs was lost with the last process, or with an answer that the storage owed.
   */
  async #reconcile(): Promise<void> {
    const { store } = this.#context;
    const reason = this.#lostBy;
    for (const { job_id: id, attempt } of await store.queue.leases()) {
      if (!this.#runs.has(id)) await this.#move({ id, attempt }, 'release', reason);
    }
    for (const job of (await store.jobs.list({ states: ['cancelling'], limit: 1_000 })).data) {
      if (!this.#runs.has(job.id)) await this.#move(job, 'rest', 'cancelled');
    }
    this.#lostBy = 'storage_failed';
  }

  /** Once there is room again, the jobs go on that had to rest for want of it. */
  async #recoverSuspended(): Promise<void> {
    const { room } = this.#context;
    if (room.isFull && !(await room.regain())) return;
    if (!this.#maySuspend) return;
    this.#maySuspend = false;
    await this.#recoverAll().catch((error: unknown) => {
      this.#maySuspend = true;
      throw error;
    });
  }

  async #recoverAll(): Promise<void> {
    const { store } = this.#context;
    let page: Awaited<ReturnType<typeof store.jobs.list>>;
    let after: string | undefined;
    do {
      page = await store.jobs.list({ states: ['paused'], limit: 100, after });
      for (const job of page.data) {
        if (await isSuspended(store, job.id)) await this.#move(job, 'recover', 'storage_has_room');
        after = job.id;
      }
    } while (page.has_more);
  }

  async #move(job: Pick<JobRecord, 'id' | 'attempt'>, event: JobEvent, reason: string): Promise<void> {
    const { store, now, feed } = this.#context;
    await applyEvent(store, job, event, { at: now(), reason });
    feed.signal(job.id, 'events');
  }

  async #pump(): Promise<void> {
    const { pool, room, log } = this.#context;
    try {
      while (this.#again && !this.#closing) {
        this.#again = false;
        if (this.#isTick) await this.#giveUpOverdue();
        this.#isTick = false;
        await this.#reconcile();
        await this.#recoverSuspended();
        while (this.#runs.size < pool.workers && !room.isFull && !this.#closing) {
          const job = await this.#claim();
          if (job === undefined) break;
          this.#launch(job);
        }
      }
      this.#looking.succeed();
    } catch (error) {
      // The next tick tries again.
      this.#again = false;
      log.error({ err: error, retry_in_ms: this.#looking.fail() }, 'the queue could not be read');
    }
  }

  #claim(): Promise<JobRecord | undefined> {
    const { store, now } = this.#context;
    const events = [{ type: 'state', data: { state: 'running', reason: null } }];
    const last = [...this.#failed];
    return store.queue.claim({ owner: this.#owner, now: now(), lease_expires_at: neverMs, last, events });
  }

  #launch(job: JobRecord): void {
    const { feed, log } = this.#context;
    const { checkpoint } = job.request as KeptRequest;
    const run = new JobRun(job, checkpoint.every_epochs, this.#context);
    log.info({ job_id: job.id, attempt: job.attempt }, 'job started');
    const done = run
      .carryOut()
      .then(
        () => this.#succeed(job),
        (error: unknown) => this.#letGo(run, error),
      )
      .finally(() => {
        this.#runs.delete(job.id);
        log.info({ job_id: job.id, attempt: job.attempt }, 'job attempt ended');
        feed.signal(job.id, 'events');
        this.wake();
      });
    this.#runs.set(job.id, { run, done });
    feed.signal(job.id, 'events');
  }

  #succeed({ id }: JobRecord): void {
    this.#attempting.succeed();
    this.#failed.delete(id);
  }

  /** @returns milliseconds until the next attempt, at whichever job */
  #fail({ id }: JobRecord): number {
    this.#failed.add(id);
    return this.#attempting.fail();
  }

  /** The attempt could not be carried out or kept: again later when it was the storage, else the job has failed. */
  async #letGo({ job, hasSaved }: JobRun, error: unknown): Promise<void> {
    const { store, feed, now, log } = this.#context;
    const storage = error instanceof StoreError ? error : null;
    const isEnd = this.#closing && storage === null;
    const isFull = isFullError(error);
    if (hasSaved || storage === null) this.#succeed(job);
    const retry_in_ms = storage === null ? null : isFull ? this.#looking.pauseMs : this.#fail(job);
    if (!isEnd) log.error({ err: error, job_id: job.id, retry_in_ms }, 'an attempt could not be carried out');
    const failed = { code: 'internal_error', message: 'The job could not be carried out; the log says why.' };
    const { event, ...move } = isFull
      ? ({ event: 'suspend', reason: suspendedReason, set: {} } as const)
      : storage !== null || isEnd
        ? ({ event: 'release', reason: storage?.code ?? 'shutdown', set: {} } as const)
        : ({ event: 'fail', reason: failed.code, set: { stop_reason: 'worker_crashed', error: failed } } as const);
    try {
      await applyEvent(store, job, event, { at: now(), ...move });
      feed.signal(job.id, 'events');
    } catch (again) {
      // The lease stays behind; the next look finds it.
      log.error({ err: again, job_id: job.id }, 'an attempt could not be given back');
    } finally {
      // Not before: a look for jobs at rest that comes in between would not find this one, and none would follow it.
      this.#maySuspend ||= event === 'suspend';
    }
    // Its place is not given away before.
    if (retry_in_ms !== null) await pause(retry_in_ms, this.#closed.signal);
  }

  async #giveUpOverdue(): Promise<void> {
    const { store, now, feed } = this.#context;
    for (const id of await store.queue.overdue(now())) {
      const job = await store.jobs.get(id);
      if (job === undefined) continue;
      const stop_reason = 'queue_timeout';
      const error = { code: stop_reason, message: stopReasons[stop_reason].description };
      await applyEvent(store, job, 'fail', { at: now(), reason: stop_reason, set: { stop_reason, error } });
      feed.signal(id, 'events');
    }
  }
}
