/** Whether rows fit a network: their widths, and the domain of its loss. Every problem has a pointer to the row or cell. */
import { featureNames } from '../datasets/dataset.ts';
import type { Features } from '../datasets/features.ts';
import type { FloatArray, Plan } from '../engine/backend.ts';
import { contains, type Interval } from '../engine/interval.ts';
import type { TargetDomain } from '../engine/losses.ts';
import type { Problem } from '../errors.ts';
import type { Matrix } from '../schemas/data.ts';
import { inTurns } from './turns.ts';

export interface LabelledRows {
  readonly inputs: Matrix;
  readonly targets: Matrix;
  /** The columns and classes that the rows of a stored data set have. */
  readonly features?: Features | undefined;
  /** Of the rows, where one of the columns holds them. */
  readonly weights?: FloatArray | null | undefined;
}

/** More than this say nothing new. */
const maxProblems = 10;

/** Targets that are looked at in one turn: a few milliseconds. */
const pieceValues = 2 ** 20;

/** How far the sum of a row of probabilities may be from 1: the rounding of inputs written with six digits. */
const sumTolerance = 1e-5;

/**
 * Rows given inline or by the id of a data set, which says what is wrong in its own terms. The main thread is given back
 * between the pieces of the targets.
 * @param place where `data` or `dataset_id` stands in the body: empty, or `/validation`
 */
export async function sourceProblems(rows: LabelledRows, plan: Plan, place: string): Promise<Problem[]> {
  if (rows.features !== undefined) return datasetProblems(rows, rows.features, plan, `${place}/dataset_id`);
  const targets = await targetProblemsInTurns(rows.targets, plan, `${place}/data/targets`);
  return [...inputProblems(rows.inputs, plan, `${place}/data/inputs`), ...targets];
}

async function datasetProblems(
  { inputs, targets }: LabelledRows,
  features: Features,
  plan: Plan,
  pointer: string,
): Promise<Problem[]> {
  const problems: Problem[] = [];
  const mismatch = (detail: string) => problems.push({ pointer, code: 'width_mismatch', detail });
  if (inputs.columns !== plan.input_size) {
    const names = featureNames(features.columns);
    mismatch(`The data set has ${counted(names, 'feature')}, but the network has input_size ${plan.input_size}.`);
  }
  const { classes } = features;
  const isSparse = plan.loss.entry.target_domain.kind === 'label';
  const tooMany = isSparse ? (classes?.length ?? 0) > plan.output_size : targets.columns !== plan.output_size;
  if (classes !== null && tooMany) {
    const units = `the output layer has ${plan.output_size} and needs ${classes.length} units`;
    mismatch(`The data set has ${counted(classes, 'class')}: ${units}.`);
    return problems;
  }
  // One row tells what is wrong with a column.
  const [fault] = await targetProblemsInTurns(targets, plan, pointer);
  return fault === undefined ? problems : [...problems, { ...fault, pointer }];
}

/** `3 classes (a, b, c)`; long lists are cut. */
function counted(names: readonly string[], what: string): string {
  const plural = what.endsWith('s') ? `${what}es` : `${what}s`;
  const listed = names.length > 8 ? `${names.slice(0, 8).join(', ')}, …` : names.join(', ');
  return `${names.length} ${names.length === 1 ? what : plural} (${listed})`;
}

/** @param pointer where `{inputs, targets}` stands in the body */
export function dataProblems({ inputs, targets }: LabelledRows, plan: Plan, pointer: string): Problem[] {
  return [...inputProblems(inputs, plan, `${pointer}/inputs`), ...targetProblems(targets, plan, `${pointer}/targets`)];
}

export function inputProblems(inputs: Matrix, plan: Plan, pointer: string): Problem[] {
  if (inputs.columns === plan.input_size) return [];
  const detail = `Row 0 has ${count(inputs.columns)}, but the network has input_size ${plan.input_size}.`;
  return [{ pointer: `${pointer}/0`, code: 'width_mismatch', detail }];
}

function targetProblems(targets: Matrix, plan: Plan, pointer: string): readonly Problem[] {
  const { problems, rows, look } = targetCheck(targets, plan, pointer);
  look(0, rows);
  return problems;
}

async function targetProblemsInTurns(targets: Matrix, plan: Plan, pointer: string): Promise<readonly Problem[]> {
  const { problems, rows, look } = targetCheck(targets, plan, pointer);
  await inTurns(rows, Math.ceil(pieceValues / targets.columns), look);
  return problems;
}

