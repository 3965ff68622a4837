/** Toy data sets, drawn from a seed: the same numbers on every machine. */

import { cosPi } from '../engine/math/elementary.ts';
import { float64 } from '../engine/math/float64.ts';
import type { OptionTable } from '../engine/options.ts';
import { normal, uniform } from '../engine/prng.ts';
import type { ReadTable } from './formats.ts';
import { Problems } from './problems.ts';
import { Table } from './table.ts';

type Options = Readonly<Record<string, number>>;

interface Draw {
  /** Number i of this row, uniform in [0, 1). */
  uniform(i: number): number;
  /** Number i of this row, standard normal. */
  normal(i: number): number;
}

export interface ToyDataset {
  readonly description: string;
  readonly formula: string;
  readonly default_rows: number;
  readonly options: OptionTable;
  /** The names of the columns; the last `targets` of them are targets. */
  readonly columns: (options: Options) => readonly string[];
  readonly targets: number;
  /** The values of one row. */
  readonly row: (row: number, rows: number, options: Options, draw: Draw, seed: number) => readonly number[];
}

const noise = (standard: number) =>
  ({
    type: 'number',
    minimum: 0,
    maximum: 1e6,
    default: standard,
    description: 'Standard deviation of the normal noise.',
  }) as const;
const count = (standard: number, minimum: number, maximum: number, description: string) =>
  ({ type: 'number', integer: true, minimum, maximum, default: standard, description }) as const;

const cosine = (turns: number): number => cosPi(float64, 2 * turns);
const sine = (turns: number): number => cosPi(float64, 2 * turns - 0.5);
const plane = () => ['x1', 'x2', 'class'];

/** A number that belongs to the whole set and not to a row, uniform in [0, 1). */
const shared = (seed: number, i: number): number => uniform(seed, 'generate', 2, i);

