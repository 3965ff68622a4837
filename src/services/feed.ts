/**
 * Who waits for news of a job is woken here. A signal carries nothing: what happened is in the store, which the woken
 * reader asks. So nothing can be missed or come in another order, however slow a reader is.
 */

/** `events`: there are new stored events. `progress`: a running job has come further. */
export type Signal = 'events' | 'progress';
type Listener = (signal: Signal) => void;

export class JobFeed {
  readonly #listeners = new Map<string, Set<Listener>>();
  readonly #eventListeners: (() => void)[] = [];
  readonly #closed = new AbortController();

  /** Aborted when the service stops: whoever waits gives up. */
  get closed(): AbortSignal {
    return this.#closed.signal;
  }

  /** Called whenever any job has new events. */
  onEvents(listener: () => void): void {
    this.#eventListeners.push(listener);
  }

  signal(job_id: string, signal: Signal): void {
    if (signal === 'events') for (const listener of this.#eventListeners) listener();
    for (const listener of this.#listeners.get(job_id) ?? []) listener(signal);
  }

  /** @returns a function that ends the subscription */
  subscribe(job_id: string, listener: Listener): () => void {
    const listeners = this.#listeners.get(job_id) ?? new Set();
    listeners.add(listener);
    this.#listeners.set(job_id, listeners);
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0) this.#listeners.delete(job_id);
    };
  }

  close(): void {
    this.#closed.abort();
  }
}

/** Signals that came since the last time somebody looked, for one reader of one job. */
export class Inbox {
  readonly #pending = new Set<Signal>();
  readonly #unsubscribe: () => void;
  #wake: () => void = () => {};

  constructor(feed: JobFeed, job_id: string) {
    this.#unsubscribe = feed.subscribe(job_id, (signal) => {
      this.#pending.add(signal);
      this.#wake();
    });
  }

  /** What has come, at the latest after `timeout_ms`; empty when it was the time or the abort that ended the wait. */
  async next(timeout_ms: number, abort: AbortSignal): Promise<ReadonlySet<Signal>> {
    if (this.#pending.size === 0 && !abort.aborted && timeout_ms > 0) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, timeout_ms);
      const giveUp = () => resolve();
      this.#wake = resolve;
      abort.addEventListener('abort', giveUp);
      await promise;
      abort.removeEventListener('abort', giveUp);
      clearTimeout(timer);
    }
    const taken = new Set(this.#pending);
    this.#pending.clear();
    return taken;
  }

  close(): void {
    this.#unsubscribe();
  }
}
