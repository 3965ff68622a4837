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

/** Whether a row belongs to exactly one of several classes. */
export function excludesOthers({ target_kind }: MetricContext): boolean {
  return target_kind === 'labels' || target_kind === 'classes';
}

/** Where an output or target starts to count as positive: 0.5 between 0 and 1, 0 between −1 and 1. */
export function threshold({ target_kind }: MetricContext): number {
  return target_kind === 'signs' ? 0 : 0.5;
}
