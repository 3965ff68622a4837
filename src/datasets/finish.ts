/** From tables to a data set: missing values, statistics, classes, warnings, and the matrix as it is stored. */
import { createHash, type Hash } from 'node:crypto';
import { fitScaling } from '../training/preprocessing.ts';
import {
  type ClassCount,
  type DatasetColumn,
  type DatasetProfile,
  type DatasetWarning,
  featureCount,
  type MissingPolicy,
  partRows,
  type TargetTask,
} from './dataset.ts';
import { type Problems, refuseData } from './problems.ts';
import type { ReadTable } from './read.ts';
import type { TableColumn } from './table.ts';

export interface FinishOptions {
  readonly missing: MissingPolicy;
  readonly task?: TargetTask | undefined;
  readonly max_classes: number;
}

/** One column of a table: its cells are `values[row * stride + offset]`. */
interface Column {
  readonly from: TableColumn;
  readonly role: DatasetColumn['role'];
  readonly values: Float64Array;
  readonly stride: number;
  readonly offset: number;
  readonly read: ReadTable;
}

/** Different numbers of a column that are counted; beyond it, it has many. */
const maxDistinct = 1000;
/** Whole numbers are taken for classes when there are at most so many different ones. */
const maxGuessedClasses = 20;
/** Classes are unbalanced when the largest has more than so many times the rows of the smallest. */
const imbalance = 10;

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
  const classes = task === 'classification' ? classesOf(columns, finished, rows, options) : null;
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

