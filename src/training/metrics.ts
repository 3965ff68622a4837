/**
 * What is measured of a model besides its loss: one table of metrics, fed in batches, so that a set of any size can be
 * evaluated. The definitions are scikit-learn's; where it leaves a choice, the choice is stated beside the metric.
 */
import type { FloatArray } from '../engine/backend.ts';
import type { OptionTable, Resolved, Spec } from '../engine/options.ts';
import { resolve } from '../engine/options.ts';
import { ClassCounts, type ConfusionMatrix } from './class-counts.ts';
import type { MetricContext } from './metric-context.ts';
import { LogLoss, SquaredErrors, TopK } from './metric-sums.ts';
import { RankSums } from './rank-sums.ts';
import type { TargetKind } from './target-kind.ts';

/** The running sums that metrics read; several metrics share one. */
export interface Sums {
  readonly counts: ClassCounts;
  readonly errors: SquaredErrors;
  readonly ranks: RankSums;
  readonly log_loss: LogLoss;
  readonly top_k: TopK;
}

interface MetricOf<Reads extends keyof Sums> {
  readonly description: string;
  readonly formula: string;
  /** `none`: a table of counts, which cannot be monitored and is given by evaluate alone. */
  readonly better: 'higher' | 'lower' | 'none';
  readonly kinds: readonly TargetKind[];
  readonly options: OptionTable;
  readonly reads: Reads;
  /** Name of the series in histories and results; the metric's own name when absent. */
  readonly series?: (options: Readonly<Record<string, number | boolean>>) => string;
  /** Null where the rows leave it undefined. */
  readonly value: (sums: Sums[Reads]) => number | null;
}

export type Metric = { readonly [Reads in keyof Sums]: MetricOf<Reads> }[keyof Sums];

const classes = ['labels', 'classes'] as const satisfies readonly TargetKind[];
const decisions = [...classes, 'indicators', 'signs'] as const satisfies readonly TargetKind[];
const rows = ['classes', 'indicators', 'signs', 'values'] as const satisfies readonly TargetKind[];

const averaging =
  'Of the positive class with one output; else the plain (macro) mean over the classes or outputs that occur in the targets or predictions. 0/0 counts as 0.';

