/** Data sets on the wire: what is said about an upload, and what is known about a data set. */
import { z } from 'zod';
import { limits } from '../config.ts';
import { columnKinds, columnRoles, missingPolicies, targetTasks } from '../datasets/dataset.ts';
import { toyDatasets } from '../datasets/generate.ts';
import { listOf, names, queryInteger, timestamp } from './common.ts';
import { optionShape } from './options.ts';

const columnNames = (description: string, example: string) =>
  z
    .string()
    .min(1)
    .transform((text) => text.split(',').map((name) => name.trim()))
    .optional()
    .meta({ description, examples: [example] });

const name = z.string().min(1).max(200);

export const uploadQuery = z.strictObject({
  name: name.optional().meta({ description: 'A name for people.' }),
  target: columnNames(
    'The target columns, separated by commas; default: the last column, and of `inputs` and `targets` all of `targets`. Their columns are called x1, x2, … and y or y1, y2, …; with a target among the inputs no `targets` are needed.',
    'species',
  ),
  ignore: columnNames('Columns to leave out, separated by commas.', 'id,comment'),
  categorical: columnNames('Columns whose numbers are names of things, separated by commas.', 'postcode'),
  missing: z.enum(names(missingPolicies)).default('error').meta({
    description:
      'Missing values (empty, NA, NaN, null or ?): an error, filled with the column’s mean or median (texts: the most frequent one), or the whole row left out, whatever the format: in JSON null or a key that is not there, in arrays NaN. Targets are never filled.',
  }),
  task: z.enum(targetTasks).optional().meta({
    description:
      'Whether the target is a class or a number. Default: texts, and at most 20 different whole numbers, are classes.',
  }),
});

export type UploadQuery = z.output<typeof uploadQuery>;

export const datasetColumn = z
  .strictObject({
    name: z.string(),
    role: z.enum(columnRoles),
    kind: z.enum(columnKinds).meta({ description: 'Texts become one feature each, 1 where the text stands.' }),
    min: z.number().nullable(),
    max: z.number().nullable(),
    mean: z.number().nullable(),
    std: z.number().nullable().meta({ description: 'Population standard deviation.' }),
    missing: z.int(),
    distinct: z.int().nullable().meta({ description: 'Different values; null when there are more than 1,000.' }),
    constant: z.boolean(),
    filled_with: z.union([z.number(), z.string()]).nullable(),
    categories: z.array(z.string()).nullable().meta({ description: 'The texts of a text column, sorted.' }),
  })
  .meta({ id: 'DatasetColumn', description: 'A column with the statistics of the values that are there.' });

const datasetClass = z
  .strictObject({ name: z.string(), count: z.int() })
  .meta({ id: 'DatasetClass', description: 'A class and its rows; its label is its place in the list, from 0.' });

const warning = z
  .strictObject({ code: z.string(), column: z.string().nullable(), detail: z.string() })
  .meta({ id: 'DatasetWarning', description: 'Something about the data that may not be meant.' });

const summaryShape = {
  id: z.string(),
  name: z.string().nullable(),
  rows: z.int(),
  input_size: z.int().meta({ description: 'Features of a row as a network sees it.' }),
  task: z.enum(targetTasks),
  targets: z.array(z.string()).meta({ description: 'The target columns.' }),
  sha256: z.string().meta({ description: 'The same content has the same hash, whatever the format it came in.' }),
  created_at: timestamp,
};

const columnExample = {
  name: 'petal_length_cm',
  role: 'input',
  kind: 'number',
  min: 1,
  max: 6.9,
  mean: 3.758,
  std: 1.759,
  missing: 0,
  distinct: 43,
  constant: false,
  filled_with: null,
  categories: null,
};
const targetExample = {
  ...columnExample,
  name: 'species',
  role: 'target',
  kind: 'text',
  min: null,
  max: null,
  mean: null,
  std: null,
  distinct: 2,
  categories: ['setosa', 'virginica'],
};
const summaryExample = {
  id: 'ds_0198c5d2-7a3e-7bc1-9f00-5d3c1c0a8e21',
  name: 'iris',
  rows: 100,
  input_size: 1,
  task: 'classification',
  targets: ['species'],
  sha256: '1e52d3d96ba49c50fe132731766e8b9b3d456d7b44163a4d62d2a256e19005e5',
  created_at: '2026-01-31T12:00:00.000Z',
};
const detailsExample = {
  columns: [columnExample, targetExample],
  classes: [
    { name: 'setosa', count: 50 },
    { name: 'virginica', count: 50 },
  ],
  warnings: [],
};

