/** CSV to a table. */
import { fstatSync } from 'node:fs';
import { type CsvRecord, readCsv } from '../interop/csv.ts';
import { fileChunks } from './file-bytes.ts';
import type { ReadOptions, ReadTable } from './formats.ts';
import { columnNames, singleTable } from './named-table.ts';
import { type Problems, refuseData } from './problems.ts';
import type { Places } from './table.ts';

/** RFC 7111 names a cell of a CSV file by its row and column from 1, the header being row 1. */
const csvPlaces: Places = {
  name: (row, column) => `Row ${row + 1}, column ${JSON.stringify(column)}`,
  pointer: (row, column) => `#cell=${row + 2},${column + 1}`,
};

export function readCsvTable(file: number, options: ReadOptions, problems: Problems): readonly ReadTable[] {
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
