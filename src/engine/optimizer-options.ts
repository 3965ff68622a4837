/** The options of the optimizers with PyTorch's defaults. */
import type { NumberOption, OptionTable } from './options.ts';

/** An option that may be left out. */
type NumberDefault = NumberOption & { readonly default: number };

const learningRate = (initial: number): NumberDefault => ({
  type: 'number',
  default: initial,
  minimum: 0,
  description: 'Step size before the schedule.',
});
const epsilon = (initial: number): NumberDefault => ({
  type: 'number',
  default: initial,
  minimum: 0,
  description: 'Added to the denominator, so that it cannot be 0.',
});
const decayRate = (initial: number, what: string): NumberDefault => ({
  type: 'number',
  default: initial,
  minimum: 0,
  exclusive_maximum: 1,
  description: `Decay rate of ${what}.`,
});
const momentum = {
  type: 'number',
  default: 0,
  minimum: 0,
  description: 'Share of the last step that is carried into the next; 0 = none.',
} as const satisfies NumberOption;

/** Decay that is added to the gradient (l2) or shrinks the parameter (decoupled); each table entry says which. */
const decay = (initial: number) =>
  ({
    weight_decay: { type: 'number', default: initial, minimum: 0, description: 'Strength of the weight decay.' },
    decay_biases: {
      type: 'boolean',
      default: true,
      description: 'Whether biases, gamma and beta decay too, as in PyTorch.',
    },
  }) as const satisfies OptionTable;

export const sgdOptions = {
  learning_rate: learningRate(0.001),
  momentum,
  nesterov: { type: 'boolean', default: false, description: 'Look ahead along the momentum (Nesterov).' },
  ...decay(0),
} as const satisfies OptionTable;

export const rmspropOptions = {
  learning_rate: learningRate(0.01),
  alpha: decayRate(0.99, 'the mean square'),
  epsilon: epsilon(1e-8),
  centered: {
    type: 'boolean',
    default: false,
    description: 'Divide by the standard deviation of g, not its root mean square.',
  },
  momentum,
  ...decay(0),
} as const satisfies OptionTable;

export const adagradOptions = {
  learning_rate: learningRate(0.01),
  learning_rate_decay: {
    type: 'number',
    default: 0,
    minimum: 0,
    description: 'η is divided by 1 + (t − 1)·learning_rate_decay.',
  },
  initial_accumulator_value: { type: 'number', default: 0, minimum: 0, description: 'Start of the sum of squares.' },
  epsilon: epsilon(1e-10),
  ...decay(0),
} as const satisfies OptionTable;

export const adadeltaOptions = {
  learning_rate: learningRate(1),
  rho: decayRate(0.9, 'both mean squares'),
  epsilon: epsilon(1e-6),
  ...decay(0),
} as const satisfies OptionTable;

const betas = { beta1: decayRate(0.9, 'the mean of g'), beta2: decayRate(0.999, 'the mean of g²') } as const;
const amsgrad = {
  type: 'boolean',
  default: false,
  description: 'Divide by the largest mean square so far (AMSGrad).',
} as const;

export const adamOptions = {
  learning_rate: learningRate(0.001),
  ...betas,
  epsilon: epsilon(1e-8),
  amsgrad,
  ...decay(0),
} as const;
export const adamwOptions = {
  learning_rate: learningRate(0.001),
  ...betas,
  epsilon: epsilon(1e-8),
  amsgrad,
  ...decay(0.01),
} as const;
export const nadamOptions = {
  learning_rate: learningRate(0.002),
  ...betas,
  epsilon: epsilon(1e-8),
  momentum_decay: { type: 'number', default: 0.004, minimum: 0, description: 'ψ in μ_t = β1·(1 − 0.5·0.96^(t·ψ)).' },
  ...decay(0),
} as const satisfies OptionTable;

export const lionOptions = {
  learning_rate: learningRate(0.0001),
  beta1: decayRate(0.9, 'the momentum inside the sign'),
  beta2: decayRate(0.99, 'the momentum that is kept'),
  ...decay(0),
} as const satisfies OptionTable;
