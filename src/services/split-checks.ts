/** Whether the rows that a job holds out are there, are in one part only, and leave something to train on. */
import type { Problem } from '../errors.ts';
import type { JobInput } from '../schemas/job.ts';
import { partSize, type SplitPart } from '../training/split.ts';
import type { LabelledRows } from './data-checks.ts';

type Field = 'validation' | 'test';

interface HeldOut {
  readonly field: Field;
  readonly part: SplitPart;
}

/** The parts of the training data that are held out; a validation set of its own is none. */
export function heldOutParts(input: Pick<JobInput, Field>): HeldOut[] {
  return (['validation', 'test'] as const).flatMap((field): HeldOut[] => {
    const { fraction, rows } = input[field] ?? {};
    if (fraction !== undefined) return [{ field, part: { fraction } }];
    return rows === undefined ? [] : [{ field, part: { rows } }];
  });
}

export function splitProblems(input: Pick<JobInput, Field>, { inputs }: LabelledRows): Problem[] {
  const parts = heldOutParts(input);
  const takenBy = new Map<number, Field>();
  const problems = parts.flatMap(({ field, part }) =>
    'rows' in part ? named(field, part.rows, inputs.rows, takenBy) : [],
  );
  const taken = parts.reduce((sum, { part }) => sum + partSize(part, inputs.rows), 0);
  if (problems.length > 0 || taken < inputs.rows) return problems;
  const [{ field, part }] = parts;
  const place = 'rows' in part ? 'rows' : 'fraction';
  const detail = `Of the ${inputs.rows} rows ${taken} would be held out: no row would be left to train on.`;
  return [{ pointer: `/${field}/${place}`, code: 'invalid', detail }];
}

/** What is wrong with rows by their numbers. A row in two parts would leak what the model is to be tested on. */
function named(field: Field, rows: readonly number[], count: number, takenBy: Map<number, Field>): Problem[] {
  return rows.flatMap((row, i): Problem[] => {
    const other = takenBy.get(row);
    takenBy.set(row, other ?? field);
    const fault =
      row >= count
        ? `is not one of the ${count} rows`
        : other === field
          ? 'is named twice'
          : other !== undefined && `is in ${other} as well: a row can be in one part only`;
    if (fault === false) return [];
    return [{ pointer: `/${field}/rows/${i}`, code: 'invalid', detail: `Row ${row} ${fault}.` }];
  });
}
