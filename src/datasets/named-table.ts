/** Tables whose columns have names: by a header, by the keys of objects, or by their places. */
import type { ReadOptions, ReadTable } from './formats.ts';
import { type Problems, refuseData } from './problems.ts';
import { type Places, Table } from './table.ts';

/** JSON pointers into `field`, or into the list of lines. */
export const jsonPlaces = (field: string | null): Places => ({
  name: (row, column) => `Row ${row + 1}${field === null ? '' : ` of ${field}`}, column ${JSON.stringify(column)}`,
  pointer: (row, column) => `${field === null ? '' : `/${field}`}/${row}/${column}`,
});

export function singleTable(
  names: readonly string[],
  options: ReadOptions,
  problems: Problems,
  places: Places,
  mostValues: number,
): ReadTable {
  const { limits } = options;
  if (names.length > limits.max_columns) {
    refuseData('limit_exceeded', `There are ${names.length} columns; max_dataset_columns is ${limits.max_columns}.`);
  }
  const ignored = namedColumns('ignore', options.ignore ?? [], names);
  const kept = names.filter((name) => !ignored.has(name));
  const targets = namedColumns('target', options.target ?? kept.slice(-1), kept);
  if (targets.size === kept.length)
    refuseData('required', 'No column is left for the inputs: at least one besides the target is needed.');
  const table = new Table(
    {
      names,
      ignored,
      categorical: namedColumns('categorical', options.categorical ?? [], names),
      limits,
      places,
      problems,
    },
    mostValues,
  );
  return { table, places, roleOf: (name) => (targets.has(name) ? 'target' : 'input') };
}

/** @throws {DatasetError} naming the parameter, when one of the columns is not there */
export function namedColumns(
  parameter: string,
  wanted: readonly string[],
  names: readonly string[],
): ReadonlySet<string> {
  const known = new Set(names);
  for (const name of wanted) {
    if (!known.has(name)) {
      const list = names.length > 20 ? `${names.slice(0, 20).join(', ')}, …` : names.join(', ');
      refuseData(
        'unknown_name',
        `There is no column ${JSON.stringify(name)}; the columns are ${list}.`,
        `?${parameter}`,
      );
    }
  }
  return new Set(wanted);
}

/** A name for every column; a column without one is called by its place. */
export function columnNames(header: readonly string[]): string[] {
  const names = header.map((name, i) => (name.trim() === '' ? `column_${i + 1}` : name.trim()));
  const seen = new Set<string>();
  names.forEach((name, i) => {
    if (seen.has(name)) refuseData('invalid', `The header names ${JSON.stringify(name)} twice.`, `#cell=1,${i + 1}`);
    seen.add(name);
  });
  return names;
}
