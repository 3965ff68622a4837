/** What is known about data sets, and their blobs' end. */
import type { BlobStore } from './blobs.ts';
import type { Driver, Queryable } from './driver.ts';
import { createOnce } from './idempotency.ts';
import { dropLabels, getById, listById, putLabels } from './lists.ts';
import { type Columns, insertInto, isIn, parameters } from './sql.ts';
import { type DatasetRecord, type Datasets, datasetPrefix } from './store.ts';

const columns: Columns<DatasetRecord> = {
  id: 'plain',
  name: 'plain',
  profile: 'json',
  sha256: 'plain',
  blob_key: 'plain',
  metadata: 'json',
  created_at: 'plain',
};

/**
 * Holds a data set until the end of the transaction, so that it is not deleted while a job is made with it. An update,
 * because that locks the row in both databases. False when it is not there.
 */
export async function holdDataset(sql: Queryable, id: string): Promise<boolean> {
  return (await sql.query('update datasets set name = name where id = $1 returning id', [id])).length > 0;
}

async function isNeeded(sql: Queryable, id: string, states: readonly string[]): Promise<boolean> {
  const p = parameters();
  const text = `select id from jobs where dataset_id = ${p(id)} and ${isIn('state', states, p)} limit 1`;
  return (await sql.query(text, p.values)).length > 0;
}

async function deleteRecord(sql: Queryable, id: string, needed_by: readonly string[]): ReturnType<Datasets['delete']> {
  if (!(await holdDataset(sql, id))) return 'not_found';
  if (await isNeeded(sql, id, needed_by)) return 'in_use';
  await sql.query('delete from datasets where id = $1', [id]);
  await dropLabels(sql, id);
  return 'deleted';
}

export function datasets(driver: Driver, blobs: BlobStore): Datasets {
  return {
    create: (record, idempotency) =>
      createOnce(driver, idempotency, async (sql) => {
        const p = parameters();
        await sql.query(insertInto('datasets', columns, record, p), p.values);
        await putLabels(sql, record.id, record.metadata);
        return record;
      }),

    get: (id) => getById(driver, 'datasets', columns, id),

    list: (page) => listById(driver, 'datasets', columns, page),

    async delete(id, needed_by) {
      const outcome = await driver.transaction((sql) => deleteRecord(sql, id, needed_by));
      // The data set is gone even if its file cannot be removed now: `sweepBlobs` will.
      if (outcome === 'deleted') await Promise.allSettled([blobs.deleteAll(datasetPrefix(id))]);
      return outcome;
    },
  };
}
