/** Network definitions: written once, never changed. */
import type { Driver } from './driver.ts';
import { createOnce } from './idempotency.ts';
import { dropLabels, getById, listById, putLabels } from './lists.ts';
import { type Columns, insertInto, parameters } from './sql.ts';
import type { NetworkRecord, Networks } from './store.ts';

const columns: Columns<NetworkRecord> = {
  id: 'plain',
  name: 'plain',
  definition: 'json',
  metadata: 'json',
  created_at: 'plain',
};

export function networks(driver: Driver): Networks {
  return {
    create: (record, idempotency) =>
      createOnce(driver, idempotency, async (sql) => {
        const p = parameters();
        await sql.query(insertInto('networks', columns, record, p), p.values);
        await putLabels(sql, record.id, record.metadata);
        return record;
      }),

    get: (id) => getById(driver, 'networks', columns, id),

    list: (page) => listById(driver, 'networks', columns, page),

    delete: (id) =>
      driver.transaction(async (sql) => {
        const deleted = await sql.query('delete from networks where id = $1 returning id', [id]);
        await dropLabels(sql, id);
        return deleted.length > 0;
      }),
  };
}
