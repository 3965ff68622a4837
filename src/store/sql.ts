/** The little that stands between records and SQL: columns, placeholders, JSON. */
import type { Row, SqlValue } from './driver.ts';
import type { Json } from './store.ts';

/** How each field of a record is kept: as it is, or as JSON text. The field's name is the column's. */
export type Columns<T> = { readonly [K in keyof T & string]: 'plain' | 'json' };

/**
 * JSON text of a value; `null` for null and undefined.
 * @throws {RangeError} when there is a number in it that is not finite: JSON would silently make it null.
 */
export function toJson(value: Json): string | null {
  if (value === null || value === undefined) return null;
  return JSON.stringify(value, (key, inner: unknown) => {
    if (typeof inner === 'number' && !Number.isFinite(inner)) {
      throw new RangeError(`cannot store ${inner} as JSON, at ${JSON.stringify(key)}`);
    }
    return inner;
  });
}

function encode(kind: 'plain' | 'json', value: unknown): SqlValue {
  return kind === 'json' ? toJson(value) : (value as SqlValue);
}

/** A record from a row that has at least these columns. */
export function decode<T>(columns: Columns<T>, row: Row): T {
  const fields = Object.entries<'plain' | 'json'>(columns).map(([name, kind]) => {
    const value = row[name];
    return [name, kind === 'json' && typeof value === 'string' ? JSON.parse(value) : value];
  });
  return Object.fromEntries(fields) as T;
}

/** Collects parameters: call it with a value where its placeholder stands in the text. */
export interface Parameters {
  (value: SqlValue): string;
  readonly values: SqlValue[];
}

export function parameters(): Parameters {
  const values: SqlValue[] = [];
  return Object.assign((value: SqlValue) => `$${values.push(value)}`, { values });
}

/** `insert into table (…) values (…)` for the fields of a record. */
export function insertInto<T extends object>(table: string, columns: Columns<T>, record: T, p: Parameters): string {
  const names = Object.keys(columns) as (keyof T & string)[];
  const values = names.map((name) => p(encode(columns[name], record[name])));
  return `insert into ${table} (${names.join(', ')}) values (${values.join(', ')})`;
}

/** `a = $1, b = $2` for the fields that are given. */
export function assignments<T extends object>(columns: Columns<T>, fields: Partial<T>, p: Parameters): string[] {
  return Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name} = ${p(encode(columns[name as keyof T & string], value))}`);
}

/** `column in ($1, $2)`; false when there is nothing in the list. */
export function isIn(column: string, list: readonly SqlValue[], p: Parameters): string {
  return list.length === 0 ? '1 = 0' : `${column} in (${list.map((value) => p(value)).join(', ')})`;
}