interface TargetCheck {
  /** Those that are known so far. */
  readonly problems: readonly Problem[];
  /** How many rows have to be looked at, in order; 0 where all is known already. */
  readonly rows: number;
  readonly look: (from: number, to: number) => void;
}

function targetCheck(targets: Matrix, plan: Plan, pointer: string): TargetCheck {
  const { target_domain: domain } = plan.loss.entry;
  const columns = domain.kind === 'label' ? 1 : plan.output_size;
  if (targets.columns !== columns) return known([targetWidthProblem(targets, plan, `${pointer}/0`)]);
  const isOpen = domain.kind === 'interval' && domain.minimum === -Infinity && domain.maximum === Infinity;
  if (isOpen) return known([]);
  const problems: Problem[] = [];
  const faultOf = refusalOf(domain, plan);
  const look = (from: number, to: number) => {
    for (let row = from; row < to && problems.length < maxProblems; row++) {
      const fault = faultOf(targets.values, row * columns, columns);
      if (fault === null) continue;
      const cell = fault.column === null || targets.flat ? '' : `/${fault.column}`;
      problems.push({
        pointer: `${pointer}/${row}${cell}`,
        code: 'target_domain',
        detail: `Row ${row}: ${fault.detail}`,
      });
    }
  };
  return { problems, rows: targets.rows, look };
}

const known = (problems: readonly Problem[]): TargetCheck => ({ problems, rows: 0, look: () => undefined });

function targetWidthProblem(targets: Matrix, { loss, output_size }: Plan, pointer: string): Problem {
  const wanted =
    loss.entry.target_domain.kind === 'label'
      ? `${loss.name} takes one label per row`
      : `the network has ${output_size} ${output_size === 1 ? 'output' : 'outputs'}`;
  const detail = `Row 0 has ${count(targets.columns)}, but ${wanted}.`;
  return { pointer, code: 'width_mismatch', detail };
}

interface Fault {
  /** Null: the row as a whole. */
  readonly column: number | null;
  readonly detail: string;
}

/** Finds what is wrong with the row of `columns` targets from `start` on; null: nothing. Millions of rows pass here. */
type FindFault = (values: FloatArray, start: number, columns: number) => Fault | null;

function refusalOf(domain: TargetDomain, { loss, output_size }: Plan): FindFault {
  const firstBad =
    (isGood: (value: number) => boolean, wanted: string): FindFault =>
    (values, start, columns) => {
      for (let column = 0; column < columns; column++) {
        const value = values[start + column];
        if (!isGood(value)) return { column, detail: `${loss.name} needs ${wanted}, but this is ${value}.` };
      }
      return null;
    };
  switch (domain.kind) {
    case 'label': {
      const isLabel = (value: number) => Number.isInteger(value) && value >= 0 && value < output_size;
      return firstBad(isLabel, `a label from 0 to ${output_size - 1}`);
    }
    case 'values':
      return firstBad((value) => domain.values.includes(value), `one of ${domain.values.join(', ')}`);
    case 'interval':
      return firstBad((value) => contains(domain, value), `a target in ${intervalText(domain)}`);
    case 'distribution': {
      const firstNegative = firstBad((value) => value >= 0, 'probabilities of at least 0');
      return (values, start, columns) => {
        const negative = firstNegative(values, start, columns);
        if (negative !== null) return negative;
        let sum = 0;
        for (let column = 0; column < columns; column++) sum += values[start + column];
        if (Math.abs(sum - 1) <= sumTolerance) return null;
        return { column: null, detail: `${loss.name} needs probabilities with the sum 1, but their sum is ${sum}.` };
      };
    }
  }
}

function intervalText({ minimum, maximum, open_minimum, open_maximum }: Interval): string {
  const end = (value: number) => (Number.isFinite(value) ? String(value) : value < 0 ? '−∞' : '∞');
  const open = open_minimum || minimum === Number.NEGATIVE_INFINITY ? '(' : '[';
  const close = open_maximum || maximum === Number.POSITIVE_INFINITY ? ')' : ']';
  return `${open}${end(minimum)}, ${end(maximum)}${close}`;
}

const count = (numbers: number): string => (numbers === 1 ? '1 number' : `${numbers} numbers`);
