/** The output layer's end: an activation and a loss joined, so that the loss is taken from the pre-activations where that is safer. */
import type { Activation, Row } from './activations.ts';
import type { Arithmetic } from './arithmetic.ts';
import { encloses, reachesBelow } from './interval.ts';
import type { Loss } from './losses.ts';
import type { Resolved } from './options.ts';

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

/**
 * Why the loss cannot be taken of this activation's outputs, as a sentence, or null when it can: the loss must be
 * defined for every output that the activation can take.
 */
export function undefinedPair(activation: Resolved<Activation>, loss: Resolved<Loss>): string | null {
  const { range } = activation.entry;
  const domain = loss.entry.output_domain;
  if (encloses(domain, range)) return null;
  const end = reachesBelow(domain, range)
    ? `${range.minimum < domain.minimum ? 'reaches below' : 'reaches'} ${domain.minimum}`
    : `${range.maximum > domain.maximum ? 'reaches above' : 'reaches'} ${domain.maximum}`;
  return `${loss.name} ${loss.entry.domain_reason}, and ${activation.name} ${end}`;
}

/**
 * Joins an output activation and a loss: z, a, y of one sample in, its loss and dLoss/dz out.
 * @throws {RangeError} when the pair is not defined.
 */
export function outputLoss(activation: Resolved<Activation>, loss: Resolved<Loss>): OutputLoss {
  const reason = undefinedPair(activation, loss);
  if (reason !== null) throw new RangeError(reason);
  return fromOutputs(activation, loss);
}

/** Target of output k: a label means 1 at the labelled unit and 0 elsewhere. */
function target<T, M>(o: Arithmetic<T, M>, row: OutputRow<T>, k: number, labels: boolean): T {
  if (!labels) return row.y[row.targetStart + k];
  return o.select(o.equal(row.y[row.targetStart], o.constant(k)), o.constant(1), o.constant(0));
}

/** The plain chain rule: dLoss/da, then through the activation. */
function fromOutputs(activation: Resolved<Activation>, loss: Resolved<Loss>): OutputLoss {
  const labels = loss.entry.target_domain.kind === 'label';
  return {
    value(o, row) {
      let sum = o.constant(0);
      for (let k = 0; k < row.units; k++) {
        const a = row.a[row.start + k];
        sum = o.add(sum, loss.entry.value(o, a, target(o, row, k, labels), loss.options));
      }
      return sum;
    },
    gradient(o, row) {
      const { entry, options } = activation;
      for (let k = row.start, j = 0; j < row.units; k++, j++) {
        const slope = loss.entry.derivative(o, row.a[k], target(o, row, j, labels), loss.options);
        row.gradient[k] =
          entry.kind === 'elementwise' ? o.mul(slope, entry.derivative(o, row.z[k], row.a[k], options)) : slope;
      }
      if (entry.kind === 'rowwise') entry.backward(o, row.a, row.gradient, row.start, row.units);
    },
  };
}
