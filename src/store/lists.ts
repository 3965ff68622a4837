/** Lists by id, newest first, and the labels that filter them: the same for networks, data sets and jobs. */
import type { Driver, Queryable } from './driver.ts';
import { type Columns, decode, type Parameters, parameters } from './sql.ts';
import type { Metadata, MetadataFilter, Page, PageRequest } from './store.ts';

/** Keys and values are compared as JSON strings, so that no text is impossible to store or to ask for. */
const labelText = (text: string): string => JSON.stringify(text);

/** Writes the labels of a record anew. */
export async function putLabels(sql: Queryable, owner_id: string, metadata: Metadata): Promise<void> {
  await dropLabels(sql, owner_id);
  for (const [key, value] of Object.entries(metadata)) {
    if (!['string', 'number', 'boolean'].includes(typeof value)) continue;
    await sql.query('insert into labels (owner_id, key, value) values ($1, $2, $3)', [
      owner_id,
      labelText(key),
      labelText(String(value)),
    ]);
  }
}

export async function dropLabels(sql: Queryable, owner_id: string): Promise<void> {
  await sql.query('delete from labels where owner_id = $1', [owner_id]);
}

function labelled(table: string, filter: MetadataFilter, p: Parameters): string[] {
  return Object.entries(filter).map(
    ([key, value]) =>
      `exists (select 1 from labels where owner_id = ${table}.id
        and key = ${p(labelText(key))} and value = ${p(labelText(value))})`,
  );
}

/** `limit` rows and whether there are more, from up to limit + 1 rows. */
export function pageOf<T>(rows: readonly T[], limit: number): Page<T> {
  return { data: rows.slice(0, limit), has_more: rows.length > limit };
}

/** One page of a table whose key is `id`. `conditions` adds to the where clause. */
export async function listById<T>(
  driver: Driver,
  table: string,
  columns: Columns<T>,
  page: PageRequest & { readonly metadata?: MetadataFilter | undefined },
  conditions: (p: Parameters) => string[] = () => [],
): Promise<Page<T>> {
  const p = parameters();
  const where = [...conditions(p), ...labelled(table, page.metadata ?? {}, p)];
  if (page.after !== undefined) where.push(`id < ${p(page.after)}`);
  const rows = await driver.query(
    `select * from ${table} ${where.length > 0 ? `where ${where.join(' and ')}` : ''}
     order by id desc limit ${p(page.limit + 1)}`,
    p.values,
  );
  return pageOf(
    rows.map((row) => decode(columns, row)),
    page.limit,
  );
}

export async function getById<T>(
  sql: Queryable,
  table: string,
  columns: Columns<T>,
  id: string,
): Promise<T | undefined> {
  const [row] = await sql.query(`select * from ${table} where id = $1`, [id]);
  return row && decode(columns, row);
}
