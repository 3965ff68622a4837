/** Whether the class and sample weights of a job fit its rows. */
import type { FloatArray, Plan } from '../engine/backend.ts';
import type { LossName } from '../engine/losses.ts';
import type { Problem } from '../errors.ts';
import { nearest } from '../schemas/issues.ts';
import type { JobInput } from '../schemas/job.ts';
import { classNames } from '../training/class-names.ts';
import { targetKind } from '../training/target-kind.ts';
import type { LabelledRows } from './data-checks.ts';
import { inTurns } from './turns.ts';

type Weights = Pick<JobInput, 'class_weights' | 'sample_weights'>;

/** Weights of rows that are looked at in one turn: a few milliseconds. */
const pieceValues = 2 ** 20;

/** The main thread is given back between the pieces of the weights. */
export async function weightProblems(input: Weights, planned: Plan, data: LabelledRows): Promise<Problem[]> {
  return [...classProblems(input, planned, data), ...(await sampleProblems(input, data))];
}

function classProblems(
  { class_weights: wanted }: Weights,
  planned: Plan,
  { targets, features }: LabelledRows,
): Problem[] {
  if (wanted === undefined) return [];
  const pointer = '/class_weights';
  const { output_size } = planned;
  const target_kind = targetKind(planned.loss.name as LossName, output_size, targets.values);
  const known = classNames({ target_kind, output_size }, features?.classes);
  if (known === null) {
    const detail = 'Class weights need targets that name one class each; these are numbers or several decisions a row.';
    return [{ pointer, code: 'not_allowed', detail }];
  }
  if (wanted === 'balanced') return [];
  if (known.every((name) => wanted[name] === 0)) {
    return [{ pointer, code: 'invalid', detail: 'Every class has weight 0: nothing would be learned.' }];
  }
  return Object.keys(wanted).flatMap((name): Problem[] => {
    if (known.includes(name)) return [];
    const did_you_mean = nearest(name, known);
    const detail = `There is no class ${JSON.stringify(name)}; the classes are ${known.slice(0, 20).join(', ')}${known.length > 20 ? ', …' : ''}.`;
    const escaped = name.replaceAll('~', '~0').replaceAll('/', '~1');
    return [
      {
        pointer: `${pointer}/${escaped}`,
        code: 'unknown_name',
        detail,
        allowed: known,
        ...(did_you_mean === undefined ? {} : { did_you_mean }),
      },
    ];
  });
}

async function sampleProblems(
  { sample_weights: wanted }: Weights,
  { inputs, features, weights }: LabelledRows,
): Promise<Problem[]> {
  const pointer = '/sample_weights';
  if (wanted === undefined) return [];
  if (typeof wanted === 'string') {
    const allowed = features?.columns.filter(({ categories }) => categories === null).map(({ name }) => name) ?? [];
    const isFound = weights !== undefined && weights !== null;
    if (!isFound) {
      const detail =
        features === undefined
          ? 'Inline data have no named columns: give a list with one weight for each row.'
          : `There is no input column of numbers called ${JSON.stringify(wanted)}.`;
      return [{ pointer, code: 'unknown_name', detail, allowed }];
    }
    return valueProblems(
      weights,
      (row) => `Row ${row}, column ${JSON.stringify(wanted)}`,
      () => pointer,
    );
  }
  if (wanted.rows !== inputs.rows) {
    const detail = `There are ${wanted.rows} weights but ${inputs.rows} rows.`;
    return [{ pointer, code: 'row_mismatch', detail }];
  }
  return valueProblems(
    wanted.values,
    (row) => `Entry ${row}`,
    (row) => `${pointer}/${row}`,
  );
}

async function valueProblems(
  values: FloatArray,
  name: (row: number) => string,
  pointerOf: (row: number) => string,
): Promise<Problem[]> {
  let negative = -1;
  let isSomePositive = false;
  await inTurns(values.length, pieceValues, (from, to) => {
    for (let row = from; row < to && negative === -1; row++) {
      if (values[row] < 0) negative = row;
      if (values[row] > 0) isSomePositive = true;
    }
  });
  if (negative !== -1) {
    const detail = `${name(negative)} is ${values[negative]}; a weight is at least 0.`;
    return [{ pointer: pointerOf(negative), code: 'out_of_range', detail }];
  }
  if (isSomePositive) return [];
  return [{ pointer: '/sample_weights', code: 'invalid', detail: 'Every weight is 0: nothing would be learned.' }];
}
