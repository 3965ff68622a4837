/** The losses: one table from which types, validation, catalog and back ends derive. */
import type { Arithmetic } from './arithmetic.ts';
import type { Reduction } from './definition.ts';
import type { Interval } from './interval.ts';
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
  /** The term of one output. For label targets y is 1 at the labelled unit and 0 elsewhere. */
  value<T, M>(o: Arithmetic<T, M>, a: T, y: T, options: LossOptions): T;
  /** d value / da; at a kink the subgradient of PyTorch. */
  derivative<T, M>(o: Arithmetic<T, M>, a: T, y: T, options: LossOptions): T;
}

const everything: Interval = { minimum: -Infinity, maximum: Infinity };

export const losses = {
  mean_squared_error: {
    formula: '(a - y)^2',
    derivative_formula: '2 (a - y)',
    description: 'Squared error, without the factor 1/2.',
    options: {},
    target_domain: { kind: 'interval', ...everything },
    output_domain: everything,
    domain_reason: '',
    categorical: false,
    value: (o, a, y) => o.mul(o.sub(a, y), o.sub(a, y)),
    derivative: (o, a, y) => o.mul(o.constant(2), o.sub(a, y)),
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
