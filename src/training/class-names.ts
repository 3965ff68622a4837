/** What the classes of a network are called. */
import { excludesOthers, type MetricContext } from './metric-context.ts';

/**
 * The names in the order of the labels: those of the data set where it has them, else the numbers that the targets are;
 * null where the targets are no classes that exclude each other.
 */
export function classNames(context: MetricContext, known?: readonly string[] | null): readonly string[] | null {
  const { target_kind, output_size } = context;
  const isBinary = output_size === 1 && (target_kind === 'indicators' || target_kind === 'signs');
  if (!isBinary && !excludesOthers(context)) return null;
  const count = isBinary ? 2 : output_size;
  if (known !== undefined && known !== null && known.length <= count) {
    return Array.from({ length: count }, (_, label) => known[label] ?? String(label));
  }
  return target_kind === 'signs' ? ['-1', '1'] : Array.from({ length: count }, (_, label) => String(label));
}
