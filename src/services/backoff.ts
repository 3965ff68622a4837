/** Pauses of whoever keeps trying what the storage keeps failing: they double with every failure in a row. */

/** How long the storage is left alone after its first failure, and how often it is looked at while it works. */
export const storageRetryMs = 1_000;
/** So many times the first pause is the longest: a storage that works again is noticed within a minute. */
const longest = 64;

export class Backoff {
  readonly #firstMs: number;
  #failures = 0;

  constructor(firstMs: number = storageRetryMs) {
    this.#firstMs = firstMs;
  }

  /** Milliseconds until the next try. */
  get pauseMs(): number {
    return this.#firstMs * Math.min(2 ** Math.max(0, this.#failures - 1), longest);
  }

  /** @returns the pause after it */
  fail(): number {
    this.#failures += 1;
    return this.pauseMs;
  }

  succeed(): void {
    this.#failures = 0;
  }
}

/** Resolves after a time, or as soon as the signal says that nobody waits any more. */
export async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, milliseconds).unref();
  const giveUp = () => resolve();
  signal.addEventListener('abort', giveUp);
  await promise;
  signal.removeEventListener('abort', giveUp);
  clearTimeout(timer);
}
