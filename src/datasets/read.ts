/** From an uploaded file to tables: one reader for each format that can be sent. */
import { closeSync, fstatSync, openSync } from 'node:fs';
import { CsvError } from '../interop/csv.ts';
import { JsonRowsError } from '../interop/json-rows.ts';
import { NpyError } from '../interop/npy.ts';
import type { DatasetFormat, ReadOptions, ReadTable } from './formats.ts';
import { DatasetError, type Problems, refuseData } from './problems.ts';
import { readCsvTable } from './read-csv.ts';
import { readJsonTables, readNdjsonTable } from './read-json.ts';
import { readNpyTable, readNpzTables } from './read-numpy.ts';

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
  npy: readNpyTable,
  npz: readNpzTables,
};
