/** From an uploaded file to tables: one reader for each format that can be sent. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { CsvError, type CsvRecord, readCsv } from '../interop/csv.ts';
import { JsonRowsError, readJsonLists, readNdjson } from '../interop/json-rows.ts';
import { type ByteSource, NpyError, type NpyMatrix, openNpy, openNpz } from '../interop/npy.ts';
import { type DatasetColumn, type MissingPolicy, partRows, type TargetTask } from './dataset.ts';
import { DatasetError, type Problems, refuseData } from './problems.ts';
import { type Places, type Row, Table, type TableLimits } from './table.ts';

/** The formats of an upload, by the media types that name them. */
export const formats = {
  json: { media_types: ['application/json'], description: '`{"inputs": [[…], …], "targets": […]}`' },
  csv: { media_types: ['text/csv'], description: 'RFC 4180 with a header row; `,` `;` tab or `|` as the separator' },
  ndjson: {
    media_types: ['application/x-ndjson', 'application/ndjson', 'application/jsonl'],
    description: 'One JSON object (by column name) or list a line',
  },
  npy: { media_types: ['application/x-npy', 'application/octet-stream'], description: 'A matrix saved by numpy.save' },
  npz: {
    media_types: ['application/x-npz', 'application/zip'],
    description: 'Two arrays saved by numpy.savez: `inputs` or `X`, `targets` or `y`',
  },
} as const satisfies Record<string, { readonly media_types: readonly string[]; readonly description: string }>;

export type DatasetFormat = keyof typeof formats;

export interface DatasetLimits extends TableLimits {
  readonly max_columns: number;
}

/** What the client says about the file. */
export interface ReadOptions {
  readonly format: DatasetFormat;
  /** Default: the last column. */
  readonly target?: readonly string[] | undefined;
  readonly ignore?: readonly string[] | undefined;
  readonly categorical?: readonly string[] | undefined;
  readonly missing: MissingPolicy;
  readonly task?: TargetTask | undefined;
  readonly limits: DatasetLimits;
}

/** A table and the role of each of its kept columns. */
export interface ReadTable {
  readonly table: Table;
  readonly roleOf: (name: string) => DatasetColumn['role'];
  readonly places: Places;
}

const chunkBytes = 2 ** 20;

/** The bytes of an open file, in order. */
function* fileChunks(file: number): Generator<Uint8Array, void, void> {
  for (;;) {
    const chunk = new Uint8Array(chunkBytes);
    const length = readSync(file, chunk, 0, chunkBytes, null);
    if (length === 0) return;
    yield chunk.subarray(0, length);
  }
}

function fileSource(file: number): ByteSource {
  const { size } = fstatSync(file);
  return {
    size,
    read(offset, length) {
      if (offset + length > size) throw new NpyError('The file ends too early.');
      const bytes = new Uint8Array(length);
      readSync(file, bytes, 0, length, offset);
      return bytes;
    },
  };
}

/**
 * Reads a file into tables.
 * @throws {DatasetError} with everything that is wrong with it, up to 20 places
 */
export function readTables(path: string, options: ReadOptions, problems: Problems): readonly ReadTable[] {
  const file = openSync(path, 'r');
  try {
    if (fstatSync(file).size === 0) refuseData('empty', 'The body is empty.');
    return readers[options.format](file, options, problems);
  } catch (error) {
    throw asDatasetError(error);
  } finally {
    closeSync(file);
  }
}

function asDatasetError(error: unknown): unknown {
  const one = (detail: string, pointer = '') => new DatasetError([{ pointer, code: 'wrong_format', detail }]);
  if (error instanceof CsvError) {
    return one(
      `Line ${error.record} of the records, column ${error.column}: ${error.message}.`,
      `#cell=${error.record},${error.column}`,
    );
  }
  if (error instanceof JsonRowsError) {
    return one(
      error.message,
      error.field === null ? '' : `/${error.field}${error.row === null ? '' : `/${error.row}`}`,
    );
  }
  if (error instanceof NpyError) return one(error.message);
  if (error instanceof TypeError && /encoded data was not valid/.test(error.message)) {
    return one('The text is not UTF-8.');
  }
  return error;
}

type FormatReader = (file: number, options: ReadOptions, problems: Problems) => readonly ReadTable[];

const readers: Readonly<Record<DatasetFormat, FormatReader>> = {
  csv: readCsvTable,
  ndjson: readNdjsonTable,
  json: readJsonTables,
  npy: (file, options, problems) => [numberTable(openNpy(fileSource(file)), options, problems, null)],
  npz: readNpzTables,
};

/** RFC 7111 names a cell of a CSV file by its row and column from 1, the header being row 1. */
const csvPlaces: Places = {
  name: (row, column) => `Row ${row + 1}, column ${JSON.stringify(column)}`,
  pointer: (row, column) => `#cell=${row + 2},${column + 1}`,
};

/** JSON pointers into `field`, or into the list of lines. */
const jsonPlaces = (field: string | null): Places => ({
  name: (row, column) => `Row ${row + 1}${field === null ? '' : ` of ${field}`}, column ${JSON.stringify(column)}`,
  pointer: (row, column) => `${field === null ? '' : `/${field}`}/${row}/${column}`,
});

