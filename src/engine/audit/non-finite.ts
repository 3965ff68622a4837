/** Why a client's numbers are NaN or infinite where right ones are not: what naive formulas do on this data. */
import type { FloatArray } from '../backend.ts';
import type { LayerPass, Pass } from '../reference/pass.ts';
import type { Observed } from './observations.ts';
import type { SentPrecision } from './precision.ts';

export interface NonFinitePlace {
  readonly layer: number;
  readonly tensor: Observed['tensor'];
  readonly index: readonly number[];
  readonly value: number;
}

export type NonFiniteCause = keyof typeof nonFiniteCauses;

export interface CauseFound {
  readonly cause: NonFiniteCause;
  /** The value that does it, with its place. */
  readonly detail: string;
}

export interface NonFinite {
  readonly count: number;
  /** Forward for activations; else from the last layer back, as the error travels. */
  readonly first: NonFinitePlace;
  /** Most likely first; never empty. */
  readonly causes: readonly CauseFound[];
}

interface Precision {
  readonly name: 'float64' | 'float32';
  /** exp of more than this is infinite. */
  readonly largest_exponent: number;
  round(value: number): number;
}

/** ln of the largest finite number of each. */
const double: Precision = { name: 'float64', largest_exponent: 709.782712893384, round: (value) => value };
const single: Precision = { name: 'float32', largest_exponent: 88.7228317, round: Math.fround };

interface Cause {
  readonly explanation: string;
  readonly fix: string;
  find(pass: Pass, precision: Precision): string | null;
}

/** Activations whose textbook formulas take exp of z, or of −z. */
const exponentials = ['softmax', 'log_softmax', 'sigmoid', 'softplus', 'silu', 'mish', 'tanh', 'elu', 'selu'];
/** Losses with a division by the output, or by one minus it, in dLoss/da. */
const dividing = [
  'binary_cross_entropy',
  'categorical_cross_entropy',
  'sparse_categorical_cross_entropy',
  'kl_divergence',
];

const short = (value: number): string => String(Number(value.toPrecision(4)));

/** The first value of a layer for which something holds, with its place in words. */
function findValue(
  { layer: { units, number } }: LayerPass,
  values: FloatArray,
  holds: (value: number) => boolean,
): { readonly value: number; readonly place: string } | null {
  const at = values.findIndex(holds);
  if (at < 0) return null;
  return { value: values[at], place: `layer ${number}, row ${Math.floor(at / units)}, unit ${at % units}` };
}

export const nonFiniteCauses = {
  truth_overflows: {
    explanation: 'The right numbers do not fit into float64 either.',
    fix: 'scale the inputs, or use smaller parameters',
    find: ({ gradients }) => {
      const at = gradients.findIndex((value) => !Number.isFinite(value));
      return at < 0 ? null : `Value ${at} of the gradient is ${gradients[at]}.`;
    },
  },
  exponential_overflows: {
    explanation: 'exp(z) is infinite for a z that is large, and Infinity / Infinity or 0 · Infinity is NaN.',
    fix: 'subtract the largest z of the row before softmax; write sigmoid with exp(−|z|); use the library’s tanh and log1p',
    find(pass, { name, largest_exponent }) {
      for (const current of pass.layers) {
        if (!exponentials.includes(current.layer.activation.name)) continue;
        const found = findValue(current, current.activation_inputs, (z) => Math.abs(z) > largest_exponent);
        if (found !== null)
          return `z = ${short(found.value)} in ${found.place}; in ${name} exp overflows above ${short(largest_exponent)}.`;
      }
      return null;
    },
  },
  division_by_saturated_output: {
    explanation: 'dLoss/da divides by a or by 1 − a, and an output is exactly 0 or 1: 0 / 0 is NaN.',
    fix: 'compute dLoss/dz from z at once (a − y for sigmoid or softmax with cross-entropy), or keep a away from 0 and 1',
    find({ layers, plan }, { name, round }) {
      const last = layers[layers.length - 1];
      if (!dividing.includes(plan.loss.name) || !['sigmoid', 'softmax'].includes(last.layer.activation.name))
        return null;
      const found = findValue(last, last.activations, (a) => round(a) === 0 || round(1 - round(a)) === 0);
      return found && `a is ${round(found.value)} in ${name} in ${found.place}.`;
    },
  },
  not_in_right_formulas: {
    explanation: 'No usual formula leaves the finite numbers on this data.',
    fix: 'look at the first place that is named: a division by 0, a logarithm of 0, or an array that was never filled',
    find: () => 'Neither z nor a is extreme anywhere.',
  },
} as const satisfies Record<string, Cause>;

/** What is not finite among the numbers that were sent, and what most likely made it so; null when all are finite. */
export function findNonFinite(tensors: readonly Observed[], truth: Pass, { kind }: SentPrecision): NonFinite | null {
  const isBad = (value: number) => !Number.isFinite(value);
  const observed = tensors.find(({ values }) => values.some(isBad));
  if (observed === undefined) return null;
  const { layer, tensor, shape, values } = observed;
  const at = values.findIndex(isBad);
  const index = shape.length === 1 ? [at] : [Math.floor(at / shape[1]), at % shape[1]];
  const count = tensors.reduce((sum, sent) => sum + sent.values.filter(isBad).length, 0);
  // Numbers with many digits were computed in float64; others may have been computed in either.
  const precisions = kind === 'float64' ? [double] : [double, single];
  const found = Object.entries<Cause>(nonFiniteCauses).flatMap(([cause, { find }]) => {
    const details = precisions.map((precision) => find(truth, precision)).filter((detail) => detail !== null);
    return details.slice(0, 1).map((detail) => ({ cause: cause as NonFiniteCause, detail }));
  });
  const named = found.filter(({ cause }) => cause !== 'not_in_right_formulas');
  return { count, first: { layer, tensor, index, value: values[at] }, causes: named.length > 0 ? named : found };
}
