/**
 * What a data set is once it has been read: a matrix of raw columns (texts as numbers of categories), inputs first and
 * targets last, and what is known about each column. Everything a network sees is derived from these.
 */
import type { FloatArray } from '../engine/backend.ts';
import { type LossSpec, resolveLoss } from '../engine/losses.ts';

export const columnRoles = ['input', 'target'] as const;
export const columnKinds = ['number', 'text'] as const;
/** Whether the target names one of several classes or is a number to be met. */
export const targetTasks = ['classification', 'regression'] as const;
export type TargetTask = (typeof targetTasks)[number];

/** What is done with a row that lacks a value. */
export const missingPolicies = {
  error: { description: 'The upload is refused, naming the rows and columns.' },
  mean: {
    description: 'Filled with the mean of the column; texts with the most frequent one. Targets are never filled.',
  },
  median: { description: 'Filled with the median of the column; texts with the most frequent one.' },
  drop: { description: 'The whole row is left out.' },
} as const satisfies Record<string, { readonly description: string }>;
export type MissingPolicy = keyof typeof missingPolicies;

/** Statistics count the values that are there; those of a text column are about nothing and null. */
export interface DatasetColumn {
  readonly name: string;
  readonly role: (typeof columnRoles)[number];
  readonly kind: (typeof columnKinds)[number];
  readonly min: number | null;
  readonly max: number | null;
  readonly mean: number | null;
  /** Population standard deviation. */
  readonly std: number | null;
  readonly missing: number;
  /** Different values; null when there are more than are counted. */
  readonly distinct: number | null;
  readonly constant: boolean;
  /** What stands where a value was missing: a number or a text; null when nothing was. */
  readonly filled_with: number | string | null;
  /** The texts of a text column, sorted; a cell holds the place of its text. */
  readonly categories: readonly string[] | null;
}

export interface DatasetWarning {
  readonly code: 'constant_column' | 'missing_filled' | 'rows_dropped' | 'imbalanced_classes';
  readonly column: string | null;
  readonly detail: string;
}

export interface ClassCount {
  readonly name: string;
  readonly count: number;
}

export interface DatasetProfile {
  readonly rows: number;
  /** Features of a row as a network sees it: number columns, and one for each text of a text column. */
  readonly input_size: number;
  readonly columns: readonly DatasetColumn[];
  readonly task: TargetTask;
  /** For classification: the classes in the order of their labels 0, 1, …, with their rows. */
  readonly classes: readonly ClassCount[] | null;
  readonly warnings: readonly DatasetWarning[];
  /** How the matrix is stored: parts of `part_rows` rows (the last may be shorter), little-endian, row-major. */
  readonly storage: { readonly type: 'float32' | 'float64'; readonly part_rows: number; readonly parts: number };
  /** Of columns, kinds, categories and values: the same content has the same hash, whatever the format it came in. */
  readonly sha256: string;
}

/** A column as a job uses it: besides inputs and targets there may be one that holds the weights of the rows. */
export interface UsedColumn extends Pick<DatasetColumn, 'name' | 'kind' | 'categories'> {
  readonly role: DatasetColumn['role'] | 'weight';
}

export interface UsedProfile {
  readonly columns: readonly UsedColumn[];
  readonly classes: DatasetProfile['classes'];
}

/** The profile with one of its inputs taken for the weights of the rows; where there is no such input, as it is. */
export function withWeights({ columns, classes }: DatasetProfile, name: string | undefined): UsedProfile {
  const taken = (column: DatasetColumn): UsedColumn =>
    column.role === 'input' && column.name === name ? { ...column, role: 'weight' } : column;
  return { columns: columns.map(taken), classes };
}

/** Cells of one part of the stored matrix: big enough for few files, small enough not to block when converted. */
const partCells = 2 ** 19;

export function partRows(columns: number): number {
  return Math.max(1, Math.floor(partCells / columns));
}

/** How a network wants the targets. `signs`: two classes as −1 and 1. `values`: the numbers as they are. */
export type TargetForm = 'values' | 'labels' | 'one_hot' | 'signs';

