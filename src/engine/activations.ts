/** The activation functions: one table from which types, validation, catalog, initializers and back ends derive. */
import type { Arithmetic } from './arithmetic.ts';
import type { Interval } from './interval.ts';
import {
  log_sigmoid,
  logSoftplus,
  logSoftplusSlope,
  sigmoid,
  sigmoidSlope,
  softplus,
  tanh,
  tanhSlope,
} from './math/elementary.ts';
import { gelu, geluSlope, geluTanh, geluTanhSlope, mish, mishSlope, silu, siluSlope } from './math/gated.ts';
import { exponentialUnit, exponentialUnitSlope, softsign, softsignSlope } from './math/saturating.ts';
import { type OptionTable, type Resolved, resolve, type Spec } from './options.ts';
import { logSoftmaxBackward, logSoftmaxForward, softmaxBackward, softmaxForward } from './softmax.ts';

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
  /** log a and its derivative straight from z: they are finite where a itself underflows to 0. */
  readonly logarithm?: {
    value<T, M>(o: Arithmetic<T, M>, z: T): T;
    derivative<T, M>(o: Arithmetic<T, M>, z: T): T;
  };
}

/** a depends on all units of a sample. The row is the `units` entries from index `start` of each array. */
export interface RowwiseActivation extends ActivationBase {
  readonly kind: 'rowwise';
  readonly outputs: 'probabilities' | 'log_probabilities';
  forward<T, M>(o: Arithmetic<T, M>, z: Row<T>, a: Row<T>, start: number, units: number): void;
  /** dLoss/dz from dLoss/da (vector–Jacobian product); `gradient` is overwritten in place. */
  backward<T, M>(o: Arithmetic<T, M>, a: Row<T>, gradient: Row<T>, start: number, units: number): void;
}

export type Activation = ElementwiseActivation | RowwiseActivation;

const SELU_SCALE = 1.0507009873554805;
const SELU_ALPHA = 1.6732632423543772;

