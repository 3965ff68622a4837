/** What a model remembers of the data set that it was trained on: enough to take rows in the client's columns and to answer with the client's classes. */
import type { UsedProfile } from './dataset.ts';
import { DatasetError, type DatasetProblem, Problems } from './problems.ts';

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
 * Rows in the client's columns, each an object by column name or a list in the order of the columns, as the inputs of
 * the network: row-major, texts as one 1 among zeros.
 * @param pointer where the rows stand in the body
 */
export function encodeRows({ columns }: Features, rows: readonly unknown[], pointer: string): Encoded {
  const problems = new Problems();
  const widths = columns.map(({ categories }) => categories?.length ?? 1);
  const size = widths.reduce((sum, width) => sum + width, 0);
  const values = new Float64Array(rows.length * size);
  try {
    rows.forEach((row, number) => {
      const place = `${pointer}/${number}`;
      const cells = cellsOf(row, columns, number, place, problems);
      let at = number * size;
      columns.forEach((column, i) => {
        if (cells !== null)
          putCell(
            values,
            at,
            column,
            cells[i],
            `${place}/${Array.isArray(row) ? i : escaped(column.name)}`,
            number,
            problems,
          );
        at += widths[i];
      });
    });
    problems.throwIfAny();
  } catch (error) {
    if (error instanceof DatasetError) return { values: null, problems: error.problems };
    throw error;
  }
  return { values, problems: [] };
}

/** RFC 6901. */
const escaped = (name: string): string => name.replaceAll('~', '~0').replaceAll('/', '~1');

function cellsOf(
  row: unknown,
  columns: readonly FeatureColumn[],
  number: number,
  pointer: string,
  problems: Problems,
): readonly unknown[] | null {
  if (Array.isArray(row)) {
    if (row.length === columns.length) return row;
    problems.add(
      'ragged_rows',
      `Row ${number} has ${row.length} values; the columns are ${columns.map(({ name }) => name).join(', ')}.`,
      pointer,
    );
    return null;
  }
  if (typeof row !== 'object' || row === null) {
    problems.add('wrong_type', `Row ${number} must be an object by column name or a list.`, pointer);
    return null;
  }
  const given = row as Readonly<Record<string, unknown>>;
  for (const name of Object.keys(given)) {
    if (!columns.some((column) => column.name === name)) {
      problems.add(
        'unknown_field',
        `Row ${number} has ${JSON.stringify(name)}, which is not a column of the training data.`,
        `${pointer}/${escaped(name)}`,
      );
    }
  }
  return columns.map(({ name }) => (Object.hasOwn(given, name) ? given[name] : undefined));
}

function putCell(
  values: Float64Array,
  at: number,
  { name, categories }: FeatureColumn,
  cell: unknown,
  pointer: string,
  row: number,
  problems: Problems,
): void {
  const place = `Row ${row}, column ${JSON.stringify(name)}`;
  if (cell === undefined || cell === null) {
    problems.add('required', `${place}: a value must be given.`, pointer);
  } else if (categories !== null) {
    const found = categories.indexOf(String(cell));
    if (found >= 0) values[at + found] = 1;
    else
      problems.add('unknown_name', `${place}: ${JSON.stringify(cell)} is none of ${categories.join(', ')}.`, pointer);
  } else if (typeof cell !== 'number' && typeof cell !== 'boolean') {
    problems.add('wrong_type', `${place}: ${JSON.stringify(cell)} is not a number.`, pointer);
  } else if (!Number.isFinite(Number(cell))) {
    problems.add('not_finite', `${place} is too large for a float64; the largest is about 1.8e308.`, pointer);
  } else values[at] = Number(cell);
}