/**
 * The form that a network needs: labels for a loss of labels, one output per class, or the numbers as they are. Where
 * the number of outputs fits nothing, the form of one output per class, whose width then tells what is wrong.
 */
export function targetForm(profile: UsedProfile, loss: LossSpec, outputSize: number): TargetForm {
  const domain = resolveLoss(loss).loss.entry.target_domain;
  const { classes } = profile;
  if (classes === null) return 'values';
  if (domain.kind === 'label') return 'labels';
  if (outputSize > 1) return 'one_hot';
  const isText = profile.columns.some(({ role, kind }) => role === 'target' && kind === 'text');
  if (classes.length === 2) {
    if (domain.kind === 'values') return classes[0].name === '-1' && classes[1].name === '1' ? 'values' : 'signs';
    if (isText || (domain.kind === 'interval' && domain.minimum === 0 && domain.maximum === 1)) return 'labels';
  }
  return isText ? 'one_hot' : 'values';
}

/** The names of the features that a network sees of the input columns, in order: the column's own, or `column=text` for each of its texts. */
export function featureNames(inputs: readonly Pick<DatasetColumn, 'name' | 'categories'>[]): string[] {
  return inputs.flatMap(({ name, categories }) => categories?.map((text) => `${name}=${text}`) ?? [name]);
}

/** Number of features that a network sees. */
export function featureCount(columns: readonly UsedColumn[]): number {
  return columns.reduce((sum, { role, categories }) => sum + (role === 'input' ? (categories?.length ?? 1) : 0), 0);
}

/**
 * Spreads stored rows into the inputs of a network: numbers stay, a text becomes one 1 among zeros.
 * @param cells rows × columns of the stored matrix
 * @param inputs rows × features; zero where nothing is written yet
 * @param firstRow the row of `inputs` at which to begin
 */
export function spreadInputs(
  columns: readonly UsedColumn[],
  cells: FloatArray,
  inputs: FloatArray,
  firstRow: number,
): void {
  const features = featureCount(columns);
  const places = columns.flatMap(({ role }, place) => (role === 'input' ? [place] : []));
  const widths = columns.map(({ categories }) => categories?.length ?? 0);
  const rows = cells.length / columns.length;
  for (let row = 0; row < rows; row += 1) {
    let at = (firstRow + row) * features;
    for (const column of places) {
      const cell = cells[row * columns.length + column];
      const width = widths[column];
      if (width === 0) inputs[at] = cell;
      else inputs[at + cell] = 1;
      at += width === 0 ? 1 : width;
    }
  }
}

/** How many numbers a row of targets has in a form. */
export function targetWidth(profile: UsedProfile, form: TargetForm): number {
  if (form === 'one_hot') return profile.classes?.length ?? 0;
  return form === 'values' ? profile.columns.filter(({ role }) => role === 'target').length : 1;
}

/** The label of a stored target: its place among the classes. */
function labelsOf(profile: UsedProfile): (cell: number) => number {
  const column = profile.columns.find(({ role }) => role === 'target');
  // The cells of a text column are the places of its sorted texts, which are the classes.
  if (column === undefined || column.kind === 'text' || profile.classes === null) return (cell) => cell;
  const places = new Map(profile.classes.map(({ name }, label) => [Number(name), label]));
  return (cell) => places.get(cell) ?? cell;
}

/** Writes the targets of stored rows in the form that a network wants; see {@link spreadInputs}. */
export function spreadTargets(
  profile: UsedProfile,
  form: TargetForm,
  cells: FloatArray,
  targets: FloatArray,
  firstRow: number,
): void {
  const { columns } = profile;
  const width = targetWidth(profile, form);
  const label = labelsOf(profile);
  const first = columns.findIndex(({ role }) => role === 'target');
  for (let row = 0; row < cells.length / columns.length; row += 1) {
    const from = row * columns.length + first;
    const to = (firstRow + row) * width;
    if (form === 'values') for (let i = 0; i < width; i += 1) targets[to + i] = cells[from + i];
    else if (form === 'labels') targets[to] = label(cells[from]);
    else if (form === 'signs') targets[to] = label(cells[from]) === 1 ? 1 : -1;
    else targets[to + label(cells[from])] = 1;
  }
}
