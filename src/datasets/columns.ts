/** The columns of tables: their statistics, what stands for their missing values, and their texts as sorted categories. */
import type { FloatArray } from '../engine/backend.ts';
import { free } from '../engine/free.ts';
import { fitScaling } from '../training/preprocessing.ts';
import type { DatasetColumn, MissingPolicy } from './dataset.ts';
import type { ReadTable } from './formats.ts';
import { refuseData } from './problems.ts';
import type { TableColumn } from './table.ts';

/** One column of a table: its cells are `values()[row * stride + offset]`. */
export interface Column {
  readonly from: TableColumn;
  readonly role: DatasetColumn['role'];
  /** Of the whole table; another array after `Table.prepareFor`. */
  readonly values: () => FloatArray;
  readonly stride: number;
  readonly offset: number;
  readonly read: ReadTable;
}

/** Different numbers of a column that are counted; beyond it, it has many. */
const maxDistinct = 1000;

/** Inputs first, targets last, each in the order of the file. */
export function columnsOf(tables: readonly ReadTable[]): Column[] {
  const all = tables.flatMap((read) => {
    const { table, roleOf } = read;
    return table.columns.flatMap((from, offset): Column[] => {
      const role = roleOf(from.name);
      if (role === null) return [];
      const place = { stride: table.columns.length, offset };
      return [{ from, role, ...place, read, values: () => table.values }];
    });
  });
  return [...all.filter(({ role }) => role === 'input'), ...all.filter(({ role }) => role === 'target')];
}

/** Statistics of what is there; then what is missing is filled in, and texts are numbered in their sorted order. */
export function finishColumn(column: Column, rows: number, policy: MissingPolicy): DatasetColumn {
  const { from, role } = column;
  const categories = from.kind === 'text' ? sortCategories(column, rows) : null;
  const present = presentValues(column, rows);
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
  if (filler !== null) fill(column, rows, filler);
  const about = categories === null ? moments(present) : { min: null, max: null, mean: null, std: null };
  free(present);
  return {
    name: from.name,
    role,
    kind: from.kind,
    ...about,
    missing,
    distinct,
    constant: distinct === 1,
    filled_with: filler === null ? null : (categories?.[filler] ?? filler),
    categories,
  };
}

/**
 * The texts that occur, sorted by their characters' numbers, which is the same order everywhere; the cells are renumbered.
 * A text of dropped rows alone does not occur.
 */
function sortCategories({ from, stride, offset, ...column }: Column, rows: number): string[] {
  const values = column.values();
  const texts = [...from.codes.keys()];
  const occurs = new Uint8Array(texts.length);
  for (let row = 0; row < rows; row += 1) {
    const code = values[row * stride + offset];
    if (!Number.isNaN(code)) occurs[code] = 1;
  }
  const sorted = texts.filter((_, code) => occurs[code] === 1).sort();
  const places = new Map(sorted.map((text, place) => [text, place]));
  const renumbered = Float64Array.from(texts, (text) => places.get(text) ?? Number.NaN);
  for (let row = 0; row < rows; row += 1) {
    const at = row * stride + offset;
    if (!Number.isNaN(values[at])) values[at] = renumbered[values[at]];
  }
  return sorted;
}

/** Puts a number in place of what is missing. */
function fill({ read, stride, offset, ...column }: Column, rows: number, filler: number): void {
  read.table.prepareFor(filler);
  const values = column.values();
  for (let row = 0; row < rows; row += 1)
    if (Number.isNaN(values[row * stride + offset])) values[row * stride + offset] = filler;
}

function presentValues({ stride, offset, ...column }: Column, rows: number): Float64Array {
  const values = column.values();
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
