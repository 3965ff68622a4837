/** What a model remembers of the data set that it was trained on: enough to take rows in the client's columns and to answer with the client's classes. */
import type { UsedProfile } from './dataset.ts';
import { DatasetError, type DatasetProblem, type DatasetProblemCode, Problems } from './problems.ts';

export interface FeatureColumn {
  readonly name: string;
  /** The texts of a text column in the order of their features; null for numbers. */
  readonly categories: readonly string[] | null;
}

export interface Features {
  readonly columns: readonly FeatureColumn[];
  /** The names of the classes in the order of their labels; null when the targets are not classes. */
  readonly classes: readonly string[] | null;
}

export function featuresOf({ columns, classes }: UsedProfile): Features {
  const inputs = columns.filter(({ role }) => role === 'input');
  return {
    columns: inputs.map(({ name, categories }) => ({ name, categories })),
    classes: classes?.map(({ name }) => name) ?? null,
  };
}

/** Why rows of another data set would mean something else to the model, as a sentence; null when they do not. */
export function featureMismatch(trained: Features, other: Features): string | null {
  const differing = trained.columns.find(({ categories }, i) => {
    const texts = other.columns[i]?.categories ?? null;
    return String(categories) !== String(texts) || categories?.length !== texts?.length;
  });
  if (differing !== undefined)
    return `The texts of the column ${JSON.stringify(differing.name)} are not those of the training data.`;
  const moved = other.classes?.find((name, label) => trained.classes !== null && trained.classes[label] !== name);
  return moved === undefined ? null : `The class ${JSON.stringify(moved)} has another label in the training data.`;
}

type Encoded =
  | { readonly values: Float64Array; readonly problems: readonly [] }
  | { readonly values: null; readonly problems: readonly DatasetProblem[] };

/**
 * Rows in the client's columns as the inputs of the network; see {@link RowEncoder}.
 * @param pointer where the rows stand in the body
 */
export function encodeRows(features: Features, rows: readonly unknown[], pointer: string): Encoded {
  const problems = new Problems();
  const encoder = new RowEncoder(features);
  const values = new Float64Array(rows.length * encoder.size);
  try {
    rows.forEach((row, number) => {
      encoder.put(row, values, number * encoder.size, rowReport(problems, number, pointer));
    });
    problems.throwIfAny();
  } catch (error) {
    if (error instanceof DatasetError) return { values: null, problems: error.problems };
    throw error;
  }
  return { values, problems: [] };
}

/** RFC 6901. */
const escaped = (column: string | number): string => String(column).replaceAll('~', '~0').replaceAll('/', '~1');

/**
 * Says what is wrong with a row.
 * @param detail goes on after the name of the row: `, column "x": …` or ` has …`
 * @param column its name or place; null: the row as a whole
 */
export type ReportFault = (code: DatasetProblemCode, detail: string, column: string | number | null) => void;

/** Faults of row `number` (from 0) as problems below `pointer`. */
export const rowReport =
  (problems: Problems, number: number, pointer: string): ReportFault =>
  (code, detail, column) => {
    const place = column === null ? '' : `/${escaped(column)}`;
    problems.add(code, `Row ${number}${detail}`, `${pointer}/${number}${place}`);
  };

/**
 * One row after the other: an object by column name, a list in the order of the columns, or, where texts make more
 * features than columns, a list of the features themselves. Texts become one 1 among zeros.
 */
export class RowEncoder {
  /** Features of a row. */
  readonly size: number;
  readonly #columns: readonly FeatureColumn[];
  readonly #offsets: readonly number[];
  readonly #names: ReadonlySet<string>;

  constructor({ columns }: Pick<Features, 'columns'>) {
    let size = 0;
    this.#columns = columns;
    this.#offsets = columns.map(({ categories }) => {
      const offset = size;
      size += categories?.length ?? 1;
      return offset;
    });
    this.size = size;
    this.#names = new Set(columns.map(({ name }) => name));
  }

  /** Writes the features of a row from `values[at]` on, where there must be zeros. */
  put(row: unknown, values: Float64Array, at: number, report: ReportFault): void {
    if (Array.isArray(row)) this.#putList(row, values, at, report);
    else if (typeof row === 'object' && row !== null) this.#putObject(row, values, at, report);
    else report('wrong_type', ' must be an object by column name or a list.', null);
  }

  #putList(row: readonly unknown[], values: Float64Array, at: number, report: ReportFault): void {
    if (row.length === this.#columns.length) {
      row.forEach((cell, i) => {
        putCell(values, at + this.#offsets[i], this.#columns[i], cell, i, report);
      });
    } else if (row.length === this.size) {
      row.forEach((cell, i) => {
        putCell(values, at + i, { name: `feature ${i + 1}`, categories: null }, cell, i, report);
      });
    } else {
      report('ragged_rows', ` has ${row.length} values; ${this.#listed()}.`, null);
    }
  }

  #listed(): string {
    const names = this.#columns.map(({ name }) => name);
    return names.length > 20 ? `there are ${names.length} columns` : `the columns are ${names.join(', ')}`;
  }

  #putObject(row: object, values: Float64Array, at: number, report: ReportFault): void {
    const given = row as Readonly<Record<string, unknown>>;
    for (const name of Object.keys(given)) {
      if (this.#names.has(name)) continue;
      report(
        'unknown_field',
        ` has ${JSON.stringify(name)}, which is not a column of the training data; ${this.#listed()}.`,
        name,
      );
    }
    this.#columns.forEach((column, i) => {
      const cell = Object.hasOwn(given, column.name) ? given[column.name] : undefined;
      putCell(values, at + this.#offsets[i], column, cell, column.name, report);
    });
  }
}

function putCell(
  values: Float64Array,
  at: number,
  { name, categories }: FeatureColumn,
  cell: unknown,
  place: string | number,
  report: ReportFault,
): void {
  const fault = (code: DatasetProblemCode, what: string) =>
    report(code, `, column ${JSON.stringify(name)}${what}`, place);
  if (cell === undefined || cell === null) fault('required', ': a value must be given.');
  else if (categories !== null) {
    const found = categories.indexOf(String(cell));
    if (found >= 0) values[at + found] = 1;
    else fault('unknown_name', `: ${JSON.stringify(cell)} is none of ${categories.join(', ')}.`);
  } else if (typeof cell === 'number' && Number.isFinite(cell)) values[at] = cell;
  else if (typeof cell === 'boolean') values[at] = Number(cell);
  else if (typeof cell !== 'number') fault('wrong_type', `: ${JSON.stringify(cell)} is not a number.`);
  else fault('not_finite', ' is too large for a float64; the largest is about 1.8e308.');
}
