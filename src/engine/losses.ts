/** The losses: one table from which types, validation, catalog and back ends derive. */
import type { Arithmetic } from './arithmetic.ts';
import type { Reduction } from './definition.ts';
import type { Interval } from './interval.ts';
import { tanh } from './math/elementary.ts';
import { type Likelihood, likelihoodOfOutput, likelihoodSlope } from './math/likelihood.ts';
import { clamp, huber, logCosh, sign } from './math/residual.ts';
import { type NamedSpec, type OptionTable, type Resolved, resolve } from './options.ts';

/** What the targets of a loss must be. */
export type TargetDomain =
  | ({ readonly kind: 'interval' } & Interval)
  /** Each row non-negative with the sum 1. */
  | { readonly kind: 'distribution' }
  /** One integer per row: the index of the right unit, 0 … units − 1. */
  | { readonly kind: 'label' }
  | { readonly kind: 'values'; readonly values: readonly number[] };

export type LossOptions = Readonly<Record<string, number | boolean>>;

/** A loss is a sum of one term per output; a is the output, y its target. */
export interface Loss {
  readonly formula: string;
  /** d/da of the formula. */
  readonly derivative_formula: string;
  readonly description: string;
  readonly options: OptionTable;
  /** The targets that the loss can be taken of. */
  readonly target_domain: TargetDomain;
  /** The outputs that the loss is defined for. */
  readonly output_domain: Interval;
  /** Completes "<loss> …" when an activation leaves the domain: "takes the logarithm of the output". */
  readonly domain_reason: string;
  /** One term per sample rather than per output: its `mean` is over the batch alone. */
  readonly categorical: boolean;
  readonly likelihood: Likelihood | null;
  /** The term of one output. For label targets y is 1 at the labelled unit and 0 elsewhere. */
  value<T, M>(o: Arithmetic<T, M>, a: T, y: T, options: LossOptions): T;
  /** d value / da; at a kink the subgradient of PyTorch. */
  derivative<T, M>(o: Arithmetic<T, M>, a: T, y: T, options: LossOptions): T;
}

const everything: Interval = { minimum: -Infinity, maximum: Infinity };
const anyTarget: TargetDomain = { kind: 'interval', ...everything };
/** Of the losses that are defined for every output. */
const regression = { output_domain: everything, domain_reason: '', categorical: false, likelihood: null } as const;

/** The part of an entry that follows from being of the likelihood family. */
function likelihood(terms: Likelihood) {
  return {
    likelihood: terms,
    output_domain: terms.complement
      ? { minimum: 0, maximum: 1, open_minimum: true, open_maximum: true }
      : { minimum: 0, maximum: Infinity, open_minimum: true },
    domain_reason: terms.complement
      ? 'takes the logarithms of the output and of 1 minus the output'
      : 'takes the logarithm of the output',
    value: <T, M>(o: Arithmetic<T, M>, a: T, y: T): T => likelihoodOfOutput(o, terms, a, y),
    derivative: <T, M>(o: Arithmetic<T, M>, a: T, y: T): T => likelihoodSlope(o, terms, a, y),
  } as const;
}

const plainLogarithm = likelihood({ linear: 0, complement: false, entropy: false });

