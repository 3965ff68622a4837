/** Which job is claimed next, and by whom. */
import type { NewEvent } from './history.ts';
import type { JobRecord } from './jobs.ts';

export interface Lease {
  readonly job_id: string;
  readonly attempt: number;
  readonly owner: string;
  readonly expires_at: number;
}

export interface Queue {
  /**
   * Gives the oldest job of the highest priority to a worker: state `queued` → `running`, attempt + 1, a transition,
   * the events. Two claims never get the same job. `undefined` when none waits.
   * @param request.last jobs that come after all others
   */
  claim(request: {
    /** Who holds the lease: unique per process. */
    readonly owner: string;
    readonly now: number;
    readonly lease_expires_at: number;
    readonly last?: readonly string[] | undefined;
    readonly events?: readonly NewEvent[] | undefined;
  }): Promise<JobRecord | undefined>;
  /** Prolongs a lease. False when the attempt has lost it: it must stop. */
  heartbeat(lease: Pick<Lease, 'job_id' | 'attempt' | 'expires_at'>): Promise<boolean>;
  /** The leases that end before `expired_at`, or all. After a restart of the only process, all are abandoned. */
  leases(expired_at?: number): Promise<readonly Lease[]>;
  /** Jobs that still wait though their deadline has come. */
  overdue(now: number): Promise<readonly string[]>;
  depth(): Promise<{ readonly waiting: number; readonly leased: number }>;
}
