/**
 * Class and sample weights: one factor for the loss of each row while training.
 *
 * The loss of a batch of n rows is Σ wᵢ·ℓᵢ / n (`sum`: Σ wᵢ·ℓᵢ), wᵢ the product of the row's own weight and its
 * class's. The mean divides by the number of rows, as Keras does, so that a row's gradient does not depend on its
 * neighbours in the batch; PyTorch's `weight` divides by Σ wᵢ of the batch instead, which over all training rows is the
 * same where the weights have the mean 1, as `balanced` ones have. Validation, test and metrics count every row once.
 */
import type { Data, FloatArray } from '../engine/backend.ts';
import { classNames } from './class-names.ts';
import { classOf, type MetricContext } from './metric-context.ts';

/** `balanced`, or weights by the names of classes; a class that is not named has weight 1. */
export type ClassWeights = 'balanced' | Readonly<Record<string, number>>;

/**
 * The weight of every row; undefined where all are 1.
 * @param train the rows that are trained on: what `balanced` counts
 * @param names of the classes in the order of their labels; absent: their numbers
 * @throws {RangeError} when there are class weights and the targets are no classes
 */
export function rowWeights(
  { rows, targets, weights: own }: Data,
  train: Uint32Array,
  context: MetricContext,
  wanted: ClassWeights | undefined,
  names?: readonly string[],
): FloatArray | undefined {
  if (wanted === undefined) return own;
  const ofClass = classOf(context);
  const classes = classNames(context, names);
  if (ofClass === null || classes === null) throw new RangeError('class weights need classes');
  const labels = Uint32Array.from({ length: rows }, (_, row) => ofClass(targets, row));
  const factors = wanted === 'balanced' ? balanced(labels, train, classes.length) : named(classes, wanted);
  return Float64Array.from(labels, (label, row) => (own?.[row] ?? 1) * factors[label]);
}

const named = (classes: readonly string[], wanted: Readonly<Record<string, number>>): Float64Array =>
  Float64Array.from(classes, (name) => (Object.hasOwn(wanted, name) ? wanted[name] : 1));

/** n / (k·n_c) over the training rows, k the classes that occur in them (scikit-learn's `balanced`); their mean is 1. */
function balanced(labels: Uint32Array, train: Uint32Array, classes: number): Float64Array {
  const counts = new Float64Array(classes);
  for (const row of train) counts[labels[row]] += 1;
  const occurring = counts.reduce((sum, count) => sum + (count > 0 ? 1 : 0), 0);
  return counts.map((count) => (count === 0 ? 1 : train.length / (occurring * count)));
}