export const losses = {
  mean_squared_error: {
    ...regression,
    formula: '(a - y)^2',
    derivative_formula: '2 (a - y)',
    description: 'Squared error, without the factor 1/2.',
    options: {},
    target_domain: anyTarget,
    value: (o, a, y) => o.mul(o.sub(a, y), o.sub(a, y)),
    derivative: (o, a, y) => o.mul(o.constant(2), o.sub(a, y)),
  },
  mean_absolute_error: {
    ...regression,
    formula: '|a - y|',
    derivative_formula: 'sign(a - y)',
    description: 'Absolute error; its derivative at 0 is 0.',
    options: {},
    target_domain: anyTarget,
    value: (o, a, y) => o.abs(o.sub(a, y)),
    derivative: (o, a, y) => sign(o, o.sub(a, y)),
  },
  huber: {
    ...regression,
    formula: 'd = |a - y|; d <= delta ? d^2 / 2 : delta (d - delta / 2)',
    derivative_formula: 'a - y, cut off at -delta and delta',
    description: 'Squared error near 0, absolute error farther out.',
    options: {
      delta: { type: 'number', default: 1, exclusive_minimum: 0, description: 'Where the square ends.' },
    },
    target_domain: anyTarget,
    value: (o, a, y, options) => huber(o, o.abs(o.sub(a, y)), o.constant(options.delta as number)),
    derivative: (o, a, y, options) => clamp(o, o.sub(a, y), o.constant(options.delta as number)),
  },
  log_cosh: {
    ...regression,
    formula: 'log(cosh(a - y))',
    derivative_formula: 'tanh(a - y)',
    description: 'Smooth absolute error: d^2 / 2 near 0, |d| - log 2 far out.',
    options: {},
    target_domain: anyTarget,
    value: (o, a, y) => logCosh(o, o.sub(a, y)),
    derivative: (o, a, y) => tanh(o, o.sub(a, y)),
  },
  binary_cross_entropy: {
    ...likelihood({ linear: 0, complement: true, entropy: false }),
    formula: '-(y log(a) + (1 - y) log(1 - a))',
    derivative_formula: '-y/a + (1 - y)/(1 - a)',
    description: 'One independent yes or no per output; targets from 0 to 1.',
    options: {},
    target_domain: { kind: 'interval', minimum: 0, maximum: 1 },
    categorical: false,
  },
  categorical_cross_entropy: {
    ...plainLogarithm,
    formula: '-sum_k y_k log(a_k)',
    derivative_formula: '-y_k/a_k',
    description: 'One class per sample; targets one-hot or a distribution.',
    options: {},
    target_domain: { kind: 'distribution' },
    categorical: true,
  },
  sparse_categorical_cross_entropy: {
    ...plainLogarithm,
    formula: '-log(a_label)',
    derivative_formula: 'k = label ? -1/a_k : 0',
    description: 'One class per sample; targets are the labels 0, 1, ….',
    options: {},
    target_domain: { kind: 'label' },
    categorical: true,
  },
  kl_divergence: {
    ...likelihood({ linear: 0, complement: false, entropy: true }),
    formula: 'sum_k y_k log(y_k / a_k)',
    derivative_formula: '-y_k/a_k',
    description: 'Kullback–Leibler divergence of the outputs from the targets, both distributions.',
    options: {},
    target_domain: { kind: 'distribution' },
    categorical: true,
  },
  poisson: {
    ...likelihood({ linear: 1, complement: false, entropy: false }),
    formula: 'a - y log(a)',
    derivative_formula: '1 - y/a',
    description: 'Counts; the output is the rate itself (not its logarithm) and nothing is added to it.',
    options: {},
    target_domain: { kind: 'interval', minimum: 0, maximum: Infinity },
    categorical: false,
  },
  hinge: {
    ...regression,
    formula: 'max(0, 1 - y a)',
    derivative_formula: 'y a < 1 ? -y : 0',
    description: 'Maximum margin; targets are -1 or 1.',
    options: {},
    target_domain: { kind: 'values', values: [-1, 1] },
    value: (o, a, y) => o.maximum(o.sub(o.constant(1), o.mul(y, a)), o.constant(0)),
    derivative: (o, a, y) => o.select(o.less(o.mul(y, a), o.constant(1)), o.neg(y), o.constant(0)),
  },
} as const satisfies Record<string, Loss>;

export type LossName = keyof typeof losses;

/** A name, or an object with the loss's options and the reduction. */
export type LossSpec =
  | LossName
  | { [N in LossName]: NamedSpec<typeof losses, N> & { readonly reduction?: Reduction | undefined } }[LossName];

/** What a client gets who says nothing: the mean over batch and outputs. */
export const defaultReduction: Reduction = 'mean';

/** @throws {RangeError} when the name is unknown. */
export function resolveLoss(spec: LossSpec): { readonly loss: Resolved<Loss>; readonly reduction: Reduction } {
  const reduction = typeof spec === 'string' ? undefined : spec.reduction;
  return { loss: resolve<Loss>(losses, spec), reduction: reduction ?? defaultReduction };
}

/**
 * The constant that turns the sum of all row losses of a batch, and every gradient of it, into the reduced ones.
 * `mean`: over batch and outputs (categorical: over the batch). `batch_mean`: over the batch. `sum`: 1.
 */
export function reductionScale(loss: Loss, reduction: Reduction, batch: number, outputs: number): number {
  if (reduction === 'sum') return 1;
  return reduction === 'mean' && !loss.categorical ? 1 / (batch * outputs) : 1 / batch;
}
