/** `inputs` and `targets` as tables of their own, as JSON and archives of arrays have them. */
import type { DatasetColumn } from './dataset.ts';
import type { ReadOptions, ReadTable } from './formats.ts';
import { jsonPlaces, namedColumns } from './named-table.ts';
import { type Problems, refuseData } from './problems.ts';
import { Table } from './table.ts';

export const dataFields = ['inputs', 'targets'] as const;
export type DataField = (typeof dataFields)[number];

/** Whether the client says which columns are the targets, so that a field of targets is not needed. */
export const needsTargets = ({ target }: ReadOptions): boolean => target === undefined;

/**
 * The columns of a field have the names that a table without a header gives them: x1, x2, … and y or y1, y2, …
 * Where the client names the targets, they can be of either field, and the rest of `targets` is left out.
 */
export function fieldTable(
  field: DataField,
  width: number,
  options: ReadOptions,
  problems: Problems,
  mostValues: number,
): ReadTable {
  const { limits, target, ignore = [], categorical = [] } = options;
  if (width > limits.max_columns) {
    const detail = `There are ${width} columns; max_dataset_columns is ${limits.max_columns}.`;
    refuseData('limit_exceeded', detail, `/${field}`);
  }
  const names = namesOf(field, width);
  const own = (wanted: readonly string[]) => new Set(wanted.filter((name) => names.includes(name)));
  const places = jsonPlaces(field);
  const table = new Table(
    { names, ignored: new Set(), categorical: own(categorical), limits, places, problems },
    mostValues,
  );
  const ignored = own(ignore);
  const roleOf = (name: string): DatasetColumn['role'] | null => {
    if (ignored.has(name)) return null;
    if (target?.includes(name) ?? field === 'targets') return 'target';
    return field === 'inputs' ? 'input' : null;
  };
  return { table, places, roleOf };
}

function namesOf(field: DataField, width: number): string[] {
  if (field === 'targets' && width === 1) return ['y'];
  return Array.from({ length: width }, (_, i) => `${field === 'inputs' ? 'x' : 'y'}${i + 1}`);
}

/** Columns can only be missed when all fields are there. */
export function checkColumnNames(
  widths: { readonly [Field in DataField]?: number | undefined },
  { target = [], ignore = [], categorical = [] }: ReadOptions,
): void {
  const names = dataFields.flatMap((field) => namesOf(field, widths[field] ?? 0));
  const kept = names.filter((name) => !ignore.includes(name));
  namedColumns('ignore', ignore, names);
  namedColumns('categorical', categorical, names);
  namedColumns('target', target, kept);
}