export const metrics = {
  accuracy: {
    description:
      'Share of right predictions: rows whose largest output is their class; for 0/1 and ±1 targets the share of outputs on the right side of 0.5 or 0. A NaN output is wrong.',
    formula: 'right / all',
    better: 'higher',
    kinds: decisions,
    options: {},
    reads: 'counts',
    value: (counts) => counts.accuracy(),
  },
  top_k_accuracy: {
    description: 'Share of rows whose class is among the k largest outputs; equal outputs rank by class number.',
    formula: 'rows with rank(class) ≤ k / rows',
    better: 'higher',
    kinds: classes,
    options: { k: { type: 'number', integer: true, minimum: 1, default: 5, description: 'How many classes may hit.' } },
    reads: 'top_k',
    series: (options) => `top_${options.k}_accuracy`,
    value: (top) => top.accuracy(),
  },
  precision: {
    description: `Share of the predictions of a class that are right. ${averaging}`,
    formula: 'TP / (TP + FP)',
    better: 'higher',
    kinds: decisions,
    options: {},
    reads: 'counts',
    value: (counts) => counts.mean('precision'),
  },
  recall: {
    description: `Share of a class that is found. ${averaging}`,
    formula: 'TP / (TP + FN)',
    better: 'higher',
    kinds: decisions,
    options: {},
    reads: 'counts',
    value: (counts) => counts.mean('recall'),
  },
  f1: {
    description: `Harmonic mean of precision and recall. ${averaging}`,
    formula: '2·TP / (2·TP + FP + FN)',
    better: 'higher',
    kinds: decisions,
    options: {},
    reads: 'counts',
    value: (counts) => counts.mean('f1'),
  },
  roc_auc: {
    description:
      'Probability that a random positive scores above a random negative, equal scores counting half (midranks). Several classes: the plain mean of one against the rest over the classes that have both. Undefined when no class has both; NaN when an output is.',
    formula: '(R₊ − n₊(n₊+1)/2) / (n₊·n₋), R₊ the sum of the ranks of the positives',
    better: 'higher',
    kinds: decisions,
    options: {},
    reads: 'ranks',
    value: (ranks) => ranks.areaUnderCurve(),
  },
  log_loss: {
    description:
      'Mean negative logarithm of the probability given to the truth. Not clipped: an output of 0 for the truth is Infinity.',
    formula: '−mean(Σ y·log a), for 0/1 targets −mean(y·log a + (1 − y)·log(1 − a))',
    better: 'lower',
    kinds: ['labels', 'classes', 'indicators'],
    options: {},
    reads: 'log_loss',
    value: (sum) => sum.mean(),
  },
  confusion_matrix: {
    description:
      'Counts of rows by true class (row) and predicted class (column), with precision, recall, F1 and support of each class. Given by evaluate, at most 1,000 classes.',
    formula: 'C[i][j] = rows of class i predicted as j',
    better: 'none',
    kinds: decisions,
    options: {},
    reads: 'counts',
    value: (counts) => counts.accuracy(),
  },
  r2: {
    description:
      'Share of the variance that is explained, the plain mean over outputs. Targets without variance: 1 if met exactly, else 0. Undefined for fewer than two rows.',
    formula: '1 − Σ(a − y)² / Σ(y − ȳ)²',
    better: 'higher',
    kinds: rows,
    options: {},
    reads: 'errors',
    value: (errors) => errors.r2(),
  },
  rmse: {
    description: 'Root of the mean squared error over rows and outputs, in the unit of the targets.',
    formula: '√mean((a − y)²)',
    better: 'lower',
    kinds: rows,
    options: {},
    reads: 'errors',
    value: (errors) => Math.sqrt(errors.meanSquared()),
  },
  mae: {
    description: 'Mean absolute error over rows and outputs, in the unit of the targets.',
    formula: 'mean(|a − y|)',
    better: 'lower',
    kinds: rows,
    options: {},
    reads: 'errors',
    value: (errors) => errors.meanAbsolute(),
  },
  mse: {
    description: 'Mean squared error over rows and outputs.',
    formula: 'mean((a − y)²)',
    better: 'lower',
    kinds: rows,
    options: {},
    reads: 'errors',
    value: (errors) => errors.meanSquared(),
  },
} as const satisfies Record<string, Metric>;

export type MetricName = keyof typeof metrics;
/** A name, or `{"name": "top_k_accuracy", "k": 3}`. */
export type MetricSpec = Spec<typeof metrics>;

const usualOfClasses: readonly MetricName[] = ['accuracy', 'precision', 'recall', 'f1', 'confusion_matrix'];
const usualOfValues: readonly MetricName[] = ['rmse', 'mae', 'r2'];

/** What is measured when nothing is named. */
export function usualMetrics(context: MetricContext): MetricName[] {
  const usual = context.target_kind === 'values' ? usualOfValues : usualOfClasses;
  return usual.filter((name) => metricProblem(name, context) === null);
}

/** Most classes that a confusion matrix is made for: it holds classes² numbers. */
export const maxConfusionClasses = 1000;

const lookUp = (spec: MetricSpec): Resolved<Metric> => resolve<Metric>(metrics, spec);

/** Name of a metric's series: its own name, with the option in it where there is one (`top_3_accuracy`). */
export function seriesName(spec: MetricSpec): string {
  const { name, entry, options } = lookUp(spec);
  return entry.series?.(options) ?? name;
}

/** Whether a larger or a smaller value of the metric is the better one. */
export function better(spec: MetricSpec): 'higher' | 'lower' | 'none' {
  return lookUp(spec).entry.better;
}

