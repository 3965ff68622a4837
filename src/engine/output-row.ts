/** What passes between a back end and the end of the network: one sample at the output layer. */
import type { Row } from './activations.ts';
import type { Arithmetic } from './arithmetic.ts';

/** One sample at the output layer: `units` entries from `start` of z, a, y and gradient; labels are at `label`. */
export interface OutputRow<T> {
  /** Pre-activations of the output layer. */
  z: Row<T>;
  a: Row<T>;
  y: Row<T>;
  /** Receives dLoss/dz. */
  gradient: Row<T>;
  units: number;
  start: number;
  /** Index into y: of the row's first target, or of its label. */
  targetStart: number;
}

/** An output activation and a loss, joined so that nothing overflows or cancels on the way. */
export interface OutputLoss {
  /** The row's loss: the sum over its outputs, not yet reduced over the batch. */
  value<T, M>(o: Arithmetic<T, M>, row: OutputRow<T>): T;
  /** Writes d(row's loss)/dz into `row.gradient`. */
  gradient<T, M>(o: Arithmetic<T, M>, row: OutputRow<T>): void;
}

/** Target of output k: a label means 1 at the labelled unit and 0 elsewhere. */
export function target<T, M>(o: Arithmetic<T, M>, row: OutputRow<T>, k: number, labels: boolean): T {
  if (!labels) return row.y[row.targetStart + k];
  return o.select(o.equal(row.y[row.targetStart], o.constant(k)), o.constant(1), o.constant(0));
}
