/** The events and transitions of a job. Both are written by `applyChange` and at creation only, with the job's row locked. */
import type { Driver, Queryable } from './driver.ts';
import { pageOf } from './lists.ts';
import { type Columns, decode, toJson } from './sql.ts';
import type { EventRecord, Events, NewEvent, TransitionRecord } from './store.ts';
import { putDeliveries } from './webhooks.ts';

const eventColumns: Columns<EventRecord> = { id: 'plain', type: 'plain', data: 'json', at: 'plain' };

const transitionColumns: Columns<TransitionRecord> = {
  state: 'plain',
  at: 'plain',
  reason: 'plain',
  attempt: 'plain',
};

/** Writes events, and puts their deliveries into the outbox, so that the last one gets the id `last_event_id`, which the job's row has counted up to already. */
export async function putEvents(
  sql: Queryable,
  job: { readonly id: string; readonly last_event_id: number },
  events: readonly NewEvent[],
  at: number,
): Promise<void> {
  const numbered = events.map((event, i) => ({ ...event, id: job.last_event_id - events.length + 1 + i }));
  for (const { id, type, data } of numbered) {
    await sql.query('insert into events (job_id, id, type, data, at) values ($1, $2, $3, $4, $5)', [
      job.id,
      id,
      type,
      toJson(data),
      at,
    ]);
  }
  await putDeliveries(sql, job.id, numbered, at);
}

export async function putTransition(sql: Queryable, job_id: string, transition: TransitionRecord): Promise<void> {
  const { state, at, reason, attempt } = transition;
  await sql.query(
    `insert into transitions (job_id, number, state, at, reason, attempt)
     select $1, coalesce(max(number), 0) + 1, $2, $3, $4, $5 from transitions where job_id = $1`,
    [job_id, state, at, reason, attempt],
  );
}

export async function transitionsOf(driver: Driver, job_id: string): Promise<readonly TransitionRecord[]> {
  const rows = await driver.query('select * from transitions where job_id = $1 order by number', [job_id]);
  return rows.map((row) => decode(transitionColumns, row));
}

export function events(driver: Driver): Events {
  return {
    async list(job_id, { after = 0, limit }) {
      const rows = await driver.query('select * from events where job_id = $1 and id > $2 order by id limit $3', [
        job_id,
        after,
        limit + 1,
      ]);
      return pageOf(
        rows.map((row) => decode(eventColumns, row)),
        limit,
      );
    },
  };
}
