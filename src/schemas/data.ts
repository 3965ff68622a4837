/**
 * Matrices on the wire: inputs, targets and parameters. One hand-written pass checks the shape and every number and
 * fills a typed array; zod's own arrays cost about 28 ms per megabyte of numbers on the main thread.
 */
import { z } from 'zod';
import type { FloatArray } from '../engine/backend.ts';
import type { Problem, ProblemCode } from '../errors.ts';
import { type CheckParams, jsonPointer, shown } from './issues.ts';

/** A checked matrix, row-major. */
export interface Matrix {
  readonly rows: number;
  readonly columns: number;
  /** In float32 only where that holds every value as it is. */
  readonly values: FloatArray;
  /** The rows were plain numbers (a list of labels, say), so each is a row of one column. */
  readonly flat: boolean;
}

export interface MatrixRules {
  /** The number of columns that every row must have; otherwise that of the first row. */
  readonly columns?: number | undefined;
  /** Whether the rows may be plain numbers instead of lists. */
  readonly flat?: boolean;
  /** Puts the values into shared memory, where worker threads read them without a copy. */
  readonly shared?: boolean;
}

type CheckedMatrix =
  | { readonly matrix: Matrix; readonly problems: readonly [] }
  | { readonly matrix: null; readonly problems: readonly Problem[] };

interface Fault {
  readonly path: readonly number[];
  readonly code: ProblemCode;
  readonly detail: string;
}

/** More faults than this say nothing new. */
const maxFaults = 10;

const isFiniteNumber = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value);

/**
 * Checks a value that should be a matrix, and converts it in the same pass.
 * @param pointer where the value stands in the body; the problems point to the first bad rows and cells below it.
 */
export function matrixProblems(value: unknown, pointer: string, rules: MatrixRules = {}): CheckedMatrix {
  const { matrix, faults } = readMatrix(value, rules);
  if (matrix !== null) return { matrix, problems: [] };
  return {
    matrix,
    problems: faults.map(({ path, code, detail }) => ({ pointer: pointer + jsonPointer(path), code, detail })),
  };
}

function readMatrix(
  value: unknown,
  rules: MatrixRules,
): { readonly matrix: Matrix | null; readonly faults: readonly Fault[] } {
  if (!Array.isArray(value))
    return refused(
      [],
      'wrong_type',
      rules.flat ? 'Must be a list of rows or of numbers.' : 'Must be a list of rows, each a list of numbers.',
    );
  if (value.length === 0) return refused([], 'empty', 'At least one row is needed.');
  if (rules.flat && !Array.isArray(value[0])) return readVector(value, rules);
  const faults = rowFaults(value, rules);
  if (faults.length > 0) return { matrix: null, faults };
  const columns: number = value[0].length;
  const values = allocate(value.length * columns, rules);
  for (let row = 0, at = 0; row < value.length; row++) {
    const cells: unknown[] = value[row];
    for (let column = 0; column < columns; column++, at++) {
      const cell = cells[column];
      if (isFiniteNumber(cell)) values[at] = cell;
      else if (faults.length < maxFaults) faults.push(cellFault([row, column], cell));
    }
  }
  return faults.length > 0
    ? { matrix: null, faults }
    : { matrix: { rows: value.length, columns, values, flat: false }, faults };
}

/** What is wrong with the shape; nothing is allocated before it is right. */
function rowFaults(rows: readonly unknown[], rules: MatrixRules): Fault[] {
  const faults: Fault[] = [];
  const first = rows.find((row) => Array.isArray(row)) as readonly unknown[] | undefined;
  const columns = rules.columns ?? first?.length ?? 0;
  for (let row = 0; row < rows.length && faults.length < maxFaults; row++) {
    const cells = rows[row];
    if (!Array.isArray(cells)) {
      faults.push({
        path: [row],
        code: 'wrong_type',
        detail: `Row ${row} must be a list of numbers, but is ${shown(cells)}.`,
      });
    } else if (cells.length === 0) {
      faults.push({ path: [row], code: 'empty', detail: `Row ${row} has no numbers.` });
    } else if (cells.length !== columns) {
      const code = rules.columns === undefined ? 'ragged_rows' : 'width_mismatch';
      const why = rules.columns === undefined ? 'the rows before it have' : 'each row needs';
      faults.push({ path: [row], code, detail: `Row ${row} has ${cells.length} numbers, but ${why} ${columns}.` });
    }
  }
  return faults;
}

