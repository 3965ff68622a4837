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
  const columns = columnsOf(tables);
  const rows = columns[0].read.table.rows;
  const dropped = columns[0].read.table.dropped;
  checkRows(tables, dropped);
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

function checkRows(tables: readonly ReadTable[], dropped: number): void {
  const [first, second] = tables.map(({ table }) => table.rows);
  if (second !== undefined && first !== second) {
    refuseData('row_mismatch', `There are ${first} rows of inputs but ${second} of targets.`, '/targets');
  }
  if (first === 0) {
    refuseData('empty', dropped === 0 ? 'There is no row of data.' : `All ${dropped} rows have missing values.`);
  }
}

function refuseMissing(columns: readonly Column[], rows: number, { missing }: FinishOptions, problems: Problems): void {
  for (const { from, role, values, stride, offset, read } of columns) {
    if (missing !== 'error' && role === 'input') continue;
    for (let row = 0; row < rows; row += 1) {
      if (!Number.isNaN(values[row * stride + offset])) continue;
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