export const toyDatasets = {
  xor: {
    description: 'Two bits, class 1 when they differ; the four corners in turn.',
    formula: 'class = x₁ ⊕ x₂',
    default_rows: 4,
    options: { noise: noise(0) },
    columns: plane,
    targets: 1,
    row: (row, _rows, options, draw) => {
      const [a, b] = [(row >> 1) & 1, row & 1];
      return [a + options.noise * draw.normal(0), b + options.noise * draw.normal(1), a ^ b];
    },
  },
  circles: {
    description: 'A circle of radius 1 and one inside it.',
    formula: 'x = r·(cos t, sin t) + noise, r = 1 or factor',
    default_rows: 200,
    options: {
      noise: noise(0.05),
      factor: { type: 'number', minimum: 0, maximum: 1, default: 0.5, description: 'Radius of the inner circle.' },
    },
    columns: plane,
    targets: 1,
    row: (row, _rows, options, draw) => {
      const label = row % 2;
      const radius = label === 1 ? options.factor : 1;
      const turns = draw.uniform(0);
      return [
        radius * cosine(turns) + options.noise * draw.normal(1),
        radius * sine(turns) + options.noise * draw.normal(2),
        label,
      ];
    },
  },
  moons: {
    description: 'Two half circles that interlock.',
    formula: '(cos t, sin t) and (1 − cos t, ½ − sin t), t in [0, π)',
    default_rows: 200,
    options: { noise: noise(0.1) },
    columns: plane,
    targets: 1,
    row: (row, _rows, options, draw) => {
      const label = row % 2;
      const turns = draw.uniform(0) / 2;
      const [x, y] = label === 1 ? [1 - cosine(turns), 0.5 - sine(turns)] : [cosine(turns), sine(turns)];
      return [x + options.noise * draw.normal(1), y + options.noise * draw.normal(2), label];
    },
  },
  blobs: {
    description: 'Normally distributed clouds around centres drawn from [−10, 10).',
    formula: 'x = centre(class) + noise',
    default_rows: 300,
    options: {
      classes: count(3, 1, 100, 'Number of clouds.'),
      features: count(2, 1, 1000, 'Number of columns.'),
      noise: noise(1),
    },
    columns: ({ features }) => [...Array.from({ length: features }, (_, i) => `x${i + 1}`), 'class'],
    targets: 1,
    row: (row, _rows, { classes, features, noise: sd }, draw, seed) => {
      const label = row % classes;
      const x = Array.from(
        { length: features },
        (_, i) => 20 * shared(seed, label * features + i) - 10 + sd * draw.normal(i),
      );
      return [...x, label];
    },
  },
  spirals: {
    description: 'Interleaved spirals, one for each class.',
    formula: 'x = s·(cos, sin)(2π·(turns·s + class/classes)) + noise, s in [0, 1)',
    default_rows: 300,
    options: {
      classes: count(2, 1, 20, 'Number of arms.'),
      turns: { type: 'number', minimum: 0, maximum: 100, default: 1.5, description: 'Turns of each arm.' },
      noise: noise(0.02),
    },
    columns: plane,
    targets: 1,
    row: (row, _rows, options, draw) => {
      const label = row % options.classes;
      const s = draw.uniform(0);
      const turns = options.turns * s + label / options.classes;
      return [
        s * cosine(turns) + options.noise * draw.normal(1),
        s * sine(turns) + options.noise * draw.normal(2),
        label,
      ];
    },
  },
  sine: {
    description: 'One period of the sine.',
    formula: 'y = sin x + noise, x in [−π, π)',
    default_rows: 200,
    options: { noise: noise(0.1) },
    columns: () => ['x', 'y'],
    targets: 1,
    row: (_row, _rows, options, draw) => {
      const turns = draw.uniform(0) - 0.5;
      return [2 * Math.PI * turns, sine(turns) + options.noise * draw.normal(1)];
    },
  },
  linear: {
    description: 'A linear function with weights and bias drawn from [−1, 1) of standard normal features.',
    formula: 'y = w·x + b + noise',
    default_rows: 200,
    options: { features: count(2, 1, 1000, 'Number of columns.'), noise: noise(0.1) },
    columns: ({ features }) => [...Array.from({ length: features }, (_, i) => `x${i + 1}`), 'y'],
    targets: 1,
    row: (_row, _rows, { features, noise: sd }, draw, seed) => {
      const x = Array.from({ length: features }, (_, i) => draw.normal(i));
      const bias = 2 * shared(seed, features) - 1;
      return [
        ...x,
        x.reduce((sum, value, i) => sum + (2 * shared(seed, i) - 1) * value, bias) + sd * draw.normal(features),
      ];
    },
  },
  seed_question: {
    description:
      'The data of the question that this project started from: three whole numbers from 0 to 20 and two random bits.',
    formula: 'x₁, x₂, x₃ ∈ {0, …, 20}, y₁, y₂ ∈ {0, 1}',
    default_rows: 100,
    options: {},
    columns: () => ['x1', 'x2', 'x3', 'y1', 'y2'],
    targets: 2,
    row: (_row, _rows, _options, draw) => [0, 1, 2, 3, 4].map((i) => Math.floor(draw.uniform(i) * (i < 3 ? 21 : 2))),
  },
} as const satisfies Record<string, ToyDataset>;

export type ToyDatasetName = keyof typeof toyDatasets;

export interface GenerateRequest {
  readonly name: ToyDatasetName;
  /** Every option of the table's entry. */
  readonly options: Options;
  readonly rows: number;
  readonly seed: number;
}

/** Draws a toy data set; number i of row r is the same however many rows are asked for. */
export function generateTable({ name, options, rows, seed }: GenerateRequest): ReadTable {
  const toy: ToyDataset = toyDatasets[name];
  const names = toy.columns(options);
  const targets = new Set(names.slice(-toy.targets));
  const places = { name: (row: number, column: string) => `Row ${row + 1}, column ${column}`, pointer: () => '' };
  const table = new Table(
    {
      names,
      ignored: new Set(),
      categorical: new Set(),
      limits: { max_values: rows * names.length, max_categories: 0 },
      places,
      problems: new Problems(),
    },
    rows * names.length,
  );
  // Rows are far apart among the numbers of the seed, so that they never share one.
  const stride = 2 ** 11;
  for (let row = 0; row < rows; row += 1) {
    const draw: Draw = {
      uniform: (i) => uniform(seed, 'generate', 0, row * stride + i),
      normal: (i) => normal(seed, 'generate', 1, row * stride + i),
    };
    table.addNumbers(Float64Array.from(toy.row(row, rows, options, draw, seed)));
  }
  return { table, places, roleOf: (column) => (targets.has(column) ? 'target' : 'input') };
}
