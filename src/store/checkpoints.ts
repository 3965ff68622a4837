/** The records of checkpoints; the checkpoints themselves are blobs. */
import type { Driver, Queryable, Row } from './driver.ts';
import { type Columns, decode, insertInto, isIn, type Parameters, parameters } from './sql.ts';
import type { CheckpointRecord, Checkpoints, JobChange } from './store.ts';

const columns: Columns<CheckpointRecord> = {
  job_id: 'plain',
  step: 'plain',
  epoch: 'plain',
  kind: 'plain',
  blob_key: 'plain',
  sha256: 'plain',
  size: 'plain',
  created_at: 'plain',
};

async function remove(sql: Queryable, job_id: string, condition: (p: Parameters) => string): Promise<string[]> {
  const p = parameters();
  const text = `delete from checkpoints where job_id = ${p(job_id)} and ${condition(p)} returning blob_key`;
  return (await sql.query(text, p.values)).map((row: Row) => String(row.blob_key));
}

/**
 * Forgets, replaces and adds checkpoint records as a change says.
 * @returns the keys of the blobs that nothing refers to any more, to be deleted after the commit.
 */
export async function changeCheckpoints(sql: Queryable, change: JobChange): Promise<string[]> {
  const { id, rewind, checkpoints = [], drop_checkpoints = [] } = change;
  const forgotten: string[] = [];
  if (rewind !== undefined) forgotten.push(...(await remove(sql, id, (p) => `step > ${p(rewind.step)}`)));
  const replaced = [...drop_checkpoints, ...checkpoints.map(({ step }) => step)];
  if (replaced.length > 0) forgotten.push(...(await remove(sql, id, (p) => isIn('step', replaced, p))));
  for (const checkpoint of checkpoints) {
    const p = parameters();
    const record = { ...checkpoint, job_id: id, created_at: change.at };
    await sql.query(insertInto('checkpoints', columns, record, p), p.values);
  }
  const added = new Set(checkpoints.map(({ blob_key }) => blob_key));
  return forgotten.filter((key) => !added.has(key));
}

export function checkpoints(driver: Driver): Checkpoints {
  return {
    async list(job_id) {
      const rows = await driver.query('select * from checkpoints where job_id = $1 order by step desc', [job_id]);
      return rows.map((row) => decode(columns, row));
    },

    async newest(job_id) {
      const text = 'select * from checkpoints where job_id = $1 order by step desc limit 1';
      const [row] = await driver.query(text, [job_id]);
      return row && decode(columns, row);
    },

    async at(job_id, step) {
      const [row] = await driver.query('select * from checkpoints where job_id = $1 and step = $2', [job_id, step]);
      return row && decode(columns, row);
    },
  };
}