/** A number option as a constant of the arithmetic. */
function number<T, M>(o: Arithmetic<T, M>, option: number | boolean): T {
  return o.constant(option as number);
}

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
    forward: (o, z) => o.select(o.less(z, o.constant(0)), o.constant(0), z),
    derivative: (o, _z, a) => o.select(o.less(o.constant(0), a), o.constant(1), o.constant(0)),
  },
  leaky_relu: {
    kind: 'elementwise',
    formula: 'z > 0 ? z : negative_slope z',
    derivative_formula: 'z > 0 ? 1 : negative_slope',
    description: 'Rectified linear unit that leaks below 0; its derivative at 0 is negative_slope.',
    options: { negative_slope: { type: 'number', default: 0.01, minimum: 0, description: 'Slope for z ≤ 0.' } },
    range: { minimum: -Infinity, maximum: Infinity },
    kinks: [0],
    relu_family: true,
    forward: (o, z, options) => o.select(o.less(o.constant(0), z), z, o.mul(number(o, options.negative_slope), z)),
    derivative: (o, z, _a, options) =>
      o.select(o.less(o.constant(0), z), o.constant(1), number(o, options.negative_slope)),
  },
  elu: {
    kind: 'elementwise',
    formula: 'z > 0 ? z : alpha (exp(z) - 1)',
    derivative_formula: 'z > 0 ? 1 : alpha exp(z)',
    description: 'Exponential linear unit; its derivative at 0 is alpha.',
    options: { alpha: { type: 'number', default: 1, minimum: 0, description: 'Minus the limit at −Infinity.' } },
    range: { minimum: -Infinity, maximum: Infinity },
    kinks: [0],
    relu_family: true,
    forward: (o, z, options) => exponentialUnit(o, z, number(o, options.alpha)),
    derivative: (o, z, a, options) => exponentialUnitSlope(o, z, a, number(o, options.alpha)),
  },
  selu: {
    kind: 'elementwise',
    formula: '1.0507 (z > 0 ? z : 1.6733 (exp(z) - 1))',
    derivative_formula: '1.0507 (z > 0 ? 1 : 1.6733 exp(z))',
    description: 'Self-normalising exponential linear unit (Klambauer et al., 2017).',
    options: {},
    range: { minimum: -SELU_SCALE * SELU_ALPHA, maximum: Infinity, open_minimum: true },
    kinks: [0],
    relu_family: true,
    forward: (o, z) => o.mul(o.constant(SELU_SCALE), exponentialUnit(o, z, o.constant(SELU_ALPHA))),
    derivative: (o, z, a) => {
      const unscaled = o.mul(a, o.constant(1 / SELU_SCALE));
      return o.mul(o.constant(SELU_SCALE), exponentialUnitSlope(o, z, unscaled, o.constant(SELU_ALPHA)));
    },
  },
  gelu: {
    kind: 'elementwise',
    formula: 'z Phi(z)',
    derivative_formula: 'Phi(z) + z phi(z)',
    description: 'Gaussian error linear unit; Phi is the normal distribution, by erf.',
    options: {},
    range: { minimum: -0.16997120747990366, maximum: Infinity },
    kinks: [],
    relu_family: true,
    forward: gelu,
    derivative: (o, z) => geluSlope(o, z),
  },
  gelu_tanh: {
    kind: 'elementwise',
    formula: 'z/2 (1 + tanh(sqrt(2/pi) (z + 0.044715 z^3)))',
    derivative_formula: 's + z s (1 - s) sqrt(8/pi) (1 + 0.134145 z^2), s = (1 + tanh(…))/2',
    description: 'The approximation of gelu by tanh.',
    options: {},
    range: { minimum: -0.17004075057125406, maximum: Infinity },
    kinks: [],
    relu_family: true,
    forward: geluTanh,
    derivative: (o, z) => geluTanhSlope(o, z),
  },
  silu: {
    kind: 'elementwise',
    formula: 'z sigmoid(z)',
    derivative_formula: 's (1 + z (1 - s)), s = sigmoid(z)',
    description: 'Sigmoid linear unit, also called swish.',
    options: {},
    range: { minimum: -0.2784645427610738, maximum: Infinity },
    kinks: [],
    relu_family: true,
    forward: silu,
    derivative: (o, z) => siluSlope(o, z),
  },
  mish: {
    kind: 'elementwise',
    formula: 'z tanh(softplus(z))',
    derivative_formula: 't + z (1 - t^2) sigmoid(z), t = tanh(softplus(z))',
    description: 'Self-gated unit (Misra, 2019).',
    options: {},
    range: { minimum: -0.30884341301725043, maximum: Infinity },
    kinks: [],
    relu_family: true,
    forward: mish,
    derivative: (o, z) => mishSlope(o, z),
  },
  softplus: {
    kind: 'elementwise',
    formula: 'log(1 + exp(z))',
    derivative_formula: 'sigmoid(z)',
    description: 'Smooth relu, without a threshold from which it would be the identity.',
    options: {},
    range: { minimum: 0, maximum: Infinity, open_minimum: true },
    kinks: [],
    relu_family: true,
    forward: softplus,
    derivative: (o, z) => sigmoid(o, z),
    logarithm: { value: logSoftplus, derivative: logSoftplusSlope },
  },
  softsign: {
    kind: 'elementwise',
    formula: 'z / (1 + |z|)',
    derivative_formula: '1 / (1 + |z|)^2',
    description: 'Sigmoid shape with polynomial tails.',
    options: {},
    range: { minimum: -1, maximum: 1, open_minimum: true, open_maximum: true },
    kinks: [],
    relu_family: false,
    forward: softsign,
    derivative: (o, z) => softsignSlope(o, z),
  },
  tanh: {
    kind: 'elementwise',
    formula: 'tanh(z)',
    derivative_formula: '1 - tanh(z)^2',
    description: 'Hyperbolic tangent.',
    options: {},
    range: { minimum: -1, maximum: 1, open_minimum: true, open_maximum: true },
    kinks: [],
    relu_family: false,
    forward: tanh,
    derivative: (o, z, a) =>
      o.precision === 'float64' ? tanhSlope(o, z) : o.mul(o.sub(o.constant(1), a), o.add(o.constant(1), a)),
  },
  sigmoid: {
    kind: 'elementwise',
    formula: '1 / (1 + exp(-z))',
    derivative_formula: 's (1 - s), s = sigmoid(z)',
    description: 'Logistic function: one probability per unit.',
    options: {},
    range: { minimum: 0, maximum: 1, open_minimum: true, open_maximum: true },
    kinks: [],
    relu_family: false,
    forward: sigmoid,
    derivative: (o, z, a) => (o.precision === 'float64' ? sigmoidSlope(o, z) : o.mul(a, o.sub(o.constant(1), a))),
    logarithm: { value: log_sigmoid, derivative: (o, z) => sigmoid(o, o.neg(z)) },
  },
  softmax: {
    kind: 'rowwise',
    outputs: 'probabilities',
    formula: 'exp(z_k) / sum_i exp(z_i)',
    derivative_formula: 'da_i/dz_j = a_i ((i = j ? 1 : 0) - a_j)',
    description: 'Probabilities over the units of each sample.',
    options: {},
    range: { minimum: 0, maximum: 1, open_minimum: true, open_maximum: true },
    kinks: [],
    relu_family: false,
    forward: softmaxForward,
    backward: softmaxBackward,
  },
  log_softmax: {
    kind: 'rowwise',
    outputs: 'log_probabilities',
    formula: 'z_k - log(sum_i exp(z_i))',
    derivative_formula: 'da_i/dz_j = (i = j ? 1 : 0) - exp(a_j)',
    description: 'Logarithms of the softmax probabilities over the units of each sample.',
    options: {},
    range: { minimum: -Infinity, maximum: 0 },
    kinks: [],
    relu_family: false,
    forward: logSoftmaxForward,
    backward: logSoftmaxBackward,
  },
} as const satisfies Record<string, Activation>;

export type ActivationName = keyof typeof activations;
export type ActivationSpec = Spec<typeof activations>;

/** @throws {RangeError} when the name is unknown. */
export function resolveActivation(spec: ActivationSpec): Resolved<Activation> {
  return resolve<Activation>(activations, spec);
}
