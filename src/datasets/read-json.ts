/** JSON and lines of JSON to tables. */
import { fstatSync } from 'node:fs';
import { readJsonLists, readNdjson } from '../interop/json-rows.ts';
import { checkColumnNames, type DataField, dataFields, fieldTable, needsTargets } from './field-tables.ts';
import { fileChunks } from './file-bytes.ts';
import type { ReadOptions, ReadTable } from './formats.ts';
import { columnNames, jsonPlaces, singleTable } from './named-table.ts';
import { type Problems, refuseData } from './problems.ts';
import type { Row } from './table.ts';

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

export function readNdjsonTable(file: number, options: ReadOptions, problems: Problems): readonly ReadTable[] {
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
export function readJsonTables(file: number, options: ReadOptions, problems: Problems): readonly ReadTable[] {
  const tables = new Map<DataField, { read: ReadTable; width: number }>();
  const row = new JsonRow();
  for (const { field: name, row: number, value } of readJsonLists(fileChunks(file))) {
    const field =
      dataFields.find((known) => known === name) ??
      refuseData(
        'unknown_field',
        `There is no field ${JSON.stringify(name)}. Known here: ${dataFields.join(', ')}.`,
        `/${name}`,
      );
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
  for (const field of dataFields) {
    if (!tables.has(field) && (field === 'inputs' || needsTargets(options)))
      problems.add('required', `${field} must be given: a list of at least one row.`, `/${field}`);
  }
  problems.throwIfAny();
  checkColumnNames({ inputs: tables.get('inputs')?.width, targets: tables.get('targets')?.width }, options);
  return dataFields.flatMap((field) => tables.get(field)?.read ?? []);
}

function asList(value: unknown, field: string, row: number): readonly unknown[] {
  if (Array.isArray(value) && value.length > 0) return value;
  return refuseData(
    'wrong_type',
    `Row ${row + 1} of ${field} must be a list of at least one value.`,
    `/${field}/${row}`,
  );
}
