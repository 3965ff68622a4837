/** What has to be tidied up now and then: expired idempotency keys, and blobs that a crash between put and commit left behind. */
import type { Store } from '../store/store.ts';
import type { Log } from './log.ts';

const intervalMs = 3600 * 1000;
/** Whatever is younger may still be on its way into the database. */
const orphanAgeMs = 3600 * 1000;
/** File systems date a file by a clock that may lag some milliseconds behind. */
const clockLagMs = 1_000;

export interface Housekeeping {
  /** Resolves when nothing is under way any more. */
  close(): Promise<void>;
}

/**
 * Tidies up at once, then every hour; never in anybody's way. At the start of the only process that uses the storage
 * nothing is on its way that is older than this call.
 */
export function startHousekeeping(
  store: Pick<Store, 'idempotency' | 'sweepBlobs'>,
  log: Log,
  now: () => number,
): Housekeeping {
  const tidyUp = async (orphansBefore: number) => {
    try {
      const keys = await store.idempotency.sweep(now());
      const blobs = await store.sweepBlobs(orphansBefore);
      if (keys + blobs > 0) log.info({ keys, blobs }, 'tidied up');
    } catch (error) {
      log.warn({ err: error }, 'tidying up failed; it will be tried again');
    }
  };
  let underWay = tidyUp(now() - clockLagMs);
  const timer = setInterval(() => {
    underWay = underWay.then(() => tidyUp(now() - orphanAgeMs));
  }, intervalMs).unref();
  return {
    close() {
      clearInterval(timer);
      return underWay;
    },
  };
}