export const datasetSummary = z
  .strictObject(summaryShape)
  .meta({ id: 'DatasetSummary', description: 'A data set in a list.', examples: [summaryExample] });
export const datasetList = listOf(datasetSummary, 'DatasetList');
export const datasetListExamples = { page: { data: [summaryExample], has_more: false } };

const details = {
  columns: z.array(datasetColumn),
  classes: z.array(datasetClass).nullable().meta({ description: 'For classification, in the order of their labels.' }),
  warnings: z.array(warning),
};

export const datasetView = z.strictObject({ ...summaryShape, ...details }).meta({
  id: 'Dataset',
  description: 'A data set: its columns with their statistics, and its classes.',
  examples: [{ ...summaryExample, ...detailsExample }],
});

export const datasetProfile = z
  .strictObject({
    ...details,
    rows: z.int(),
    features: z.array(z.string()).meta({ description: 'The features of a row as a network sees it, in order.' }),
    imbalance: z
      .number()
      .nullable()
      .meta({ description: 'Rows of the largest class over rows of the smallest; null without classes.' }),
  })
  .meta({
    id: 'DatasetProfile',
    description: 'What is known about the columns, classes and features of a data set.',
    examples: [{ ...detailsExample, rows: 100, features: ['petal_length_cm'], imbalance: 1 }],
  });

export const rowsQuery = z.strictObject({
  limit: queryInteger(1, limits.max_page_size.default).default(20).meta({ description: 'The most rows to return.' }),
  after: queryInteger(0, Number.MAX_SAFE_INTEGER)
    .optional()
    .meta({ description: 'The number of the last row already seen; the first row is 0.' }),
});

export const datasetRows = z
  .strictObject({
    columns: z.array(z.string()).meta({ description: 'Inputs first, targets last.' }),
    data: z.array(
      z.strictObject({
        id: z.int().meta({ description: 'The number of the row, from 0.' }),
        values: z.array(z.union([z.number(), z.string()])),
      }),
    ),
    has_more: z.boolean(),
  })
  .meta({
    id: 'DatasetRows',
    description: 'Rows in the client’s own columns.',
    examples: [{ columns: ['petal_length_cm', 'species'], data: [{ id: 0, values: [1.4, 'setosa'] }], has_more: true }],
  });

export const generateInput = z
  .discriminatedUnion(
    'kind',
    Object.entries(toyDatasets).map(([kind, toy]) =>
      z
        .strictObject({
          kind: z.literal(kind),
          name: name.optional(),
          rows: z.int().min(1).max(1_000_000).default(toy.default_rows),
          seed: z.int().min(0).max(Number.MAX_SAFE_INTEGER).default(0),
          ...optionShape(toy.options),
        })
        .meta({ title: kind, description: `${toy.description} \`${toy.formula}\`` }),
    ) as unknown as [z.ZodObject<{ kind: z.ZodLiteral<string> }>],
  )
  .meta({ id: 'GenerateDataset', description: 'A toy data set, drawn from a seed.' }) as unknown as z.ZodType<
  {
    readonly kind: keyof typeof toyDatasets;
    readonly name?: string;
    readonly rows: number;
    readonly seed: number;
  } & Readonly<Record<string, unknown>>
>;

export type GenerateInput = z.output<typeof generateInput>;
export type DatasetView = z.output<typeof datasetView>;
export type DatasetSummary = z.output<typeof datasetSummary>;
export type DatasetProfileView = z.output<typeof datasetProfile>;
export type DatasetRows = z.output<typeof datasetRows>;

export const generateExamples = { moons: { kind: 'moons', rows: 200, noise: 0.1, seed: 1 } };
export const uploadExamples = {
  xor: {
    inputs: [
      [0, 0],
      [0, 1],
      [1, 0],
      [1, 1],
    ],
    targets: [0, 1, 1, 0],
  },
};
