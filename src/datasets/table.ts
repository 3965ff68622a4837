/** Rows of cells on their way into a matrix of numbers: what a column holds is decided from its first rows. */
import type { FloatArray } from '../engine/backend.ts';
import { free } from '../engine/free.ts';
import { type Problems, refuseData } from './problems.ts';

/** One row as a format reads it. */
export interface Row {
  readonly count: number;
  /** The cell as a number; NaN when it is not one. */
  number(cell: number): number;
  /** The cell as text; for messages and categories. */
  text(cell: number): string;
}

/** Where cells stand in the client's file: for messages (`Row 4`) and pointers. Rows and columns count from 0. */
export interface Places {
  /** `Row 4, column "age"` */
  name(row: number, column: string): string;
  pointer(row: number, column: number): string;
}

export interface TableLimits {
  /** Values of the whole matrix. */
  readonly max_values: number;
  /** Different texts of one column. */
  readonly max_categories: number;
}

export interface TableOptions {
  readonly names: readonly string[];
  /** Columns that are not kept. */
  readonly ignored: ReadonlySet<string>;
  /** Columns whose cells are texts even where they look like numbers. */
  readonly categorical: ReadonlySet<string>;
  readonly limits: TableLimits;
  readonly places: Places;
  readonly problems: Problems;
}

/** Rows that are looked at before a column is a column of numbers or of texts. */
const sampleRows = 1000;
/** Cells that are kept for it at most, so that a wide table does not keep 1,000 rows. */
const sampleCells = 2 ** 18;
/** What stands for a value that is not there, in lower case. */
const missingTexts = new Set(['', 'na', 'n/a', 'nan', 'null', '?']);

export const isMissing = (text: string): boolean => text.length <= 4 && missingTexts.has(text.trim().toLowerCase());

export interface TableColumn {
  readonly name: string;
  /** Place in the rows of the file. */
  readonly cell: number;
  readonly kind: 'number' | 'text';
  /** Text → number, in the order in which the texts came. */
  readonly codes: Map<string, number>;
}

/** A copy of a row, for as long as the sample is looked at. */
class KeptRow implements Row {
  readonly #numbers: Float64Array;
  readonly #texts: readonly string[];

  constructor(row: Row, count: number) {
    this.#numbers = Float64Array.from({ length: count }, (_, cell) => row.number(cell));
    this.#texts = Array.from({ length: count }, (_, cell) => row.text(cell));
  }

  get count(): number {
    return this.#texts.length;
  }

  number(cell: number): number {
    return this.#numbers[cell];
  }

  text(cell: number): string {
    return this.#texts[cell];
  }
}

/**
 * The matrix that rows are added to: row-major, NaN where a value is missing; in float32 for as long as that can hold
 * every cell, which takes half the memory.
 */
export class Table {
  readonly #options: TableOptions;
  #values: FloatArray;
  readonly #kept: readonly number[];
  #columns: TableColumn[] | null = null;
  #sample: Row[] = [];
  /** Rows that were added, the refused ones included. */
  #seen = 0;
  #rows = 0;

