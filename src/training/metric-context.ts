/** How metrics read outputs and targets of each kind. */
import type { FloatArray } from '../engine/backend.ts';
import type { TargetKind } from './target-kind.ts';

/** What a metric has to know about the outputs and targets that it is fed. */
export interface MetricContext {
  readonly target_kind: TargetKind;
  /** Outputs per row, which for class targets is the number of classes. */
  readonly output_size: number;
  /** The outputs are logarithms of probabilities (the output layer is log_softmax). */
  readonly log_outputs?: boolean | undefined;
}

/** The class with the largest value of a row, the lowest number when several are equal; −1 when one of them is NaN. */
export function largest(values: FloatArray, start: number, size: number): number {
  let best = 0;
  for (let i = 0; i < size; i += 1) {
    const value = values[start + i];
    if (Number.isNaN(value)) return -1;
    if (value > values[start + best]) best = i;
  }
  return best;
}

/** The class of a row of targets: its label, or the place of its largest target. */
export function trueClass({ target_kind, output_size }: MetricContext, targets: FloatArray, row: number): number {
  return target_kind === 'labels' ? targets[row] : largest(targets, row * output_size, output_size);
}

/**
 * How to tell the class of a row of targets by its number: for one output of 0/1 or ±1 the negative class is 0 and the
 * positive 1. Null where rows have no class, or several.
 */
export function classOf(context: MetricContext): ((targets: FloatArray, row: number) => number) | null {
  if (excludesOthers(context)) return (targets, row) => trueClass(context, targets, row);
  if (context.target_kind === 'values' || context.output_size > 1) return null;
  const limit = threshold(context);
  return (targets, row) => (targets[row] >= limit ? 1 : 0);
}

/** Whether a row belongs to exactly one of several classes. */
export function excludesOthers({ target_kind }: MetricContext): boolean {
  return target_kind === 'labels' || target_kind === 'classes';
}

/** Where an output or target starts to count as positive: 0.5 between 0 and 1, 0 between −1 and 1. */
export function threshold({ target_kind }: MetricContext): number {
  return target_kind === 'signs' ? 0 : 0.5;
}
