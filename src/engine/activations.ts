/** The activation functions: one table from which types, validation, catalog, initializers and back ends derive. */
import type { Arithmetic } from './arithmetic.ts';
import type { Interval } from './interval.ts';
import { type OptionTable, type Resolved, resolve, type Spec } from './options.ts';

/** A row of numbers or of lanes: a typed array, or an array of expressions. */
export interface Row<T> {
  [index: number]: T;
}

/** The values of an activation's own options. */
export type ActivationOptions = Readonly<Record<string, number | boolean>>;

interface ActivationBase {
  readonly formula: string;
  readonly derivative_formula: string;
  readonly description: string;
  readonly options: OptionTable;
  /** The values that the outputs can take in exact arithmetic. */
  readonly range: Interval;
  /** Where the derivative jumps. */
  readonly kinks: readonly number[];
  /** Zero or nearly so on half of its arguments: weights are drawn by he_uniform unless the client says otherwise. */
  readonly relu_family: boolean;
}

/** a = f(z), unit by unit. */
export interface ElementwiseActivation extends ActivationBase {
  readonly kind: 'elementwise';
  forward<T, M>(o: Arithmetic<T, M>, z: T, options: ActivationOptions): T;
  /** da/dz, given also a = forward(z) to spare a second evaluation; at a kink the subgradient of PyTorch. */
  derivative<T, M>(o: Arithmetic<T, M>, z: T, a: T, options: ActivationOptions): T;
}

/** a depends on all units of a sample. The row is the `units` entries from index `start` of each array. */
export interface RowwiseActivation extends ActivationBase {
  readonly kind: 'rowwise';
  forward<T, M>(o: Arithmetic<T, M>, z: Row<T>, a: Row<T>, start: number, units: number): void;
  /** dLoss/dz from dLoss/da (vector–Jacobian product); `gradient` is overwritten in place. */
  backward<T, M>(o: Arithmetic<T, M>, a: Row<T>, gradient: Row<T>, start: number, units: number): void;
}

export type Activation = ElementwiseActivation | RowwiseActivation;

export const activations = {
  linear: {
    kind: 'elementwise',
    formula: 'z',
    derivative_formula: '1',
    description: 'The identity.',
    options: {},
    range: { minimum: -Infinity, maximum: Infinity },
    kinks: [],
    relu_family: false,
    forward: (_o, z) => z,
    derivative: (o) => o.constant(1),
  },
  relu: {
    kind: 'elementwise',
    formula: 'max(z, 0)',
    derivative_formula: 'z > 0 ? 1 : 0',
    description: 'Rectified linear unit; its derivative at 0 is 0.',
    options: {},
    range: { minimum: 0, maximum: Infinity },
    kinks: [0],
    relu_family: true,
    forward: (o, z) => o.maximum(z, o.constant(0)),
    derivative: (o, z) => o.select(o.less(o.constant(0), z), o.constant(1), o.constant(0)),
  },
} as const satisfies Record<string, Activation>;

export type ActivationName = keyof typeof activations;
export type ActivationSpec = Spec<typeof activations>;

/** @throws {RangeError} when the name is unknown. */
export function resolveActivation(spec: ActivationSpec): Resolved<Activation> {
  return resolve<Activation>(activations, spec);
}
