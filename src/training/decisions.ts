/** What a row of outputs says: a class, or a decision for each output. */
import type { FloatArray } from '../engine/backend.ts';
import { largest, type MetricContext, threshold } from './metric-context.ts';

/** A class by its name or number, a decision, or null where an output is NaN. */
export type Label = number | string | null;

/**
 * Reads the decision from the row of outputs that begins at `start`; null where the outputs are values of their own.
 * @param classes the names of the classes in the order of their labels
 */
export function decisions(
  context: Pick<MetricContext, 'target_kind' | 'output_size'>,
  classes: readonly string[] | null,
): ((outputs: FloatArray, start: number) => Label | Label[]) | null {
  const { target_kind: kind, output_size: size } = context;
  // −1 and 1 are the first and the second of two classes.
  const named = (label: number): Label => classes?.[Math.max(0, label)] ?? label;
  const limit = threshold(context);
  const decide = (value: number): number | null =>
    Number.isNaN(value) ? null : value >= limit ? 1 : kind === 'signs' ? -1 : 0;
  switch (kind) {
    case 'values':
      return null;
    case 'labels':
    case 'classes':
      return (outputs, start) => {
        const label = largest(outputs, start, size);
        return label === -1 ? null : named(label);
      };
    default:
      if (size > 1) return (outputs, start) => Array.from(outputs.subarray(start, start + size), decide);
      return (outputs, start) => {
        const decision = decide(outputs[start]);
        return decision === null ? null : named(decision);
      };
  }
}
