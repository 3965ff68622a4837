/** The queue: a table of the jobs that wait for a worker or have one. A row with an owner is a lease. */
import type { Driver, Queryable } from './driver.ts';
import { applyChange } from './job-change.ts';
import { isIn, parameters } from './sql.ts';
import type { JobRecord, Lease, Queue } from './store.ts';

/** The state of a job that a worker may claim, and the one it has then. */
export const waitingState = 'queued';
const claimedState = 'running';

export async function depth(sql: Queryable): Promise<{ waiting: number; leased: number }> {
  const [row] = await sql.query('select count(*) as total, count(owner) as leased from queue');
  const leased = Number(row?.leased);
  return { waiting: Number(row?.total) - leased, leased };
}

/** `contended`: another claim took the job between the look and the grasp; look again. */
async function claimOnce(
  sql: Queryable,
  request: Parameters<Queue['claim']>[0],
): Promise<JobRecord | 'none' | 'contended'> {
  const { owner, now, lease_expires_at, events, last = [] } = request;
  const p = parameters();
  const [next] = await sql.query(
    `select job_id from queue where owner is null
       and exists (select 1 from jobs where id = job_id and state = ${p(waitingState)})
     order by ${last.length === 0 ? '' : `case when ${isIn('job_id', last, p)} then 1 else 0 end, `}
       priority desc, enqueued_at, job_id limit 1`,
    p.values,
  );
  if (next === undefined) return 'none';
  const id = String(next.job_id);
  // The job first, as everywhere: whoever locks a job's row and its place in the queue takes them in this order.
  const claimed = await applyChange(
    sql,
    {
      id,
      at: now,
      from: [waitingState],
      to: { state: claimedState, reason: null, queue: 'keep' },
      events,
    },
    { claims: true },
  );
  if (claimed === undefined) return 'contended';
  await sql.query('update queue set owner = $2, expires_at = $3 where job_id = $1', [id, owner, lease_expires_at]);
  return claimed.job;
}

export function queue(driver: Driver): Queue {
  return {
    async claim(request) {
      for (;;) {
        const result = await driver.transaction((sql) => claimOnce(sql, request));
        if (result === 'none') return undefined;
        if (result !== 'contended') return result;
      }
    },

    async heartbeat({ job_id, attempt, expires_at }) {
      const rows = await driver.transaction((sql) =>
        sql.query(
          `update queue set expires_at = $3 where job_id = $1 and owner is not null
             and exists (select 1 from jobs where id = $1 and attempt = $2) returning job_id`,
          [job_id, attempt, expires_at],
        ),
      );
      return rows.length > 0;
    },

    async leases(expired_at = Number.MAX_SAFE_INTEGER) {
      const rows = await driver.query(
        `select job_id, attempt, owner, expires_at from queue join jobs on jobs.id = job_id
         where owner is not null and expires_at < $1 order by expires_at, job_id`,
        [expired_at],
      );
      return rows as unknown as Lease[];
    },

    async overdue(now) {
      const rows = await driver.query(
        'select job_id from queue where owner is null and deadline <= $1 order by deadline, job_id',
        [now],
      );
      return rows.map((row) => String(row.job_id));
    },

    depth: () => depth(driver),
  };
}