/** Why a metric cannot be measured in this context, or null when it can. */
export function metricProblem(spec: MetricSpec, context: MetricContext): string | null {
  const { name, entry } = lookUp(spec);
  if (!entry.kinds.includes(context.target_kind)) {
    return `${name} is defined for ${entry.kinds.join(', ')} targets, and these are ${context.target_kind}`;
  }
  if (name !== 'confusion_matrix') return null;
  if ((classes as readonly TargetKind[]).includes(context.target_kind)) {
    const tooMany = context.output_size > maxConfusionClasses;
    return tooMany ? `a confusion matrix is made for at most ${maxConfusionClasses} classes` : null;
  }
  return context.output_size === 1 ? null : 'a confusion matrix needs classes that exclude each other';
}

const newSums: {
  readonly [K in keyof Sums]: (
    context: MetricContext,
    options: Readonly<Record<string, number | boolean>>,
    withMatrix: boolean,
  ) => Sums[K];
} = {
  counts: (context, _options, withMatrix) => new ClassCounts(context, withMatrix),
  errors: (context) => new SquaredErrors(context),
  ranks: (context) => new RankSums(context),
  log_loss: (context) => new LogLoss(context),
  top_k: (context, options) => new TopK(context, options.k as number),
};

/** Collects batches of outputs and targets; `finish` may be called at any time and does not end the collection. */
export interface MetricAccumulator {
  /**
   * Adds rows of outputs and their targets, both in the unit of the data (preprocessing inverted).
   * @param outputs rows × output_size
   * @param targets rows × output_size, or one label per row for the target kind `labels`
   */
  add(outputs: FloatArray, targets: FloatArray, rows: number): void;
  /** The value of each metric by its series name; null where the rows leave it undefined, as all do before the first row. */
  finish(): Record<string, number | null>;
  /** The counts by class, when `confusion_matrix` was asked for. */
  confusionMatrix(): ConfusionMatrix | null;
  /** The area of each output against the rest, when `roc_auc` was asked for; null where all rows are on one side. */
  areas(): readonly (number | null)[] | null;
}

/**
 * An accumulator for the given metrics.
 * @throws {RangeError} when a metric cannot be measured in this context (see {@link metricProblem})
 */
export function accumulate(specs: readonly MetricSpec[], context: MetricContext): MetricAccumulator {
  for (const spec of specs) {
    const problem = metricProblem(spec, context);
    if (problem !== null) throw new RangeError(problem);
  }
  const withMatrix = specs.some((spec) => lookUp(spec).entry.better === 'none');
  const shared = new Map<string, Sums[keyof Sums]>();
  const measured = specs.map((spec) => {
    const { entry, options } = lookUp(spec);
    const key = `${entry.reads} ${JSON.stringify(options)}`;
    if (!shared.has(key)) shared.set(key, newSums[entry.reads](context, options, withMatrix));
    const sums = shared.get(key)!;
    // The key holds `reads`, so these are the sums that the entry's `value` takes.
    const value = () => (entry.value as (sums: Sums[keyof Sums]) => number | null)(sums);
    return { series: seriesName(spec), better: entry.better, sums, value };
  });
  let seen = 0;
  return {
    add(outputs, targets, count) {
      seen += count;
      for (const sums of shared.values()) sums.add(outputs, targets, count);
    },
    finish() {
      const numbers = measured.filter((metric) => metric.better !== 'none');
      return Object.fromEntries(numbers.map(({ series, value }) => [series, seen === 0 ? null : value()]));
    },
    areas() {
      const ranks = [...shared.values()].find((sums) => sums instanceof RankSums);
      return ranks === undefined ? null : ranks.areas();
    },
    confusionMatrix() {
      const counts = measured.find((metric) => metric.better === 'none')?.sums;
      return counts instanceof ClassCounts ? counts.confusionMatrix() : null;
    },
  };
}