  /** @param mostValues no file of its size has more; the memory is only taken as it is written. */
  constructor(options: TableOptions, mostValues: number) {
    this.#options = options;
    this.#kept = options.names.flatMap((name, cell) => (options.ignored.has(name) ? [] : [cell]));
    if (this.#kept.length === 0) refuseData('empty', 'No column is left.');
    this.#values = new Float32Array(Math.min(mostValues, options.limits.max_values));
  }

  get rows(): number {
    return this.#rows;
  }

  /** Known once the kinds are decided. */
  get columns(): readonly TableColumn[] {
    return this.#columns ?? [];
  }

  /** rows × columns; another array after `prepareFor`. */
  get values(): FloatArray {
    return this.#values.subarray(0, this.#rows * this.#kept.length);
  }

  /** Makes sure that the matrix can hold the number. */
  prepareFor(value: number): void {
    if (Math.fround(value) === value || Number.isNaN(value) || this.#values instanceof Float64Array) return;
    const narrow = this.#values;
    this.#values = new Float64Array(narrow.length);
    // The row that is being added included; what has not been written yet takes no memory.
    this.#values.set(narrow.subarray(0, (this.#rows + 1) * this.#kept.length));
    free(narrow);
  }

  /** Adds a row that has as many cells as there are names. The row may be reused by the caller. */
  add(row: Row): void {
    if (this.#columns !== null) {
      this.#put(row);
      return;
    }
    this.#sample.push(new KeptRow(row, this.#options.names.length));
    if (this.#sample.length >= Math.min(sampleRows, sampleCells / this.#options.names.length)) this.decide();
  }

  /** Adds rows of nothing but numbers, NaN for missing ones. */
  addNumbers(values: Float64Array): void {
    const { names, categorical } = this.#options;
    this.#columns ??= this.#kept.map((cell) => {
      const kind = categorical.has(names[cell]) ? 'text' : 'number';
      return { name: names[cell], cell, kind, codes: new Map() };
    });
    const row = {
      count: names.length,
      start: 0,
      number: (cell: number) => values[row.start + cell],
      text: (cell: number) => String(values[row.start + cell]),
    };
    for (; row.start < values.length; row.start += names.length) this.#put(row);
  }

  /** Leaves out the rows of these numbers, which ascend. */
  dropRows(rows: Uint32Array): void {
    const width = this.#kept.length;
    let kept = 0;
    let next = 0;
    for (let row = 0; row < this.#rows; row += 1) {
      if (row === rows[next]) next += 1;
      else this.#values.copyWithin(width * kept++, width * row, width * (row + 1));
    }
    this.#rows = kept;
  }

  /**
   * Ends the sample: a column holds texts when most of its cells that are there are not numbers. Called by itself when
   * the sample is large enough, and at the end of the rows.
   */
  decide(): void {
    if (this.#columns !== null) return;
    const { names, categorical } = this.#options;
    this.#columns = this.#kept.map((cell) => {
      let numbers = 0;
      let texts = 0;
      for (const row of this.#sample) {
        if (!Number.isNaN(row.number(cell))) numbers += 1;
        else if (!isMissing(row.text(cell))) texts += 1;
      }
      const kind = texts > numbers || categorical.has(names[cell]) ? 'text' : 'number';
      return { name: names[cell], cell, kind, codes: new Map() };
    });
    const sample = this.#sample;
    this.#sample = [];
    for (const row of sample) this.#put(row);
  }

  #put(row: Row): void {
    const columns = this.#columns as TableColumn[];
    const start = this.#rows * columns.length;
    if (start + columns.length > this.#values.length) this.#overflow();
    for (let i = 0; i < columns.length; i += 1) {
      const column = columns[i];
      const value = column.kind === 'number' ? row.number(column.cell) : this.#code(column, row);
      const isGood = value - value === 0 || this.#isMissingHere(column, row, value);
      if (!isGood) {
        this.#reject(column, row, value);
        return;
      }
      this.prepareFor(value);
      this.#values[start + i] = value;
    }
    this.#seen += 1;
    this.#rows += 1;
  }

  #isMissingHere(column: TableColumn, row: Row, value: number): boolean {
    return Number.isNaN(value) && isMissing(row.text(column.cell));
  }

  #reject(column: TableColumn, row: Row, value: number): void {
    const { places, problems } = this.#options;
    const text = row.text(column.cell);
    const shown = JSON.stringify(text.length > 40 ? `${text.slice(0, 39)}…` : text);
    const comma = /^[+-]?\d+,\d+$/.test(text) ? ' Write decimals with a point.' : '';
    const [code, what] = Number.isNaN(value)
      ? (['wrong_type', `${shown} is not a number.${comma}`] as const)
      : (['not_finite', `${shown} is too large for a float64; the largest is about 1.8e308.`] as const);
    problems.add(code, `${places.name(this.#seen, column.name)}: ${what}`, places.pointer(this.#seen, column.cell));
    this.#seen += 1;
  }

  #code(column: TableColumn, row: Row): number {
    const text = row.text(column.cell);
    const known = column.codes.get(text);
    if (known !== undefined) return known;
    if (isMissing(text)) return Number.NaN;
    const { limits } = this.#options;
    if (column.codes.size >= limits.max_categories) {
      refuseData(
        'limit_exceeded',
        `The column ${JSON.stringify(column.name)} has more than max_categories = ${limits.max_categories} different texts. Leave it out with ?ignore=${encodeURIComponent(column.name)}, or correct its cells if it should hold numbers.`,
      );
    }
    column.codes.set(text, column.codes.size);
    return column.codes.size - 1;
  }

  #overflow(): never {
    const { max_values } = this.#options.limits;
    return refuseData('limit_exceeded', `The data set has more than max_dataset_values = ${max_values} values.`);
  }
}
