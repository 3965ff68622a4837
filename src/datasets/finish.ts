/** From tables to a data set: what is missing, statistics, classes, warnings, and the matrix as it is stored. */
import { createHash } from 'node:crypto';
import { classesOf, guessTask } from './classes.ts';
import { type Column, columnsOf, finishColumn } from './columns.ts';
import { type DatasetProfile, featureCount, type MissingPolicy, partRows, type TargetTask } from './dataset.ts';
import type { ReadTable } from './formats.ts';
import { fitsFloat32, writeParts } from './parts.ts';
import { type Problems, refuseData } from './problems.ts';
import { warningsOf } from './warnings.ts';

export interface FinishOptions {
  readonly missing: MissingPolicy;
  readonly task?: TargetTask | undefined;
  readonly max_classes: number;
}

/**
 * Completes a data set and hands out its parts one after the other, as they are to be stored.
 * @throws {DatasetError} for rows that do not match, missing values that were not to be filled, classes over the limit
 */
export function finishDataset(
  tables: readonly ReadTable[],
  options: FinishOptions,
  problems: Problems,
  store: (part: Uint8Array<ArrayBuffer>) => void,
): DatasetProfile {
  for (const { table } of tables) table.decide();
  problems.throwIfAny();
  checkRows(tables);
  const dropped = options.missing === 'drop' ? dropIncomplete(tables) : 0;
  const columns = columnsOf(tables);
  checkRoles(columns);
  const { rows } = tables[0].table;
  if (rows === 0) refuseData('empty', `All ${dropped} rows have missing values.`);
  refuseMissing(columns, rows, options, problems);
  const finished = columns.map((column) => finishColumn(column, rows, options.missing));
  const task = options.task ?? guessTask(columns, finished, rows);
  const classes = task === 'classification' ? classesOf(columns, finished, rows, options.max_classes) : null;
  const storage = { type: fitsFloat32(columns) ? 'float32' : 'float64', part_rows: partRows(columns.length) } as const;
  const hash = createHash('sha256').update(
    JSON.stringify([
      finished.map(({ name, role, kind, categories }) => [name, role, kind, categories]),
      task,
      storage.type,
    ]),
  );
  const parts = writeParts(columns, rows, storage, hash, store);
  return {
    rows,
    input_size: featureCount(finished),
    columns: finished,
    task,
    classes,
    warnings: warningsOf(finished, classes, dropped),
    storage: { ...storage, parts },
    sha256: hash.digest('hex'),
  };
}

/** Leaves out the rows that lack a value in any column that is used; how many these were. */
function dropIncomplete(tables: readonly ReadTable[]): number {
  const columns = columnsOf(tables).map(({ values, ...column }) => ({ ...column, cells: values() }));
  const incomplete = (row: number) =>
    columns.some(({ cells, stride, offset }) => Number.isNaN(cells[row * stride + offset]));
  const numbers = new Uint32Array(tables[0].table.rows).map((_, row) => row);
  const rows = numbers.filter(incomplete);
  for (const { table } of tables) table.dropRows(rows);
  return rows.length;
}

/** With the columns that the client has left out or named as targets there may be nothing left for the other side. */
function checkRoles(columns: readonly Column[]): void {
  for (const [role, what] of [
    ['input', 'inputs: at least one besides the target is needed'],
    ['target', 'targets'],
  ] as const) {
    if (!columns.some((column) => column.role === role)) refuseData('required', `No column is left for the ${what}.`);
  }
}

function checkRows(tables: readonly ReadTable[]): void {
  const [first, second] = tables.map(({ table }) => table.rows);
  if (second !== undefined && first !== second) {
    refuseData('row_mismatch', `There are ${first} rows of inputs but ${second} of targets.`, '/targets');
  }
  if (first === 0) refuseData('empty', 'There is no row of data.');
}

function refuseMissing(columns: readonly Column[], rows: number, { missing }: FinishOptions, problems: Problems): void {
  for (const { from, role, values, stride, offset, read } of columns) {
    if (missing !== 'error' && role === 'input') continue;
    const cells = values();
    for (let row = 0; row < rows; row += 1) {
      if (!Number.isNaN(cells[row * stride + offset])) continue;
      const hint =
        missing === 'error'
          ? 'Fill it in, or say ?missing=mean, median or drop.'
          : 'Targets are never made up; use ?missing=drop.';
      problems.add(
        'required',
        `${read.places.name(row, from.name)}: the value is missing. ${hint}`,
        read.places.pointer(row, from.cell),
      );
    }
  }
  problems.throwIfAny();
}
