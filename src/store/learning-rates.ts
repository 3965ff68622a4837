/** Changes of the learning rate of a job under way: asked for by a client, in effect from a step that its worker names later. */
import type { Driver, Queryable } from './driver.ts';
import { type Columns, decode } from './sql.ts';
import type { EffectiveRate, JobChange, LearningRateRecord } from './store.ts';

const columns: Columns<LearningRateRecord> = {
  number: 'plain',
  learning_rate: 'plain',
  first_step: 'plain',
  requested_at: 'plain',
};

/** A job with a change of the learning rate that has not taken effect yet. */
export const hasPendingRate = `exists (
  select 1 from learning_rates where learning_rates.job_id = jobs.id and first_step is null
)`;

/** Adds the wish of a change, and names the steps of those that have taken effect; the job's row is locked. */
export async function changeLearningRates(sql: Queryable, change: JobChange): Promise<void> {
  const { id, at, learning_rate, effective_rates = [] } = change;
  if (learning_rate !== undefined) {
    await sql.query(
      `insert into learning_rates (job_id, number, learning_rate, requested_at)
       select $1, coalesce(max(number), 0) + 1, $2, $3 from learning_rates where job_id = $1`,
      [id, learning_rate, at],
    );
  }
  for (const { number, first_step } of effective_rates satisfies readonly EffectiveRate[]) {
    await sql.query('update learning_rates set first_step = $3 where job_id = $1 and number = $2', [
      id,
      number,
      first_step,
    ]);
  }
}

export async function learningRatesOf(driver: Driver, job_id: string): Promise<readonly LearningRateRecord[]> {
  const rows = await driver.query('select * from learning_rates where job_id = $1 order by number', [job_id]);
  return rows.map((row) => decode(columns, row));
}