function singleTable(
  names: readonly string[],
  options: ReadOptions,
  problems: Problems,
  places: Places,
  mostValues: number,
): ReadTable {
  const { limits, missing } = options;
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
      drop: missing === 'drop',
      limits,
      places,
      problems,
    },
    mostValues,
  );
  return { table, places, roleOf: (name) => (targets.has(name) ? 'target' : 'input') };
}

function namedColumns(parameter: string, wanted: readonly string[], names: readonly string[]): ReadonlySet<string> {
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
function columnNames(header: readonly string[]): string[] {
  const names = header.map((name, i) => (name.trim() === '' ? `column_${i + 1}` : name.trim()));
  const seen = new Set<string>();
  names.forEach((name, i) => {
    if (seen.has(name)) refuseData('invalid', `The header names ${JSON.stringify(name)} twice.`, `#cell=1,${i + 1}`);
    seen.add(name);
  });
  return names;
}

function readCsvTable(file: number, options: ReadOptions, problems: Problems): readonly ReadTable[] {
  const records = readCsv(fileChunks(file), { max_columns: options.limits.max_columns });
  const first = records.next();
  if (first.done === true) return refuseData('empty', 'The file has no header row.');
  const names = headerOf(first.value);
  const read = singleTable(names, options, problems, csvPlaces, fstatSync(file).size + 1);
  let row = 0;
  for (const record of records) {
    if (record.count === names.length) read.table.add(record);
    else raggedRow(problems, row, record.count, names.length);
    row += 1;
  }
  return [read];
}

function raggedRow(problems: Problems, row: number, found: number, expected: number): void {
  const detail = `Row ${row + 1} has ${found} ${found === 1 ? 'field' : 'fields'}, but the header has ${expected}.`;
  problems.add('ragged_rows', detail, `#row=${row + 2}`);
}

function headerOf(record: CsvRecord): string[] {
  const header = Array.from({ length: record.count }, (_, i) => record.text(i));
  if (header.some((name) => name.includes('\0'))) refuseData('wrong_format', 'The file is binary, not text.');
  if (header.every((_, i) => !Number.isNaN(record.number(i)))) {
    refuseData(
      'required',
      'The first row has only numbers; a header row with the names of the columns is needed.',
      '#row=1',
    );
  }
  return columnNames(header);
}

/** Values as JSON has them: numbers and truth values are numbers, null and what is not there is missing, text is text. */
class JsonRow implements Row {
  cells: readonly unknown[] = [];

  get count(): number {
    return this.cells.length;
  }

  number(cell: number): number {
    const value = this.cells[cell];
    return typeof value === 'number' ? value : typeof value === 'boolean' ? Number(value) : Number.NaN;
  }

  text(cell: number): string {
    const value = this.cells[cell] ?? '';
    return typeof value === 'object' ? JSON.stringify(value) : String(value);
  }
}

function readNdjsonTable(file: number, options: ReadOptions, problems: Problems): readonly ReadTable[] {
  const places = jsonPlaces(null);
  const row = new JsonRow();
  let read: ReadTable | null = null;
  let names: readonly string[] = [];
  let number = 0;
  for (const line of readNdjson(fileChunks(file))) {
    if (read === null) {
      names = lineNames(line);
      read = singleTable(names, options, problems, places, fstatSync(file).size + 1);
    }
    const cells = lineCells(line, names, number, problems);
    if (cells !== null) {
      row.cells = cells;
      read.table.add(row);
    }
    number += 1;
  }
  return read === null ? refuseData('empty', 'There is no line.') : [read];
}

function lineNames(line: unknown): string[] {
  if (Array.isArray(line)) return line.map((_, i) => `column_${i + 1}`);
  if (typeof line === 'object' && line !== null) return columnNames(Object.keys(line));
  return refuseData('wrong_type', 'Row 1 must be an object or a list.', '/0');
}

function lineCells(
  line: unknown,
  names: readonly string[],
  row: number,
  problems: Problems,
): readonly unknown[] | null {
  if (Array.isArray(line)) {
    if (line.length === names.length) return line;
    problems.add(
      'ragged_rows',
      `Row ${row + 1} has ${line.length} values, but the first row has ${names.length}.`,
      `/${row}`,
    );
    return null;
  }
  if (typeof line !== 'object' || line === null) {
    problems.add('wrong_type', `Row ${row + 1} must be an object or a list, as the first row is.`, `/${row}`);
    return null;
  }
  const values = line as Readonly<Record<string, unknown>>;
  const unknown = Object.keys(values).find((key) => !names.includes(key.trim()));
  if (unknown !== undefined) {
    problems.add(
      'unknown_field',
      `Row ${row + 1} has the column ${JSON.stringify(unknown)}, which the first row has not.`,
      `/${row}/${unknown}`,
    );
    return null;
  }
  return names.map((name) => (Object.hasOwn(values, name) ? values[name] : null));
}

/** `inputs` and `targets` are tables of their own, with as many rows. */
function readJsonTables(file: number, options: ReadOptions, problems: Problems): readonly ReadTable[] {
  refuseColumnNames(options);
  const tables = new Map<string, { read: ReadTable; width: number }>();
  const row = new JsonRow();
  for (const { field, row: number, value } of readJsonLists(fileChunks(file))) {
    if (field !== 'inputs' && field !== 'targets') {
      refuseData(
        'unknown_field',
        `There is no field ${JSON.stringify(field)}. Known here: inputs, targets.`,
        `/${field}`,
      );
    }
    const cells: readonly unknown[] =
      Array.isArray(value) || field === 'inputs' ? asList(value, field, number) : [value];
    let known = tables.get(field);
    if (known === undefined) {
      known = {
        read: fieldTable(field, cells.length, options, problems, fstatSync(file).size + 1),
        width: cells.length,
      };
      tables.set(field, known);
    }
    if (cells.length === known.width) {
      row.cells = cells;
      known.read.table.add(row);
    } else {
      const detail = `Row ${number + 1} of ${field} has ${cells.length} values, but the rows before it have ${known.width}.`;
      problems.add('ragged_rows', detail, `/${field}/${number}`);
    }
  }
  for (const field of ['inputs', 'targets']) {
    if (!tables.has(field))
      problems.add('required', `${field} must be given: a list of at least one row.`, `/${field}`);
  }
  problems.throwIfAny();
  return [tables.get('inputs'), tables.get('targets')].flatMap((found) => (found === undefined ? [] : [found.read]));
}

function asList(value: unknown, field: string, row: number): readonly unknown[] {
  if (Array.isArray(value) && value.length > 0) return value;
  return refuseData(
    'wrong_type',
    `Row ${row + 1} of ${field} must be a list of at least one value.`,
    `/${field}/${row}`,
  );
}

/** Formats that say by themselves what the targets are do not name them. */
function refuseColumnNames({ target, ignore, categorical, missing, format }: ReadOptions): void {
  for (const [parameter, value] of Object.entries({ target, ignore, categorical })) {
    if (value !== undefined)
      refuseData('not_allowed', `${parameter} names columns, and ${format} has none.`, `?${parameter}`);
  }
  if (missing === 'drop') {
    refuseData(
      'not_allowed',
      `missing=drop needs inputs and targets in one table, as CSV and NDJSON have them.`,
      '?missing',
    );
  }
}

/** The columns of a field have the names that a table without a header gives them: x1, x2, … and y or y1, y2, … */
function fieldTable(
  field: string,
  width: number,
  options: ReadOptions,
  problems: Problems,
  mostValues: number,
): ReadTable {
  const { limits } = options;
  if (width > limits.max_columns) {
    refuseData(
      'limit_exceeded',
      `There are ${width} columns; max_dataset_columns is ${limits.max_columns}.`,
      `/${field}`,
    );
  }
  const letter = field === 'inputs' ? 'x' : 'y';
  const names = Array.from({ length: width }, (_, i) => (letter === 'y' && width === 1 ? 'y' : `${letter}${i + 1}`));
  const places = jsonPlaces(field);
  const table = new Table(
    { names, ignored: new Set(), categorical: new Set(), drop: false, limits, places, problems },
    mostValues,
  );
  return { table, places, roleOf: () => (field === 'inputs' ? 'input' : 'target') };
}

/** A matrix of a .npy file; as a field of an archive, or by itself with its columns called column_1, column_2, … */
function numberTable(matrix: NpyMatrix, options: ReadOptions, problems: Problems, field: string | null): ReadTable {
  const values = matrix.rows * matrix.columns;
  if (values === 0) refuseData('empty', 'The array is empty.');
  const names = Array.from({ length: matrix.columns }, (_, i) => `column_${i + 1}`);
  const read =
    field === null
      ? singleTable(names, options, problems, jsonPlaces(null), values)
      : fieldTable(field, matrix.columns, options, problems, values);
  const step = partRows(matrix.columns);
  for (let row = 0; row < matrix.rows; row += step) {
    read.table.addNumbers(matrix.rowsFrom(row, Math.min(step, matrix.rows - row)));
  }
  return read;
}

const archiveNames = {
  inputs: ['inputs', 'X', 'x', 'x_train', 'data'],
  targets: ['targets', 'y', 'Y', 'y_train', 'target'],
} as const;

function readNpzTables(file: number, options: ReadOptions, problems: Problems): readonly ReadTable[] {
  refuseColumnNames(options);
  const arrays = openNpz(fileSource(file), options.limits.max_values * 8);
  return Object.entries(archiveNames).map(([field, names]) => {
    const name = names.find((candidate) => arrays.has(candidate));
    const source = name === undefined ? undefined : arrays.get(name);
    if (source === undefined) {
      const found = [...arrays.keys()].join(', ') || 'nothing';
      return refuseData(
        'required',
        `The archive needs an array of ${field}, called ${names.join(' or ')}; it has ${found}.`,
        `/${field}`,
      );
    }
    return numberTable(openNpy(source), options, problems, field);
  });
}
