/** Arrays of numpy to tables. */
import { free } from '../engine/free.ts';
import { type NpyMatrix, openNpy, openNpz } from '../interop/npy.ts';
import { partRows } from './dataset.ts';
import { checkColumnNames, type DataField, dataFields, fieldTable, needsTargets } from './field-tables.ts';
import { fileSource } from './file-bytes.ts';
import type { ReadOptions, ReadTable } from './formats.ts';
import { jsonPlaces, singleTable } from './named-table.ts';
import { type Problems, refuseData } from './problems.ts';

export function readNpyTable(file: number, options: ReadOptions, problems: Problems): readonly ReadTable[] {
  return [numberTable(openNpy(fileSource(file)), options, problems, null)];
}

/** A matrix of a .npy file; as a field of an archive, or by itself with its columns called column_1, column_2, … */
function numberTable(matrix: NpyMatrix, options: ReadOptions, problems: Problems, field: DataField | null): ReadTable {
  const values = matrix.rows * matrix.columns;
  if (values === 0) refuseData('empty', 'The array is empty.');
  const names = Array.from({ length: matrix.columns }, (_, i) => `column_${i + 1}`);
  const read =
    field === null
      ? singleTable(names, options, problems, jsonPlaces(null), values)
      : fieldTable(field, matrix.columns, options, problems, values);
  const step = partRows(matrix.columns);
  for (let row = 0; row < matrix.rows; row += step) {
    const values = matrix.rowsFrom(row, Math.min(step, matrix.rows - row));
    read.table.addNumbers(values);
    free(values);
  }
  return read;
}

const archiveNames: Readonly<Record<DataField, readonly string[]>> = {
  inputs: ['inputs', 'X', 'x', 'x_train', 'data'],
  targets: ['targets', 'y', 'Y', 'y_train', 'target'],
};

export function readNpzTables(file: number, options: ReadOptions, problems: Problems): readonly ReadTable[] {
  const arrays = openNpz(fileSource(file), options.limits.max_values * 8);
  const matrices = dataFields.flatMap((field) => {
    const name = archiveNames[field].find((candidate) => arrays.has(candidate));
    const source = name === undefined ? undefined : arrays.get(name);
    if (source !== undefined) return [{ field, matrix: openNpy(source) }];
    if (field === 'targets' && !needsTargets(options)) return [];
    const found = [...arrays.keys()].join(', ') || 'nothing';
    const detail = `The archive needs an array of ${field}, called ${archiveNames[field].join(' or ')}; it has ${found}.`;
    return refuseData('required', detail, `/${field}`);
  });
  checkColumnNames(Object.fromEntries(matrices.map(({ field, matrix }) => [field, matrix.columns])), options);
  return matrices.map(({ field, matrix }) => numberTable(matrix, options, problems, field));
}