/** Inputs first, targets last, each in the order of the file. */
function columnsOf(tables: readonly ReadTable[]): Column[] {
  const all = tables.flatMap((read) => {
    const { columns, values } = read.table;
    return columns.map((from, offset) => ({
      from,
      role: read.roleOf(from.name),
      values,
      stride: columns.length,
      offset,
      read,
    }));
  });
  return [...all.filter(({ role }) => role === 'input'), ...all.filter(({ role }) => role === 'target')];
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

/** Statistics of what is there; then what is missing is filled in, and texts are numbered in their sorted order. */
function finishColumn(column: Column, rows: number, policy: MissingPolicy): DatasetColumn {
  const { from, role, values, stride, offset } = column;
  const categories = from.kind === 'text' ? sortCategories(column, rows) : null;
  const present: number[] | Float64Array = presentValues(column, rows);
  const missing = rows - present.length;
  if (present.length === 0) {
    refuseData(
      'empty',
      `The column ${JSON.stringify(from.name)} has no value at all. Leave it out with ?ignore=${encodeURIComponent(from.name)}.`,
    );
  }
  const distinct = countDistinct(present);
  const filler =
    missing === 0
      ? null
      : categories !== null
        ? mostFrequent(present)
        : policy === 'median'
          ? median(present)
          : moments(present).mean;
  if (filler !== null) {
    for (let row = 0; row < rows; row += 1)
      if (Number.isNaN(values[row * stride + offset])) values[row * stride + offset] = filler;
  }
  return {
    name: from.name,
    role,
    kind: from.kind,
    ...(categories === null ? moments(present) : { min: null, max: null, mean: null, std: null }),
    missing,
    distinct,
    constant: distinct === 1,
    filled_with: filler === null ? null : (categories?.[filler] ?? filler),
    categories,
  };
}

/** Sorted by their characters' numbers, which is the same order everywhere; the cells are renumbered. */
function sortCategories({ from, values, stride, offset }: Column, rows: number): string[] {
  const texts = [...from.codes.keys()];
  const sorted = [...texts].sort();
  const places = new Map(sorted.map((text, place) => [text, place]));
  const renumbered = Float64Array.from(texts, (text) => places.get(text) as number);
  for (let row = 0; row < rows; row += 1) {
    const at = row * stride + offset;
    if (!Number.isNaN(values[at])) values[at] = renumbered[values[at]];
  }
  return sorted;
}

function presentValues({ values, stride, offset }: Column, rows: number): Float64Array {
  const present = new Float64Array(rows);
  let count = 0;
  for (let row = 0; row < rows; row += 1) {
    const value = values[row * stride + offset];
    if (!Number.isNaN(value)) present[count++] = value;
  }
  return present.subarray(0, count);
}

/** By the sums of the scaling of inputs, which neither overflow nor lose a small spread beside a large mean. */
function moments(values: Float64Array): { min: number; max: number; mean: number; std: number } {
  let [min, max] = [Infinity, -Infinity];
  for (const x of values) {
    if (x < min) min = x;
    if (x > max) max = x;
  }
  if (min === max) return { min, max, mean: min, std: 0 };
  const { shift, scale, unit } = fitScaling('standardize', { values, columns: 1 });
  const factor = unit?.[0] ?? 1;
  return { min, max, mean: shift[0] / factor, std: scale[0] / factor };
}

function median(values: Float64Array): number {
  const sorted = values.slice().sort();
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : sorted[middle - 1] / 2 + sorted[middle] / 2;
}

/** The lowest of the most frequent ones. */
function mostFrequent(values: Float64Array): number {
  const counts = new Map<number, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  const most = Math.max(...counts.values());
  return Math.min(...[...counts].filter(([, count]) => count === most).map(([value]) => value));
}

function countDistinct(values: Float64Array): number | null {
  const seen = new Set<number>();
  for (const value of values) {
    seen.add(value);
    if (seen.size > maxDistinct) return null;
  }
  return seen.size;
}

/** One target of texts or of few different whole numbers is a class; anything else is a number to be met. */
function guessTask(columns: readonly Column[], finished: readonly DatasetColumn[], rows: number): TargetTask {
  const targets = finished.filter(({ role }) => role === 'target');
  if (targets.some(({ kind }) => kind === 'text')) return 'classification';
  const [{ distinct }] = targets;
  if (targets.length > 1 || distinct === null || distinct > Math.min(maxGuessedClasses, Math.max(2, rows / 2)))
    return 'regression';
  const { values, stride, offset } = columns[columns.length - 1];
  for (let row = 0; row < rows; row += 1) if (!Number.isInteger(values[row * stride + offset])) return 'regression';
  return 'classification';
}

/**
 * The classes in the order of their labels: the sorted texts or numbers of the target. Whole numbers from 0 on keep
 * themselves as labels, so that a class without rows does not renumber the others.
 */
function classesOf(
  columns: readonly Column[],
  finished: readonly DatasetColumn[],
  rows: number,
  { max_classes }: FinishOptions,
): ClassCount[] | null {
  const targets = finished.filter(({ role }) => role === 'target');
  if (targets.length > 1) {
    const texts = targets.find(({ kind }) => kind === 'text');
    if (texts === undefined) return null;
    refuseData(
      'invalid',
      `The target ${JSON.stringify(texts.name)} holds texts; classes are one column, and several targets are numbers.`,
      '?target',
    );
  }
  const { values, stride, offset } = columns[columns.length - 1];
  const counts = new Map<number, number>();
  for (let row = 0; row < rows; row += 1) {
    const value = values[row * stride + offset];
    counts.set(value, (counts.get(value) ?? 0) + 1);
    if (counts.size > max_classes) {
      refuseData(
        'limit_exceeded',
        `The target ${JSON.stringify(targets[0].name)} has more than ${max_classes} classes.`,
        '?target',
      );
    }
  }
  const names = targets[0].categories;
  return classValues([...counts.keys()], max_classes).map((value) => ({
    name: names === null ? String(value) : names[value],
    count: counts.get(value) ?? 0,
  }));
}

function classValues(found: readonly number[], max_classes: number): number[] {
  const sorted = [...found].sort((a, b) => a - b);
  const last = sorted[sorted.length - 1];
  const areLabels =
    sorted[0] === 0 && last < Math.min(max_classes, 2 * sorted.length) && sorted.every(Number.isInteger);
  return areLabels ? Array.from({ length: last + 1 }, (_, label) => label) : sorted;
}

function fitsFloat32(columns: readonly Column[]): boolean {
  return new Set(columns.map(({ values }) => values)).values().every((values) => {
    for (const value of values) if (Math.fround(value) !== value) return false;
    return true;
  });
}

function writeParts(
  columns: readonly Column[],
  rows: number,
  { type, part_rows }: { readonly type: 'float32' | 'float64'; readonly part_rows: number },
  hash: Hash,
  store: (part: Uint8Array<ArrayBuffer>) => void,
): number {
  let parts = 0;
  for (let first = 0; first < rows; first += part_rows, parts += 1) {
    const count = Math.min(part_rows, rows - first);
    const part =
      type === 'float32' ? new Float32Array(count * columns.length) : new Float64Array(count * columns.length);
    columns.forEach(({ values, stride, offset }, column) => {
      for (let row = 0; row < count; row += 1)
        part[row * columns.length + column] = values[(first + row) * stride + offset];
    });
    const bytes = new Uint8Array(part.buffer);
    hash.update(bytes);
    store(bytes);
  }
  return parts;
}

function warningsOf(
  columns: readonly DatasetColumn[],
  classes: readonly ClassCount[] | null,
  dropped: number,
): DatasetWarning[] {
  const warnings: DatasetWarning[] = [];
  for (const { name, role, constant, missing, filled_with } of columns) {
    if (constant) {
      const detail =
        role === 'target'
          ? 'Every row has the same target: there is nothing to learn.'
          : 'Every row has the same value: the column tells nothing.';
      warnings.push({ code: 'constant_column', column: name, detail });
    }
    if (filled_with !== null) {
      warnings.push({
        code: 'missing_filled',
        column: name,
        detail: `${missing} missing values are now ${JSON.stringify(filled_with)}.`,
      });
    }
  }
  if (dropped > 0)
    warnings.push({ code: 'rows_dropped', column: null, detail: `${dropped} rows with missing values were left out.` });
  const counts = (classes ?? []).map(({ count }) => count).filter((count) => count > 0);
  const [smallest, largest] = [Math.min(...counts), Math.max(...counts)];
  if (counts.length > 1 && largest > imbalance * smallest) {
    const detail = `The largest class has ${largest} rows, the smallest ${smallest}; accuracy says little, look at f1 or roc_auc.`;
    warnings.push({ code: 'imbalanced_classes', column: columns[columns.length - 1].name, detail });
  }
  return warnings;
}