function readVector(
  value: readonly unknown[],
  rules: MatrixRules,
): { readonly matrix: Matrix | null; readonly faults: readonly Fault[] } {
  const faults: Fault[] = [];
  const values = allocate(value.length, rules);
  for (let row = 0; row < value.length; row++) {
    const cell = value[row];
    if (isFiniteNumber(cell)) values[row] = cell;
    else if (faults.length < maxFaults) faults.push(cellFault([row], cell));
  }
  return faults.length > 0
    ? { matrix: null, faults }
    : { matrix: { rows: value.length, columns: 1, values, flat: true }, faults };
}

function cellFault(path: readonly number[], cell: unknown): Fault {
  const place = path.length === 2 ? `Row ${path[0]}, column ${path[1]}` : `Entry ${path[0]}`;
  if (typeof cell === 'number')
    return { path, code: 'not_finite', detail: `${place} is too large for a float64; the largest is about 1.8e308.` };
  return { path, code: 'wrong_type', detail: `${place} must be a number, but is ${shown(cell)}.` };
}

function refused(path: readonly number[], code: ProblemCode, detail: string) {
  return { matrix: null, faults: [{ path, code, detail }] };
}

function allocate(length: number, rules: MatrixRules): Float64Array {
  return rules.shared
    ? new Float64Array(new SharedArrayBuffer(length * Float64Array.BYTES_PER_ELEMENT))
    : new Float64Array(length);
}

const numberList = { type: 'array', items: { type: 'number' }, minItems: 1 } as const;

/**
 * The schema of a matrix: documented as number[][], checked by `matrixProblems`, read as a `Matrix`.
 * Its faults are reported together with those of all other fields.
 */
export function matrixSchema(description: string, rules: MatrixRules = {}): z.ZodType<Matrix> {
  const documented = rules.flat
    ? { anyOf: [{ type: 'array', items: numberList, minItems: 1 }, numberList] }
    : { type: 'array', items: numberList, minItems: 1 };
  return z
    .unknown()
    .transform((value, context) => {
      if (value === undefined)
        return report(context, [{ path: [], code: 'required', detail: 'This matrix must be given.' }]);
      const { matrix, faults } = readMatrix(value, rules);
      return matrix ?? report(context, faults);
    })
    .meta({ ...documented, description }) as unknown as z.ZodType<Matrix>;
}

function report(context: z.RefinementCtx, faults: readonly Fault[]): never {
  for (const { path, code, detail } of faults) {
    const params: CheckParams = { code };
    context.addIssue({ code: 'custom', path: [...path], params, message: detail });
  }
  return z.NEVER;
}

/** The weights of the rows of a job, or the name of the column that holds them. */
export const sampleWeights = z
  .unknown()
  .transform((value, context): string | Matrix => {
    if (typeof value === 'string' && value !== '') return value;
    const { matrix, faults } = Array.isArray(value)
      ? readMatrix(value, { flat: true, columns: 1, shared: true })
      : refused([], 'wrong_type', 'Must be a list of numbers, one for each row, or the name of a column.');
    return matrix ?? report(context, faults);
  })
  .meta({
    anyOf: [numberList, { type: 'string', minLength: 1 }],
    description:
      'How much each row counts in the training loss: one number of at least 0 for each row, or the name of a column of the data set, which then is no feature. Multiplied with the class weights.',
  }) as unknown as z.ZodType<string | Matrix>;

/** Rows of inputs and their targets, as a job or an evaluation is given them inline. */
export const inlineData = z
  .strictObject({
    inputs: matrixSchema('One row per sample, one number per feature.', { shared: true }),
    targets: matrixSchema(
      'One row per sample, one number per output; for sparse_categorical_cross_entropy one integer label per sample.',
      {
        flat: true,
        shared: true,
      },
    ),
  })
  .superRefine(({ inputs, targets }, context) => {
    if (inputs.rows === targets.rows) return;
    const params: CheckParams = { code: 'row_mismatch' };
    const message = `There are ${inputs.rows} rows of inputs but ${targets.rows} of targets.`;
    context.addIssue({ code: 'custom', path: ['targets'], params, message });
  })
  .meta({
    id: 'InlineData',
    description: 'Training data in the request itself.',
    examples: [
      {
        inputs: [
          [0, 0],
          [0, 1],
          [1, 0],
          [1, 1],
        ],
        targets: [[0], [1], [1], [0]],
      },
    ],
  });

/** The rows of a matrix as the wire writes them. */
export function rowsOf(values: Float64Array | Float32Array, columns: number): number[][] {
  return Array.from({ length: values.length / columns }, (_, row) =>
    Array.from(values.subarray(row * columns, (row + 1) * columns)),
  );
}
