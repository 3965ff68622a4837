/**
 * The optimizers: each one an elementwise update rule, written once for every back end.
 *
 * p parameter, g gradient after clipping, t = 1, 2, … the step, η the scheduled learning rate of the step. Moments
 * ("slots") start at 0 unless stated. What changes once per step (η, 1 − β^t) is computed by `step` in float64, by
 * running products and never by powers, and handed to `update` as scalars. What the options switch (momentum, nesterov,
 * …) is an ordinary `if` on the options, so a compiler that calls `update` emits only the branch in use.
 *
 * Equations and defaults are PyTorch's (torch.optim 2.x) unless an entry says otherwise; `epsilon` is always outside
 * the root, except for adadelta.
 */
import type { Arithmetic } from './arithmetic.ts';
import { exp } from './math/elementary.ts';
import { float64 } from './math/float64.ts';
import {
  adadeltaOptions,
  adagradOptions,
  adamOptions,
  adamwOptions,
  lionOptions,
  nadamOptions,
  rmspropOptions,
  sgdOptions,
} from './optimizer-options.ts';
import { type AnyOptions, type OptionTable, type OptionValues, type Resolved, resolve, type Spec } from './options.ts';

/** A moment kept for every parameter. */
export interface Slot {
  readonly name: string;
  readonly initial: number;
}

/** One parameter, its gradient, and what the optimizer remembers about it. */
export interface Element<T> {
  readonly parameter: T;
  readonly gradient: T;
  /** In the order of `Optimizer.slots`. */
  readonly slots: readonly T[];
  /** Named as `Optimizer.step` names them. */
  readonly scalars: Readonly<Record<string, T>>;
}

/** What becomes of an element in one step. */
export interface Updated<T> {
  readonly parameter: T;
  readonly slots: readonly T[];
}

export interface Optimizer<Options = AnyOptions> {
  readonly formula: string;
  readonly description: string;
  readonly options: OptionTable;
  /** The moments in use under these options. */
  slots(options: Options): readonly Slot[];
  /** Running values kept from step to step (β^t, …) with their value before the first step. */
  readonly running: Readonly<Record<string, number>>;
  /** Advances `running` (in the table's order) by one step and gives the step's scalars, all in float64. */
  step(options: Options, running: Float64Array, learningRate: number): Readonly<Record<string, number>>;
  update<T, M>(o: Arithmetic<T, M>, element: Element<T>, options: Options): Updated<T>;
}

/** Ties the entry's functions to its own options. */
const optimizer = <O extends OptionTable>(
  entry: Omit<Optimizer<OptionValues<O>>, 'options'> & { readonly options: O },
) => entry;

/** g + weight_decay·p: the gradient of ½·weight_decay·p² added to the loss (coupled decay). */
function withDecay<T, M>(o: Arithmetic<T, M>, { gradient, parameter }: Element<T>, weightDecay: number): T {
  return weightDecay === 0 ? gradient : o.mulAdd(o.constant(weightDecay), parameter, gradient);
}

const SMALLEST_NORMAL = { float32: 2 ** -126, float64: 2 ** -1022 } as const;

/**
 * A mean or velocity, or 0 in place of one below the smallest normal number. There β·m rounds to m itself, so that of a unit
 * whose gradient has become 0 would stay there for good, and processors are slow with such numbers. Not for mean squares:
 * they are divided by, and their roots are far larger.
 */
function settled<T, M>(o: Arithmetic<T, M>, moment: T): T {
  return o.select(o.less(o.abs(moment), o.constant(SMALLEST_NORMAL[o.precision])), o.constant(0), moment);
}

/** β·mean + (1 − β)·x. */
function movingMean<T, M>(o: Arithmetic<T, M>, beta: number, mean: T, x: T): T {
  return settled(o, o.mulAdd(o.constant(beta), mean, o.mul(o.constant(1 - beta), x)));
}

/** β·mean + ((1 − β)·g)·g: as a product of g², the term would overflow a little earlier. */
function movingMeanSquare<T, M>(o: Arithmetic<T, M>, beta: number, mean: T, g: T): T {
  return o.mulAdd(o.constant(beta), mean, o.mul(o.mul(o.constant(1 - beta), g), g));
}

/** p − rate·direction. */
function descend<T, M>(o: Arithmetic<T, M>, parameter: T, rate: T, direction: T): T {
  return o.mulAdd(o.neg(rate), direction, parameter);
}

const sgd = optimizer({
  formula: 'v ← μ·v + g (v = g at t = 1); p ← p − η·v; nesterov: p ← p − η·(g + μ·v)',
  description:
    'Stochastic gradient descent, with momentum if asked for. η stands outside v; dampening is 0; coupled decay.',
  options: sgdOptions,
  slots: (options) => (options.momentum === 0 ? [] : [{ name: 'velocity', initial: 0 }]),
  running: {},
  step: (_options, _running, rate) => ({ rate }),
  update: (o, element, options) => {
    const g = withDecay(o, element, options.weight_decay);
    const { rate } = element.scalars;
    if (options.momentum === 0) return { parameter: descend(o, element.parameter, rate, g), slots: [] };
    // v starts at 0, so v = g at t = 1 needs no case of its own.
    const mu = o.constant(options.momentum);
    const velocity = settled(o, o.mulAdd(mu, element.slots[0], g));
    const direction = options.nesterov ? o.mulAdd(mu, velocity, g) : velocity;
    return { parameter: descend(o, element.parameter, rate, direction), slots: [velocity] };
  },
});

const rmsprop = optimizer({
  formula: 'v ← α·v + (1−α)·g²; centered: m ← α·m + (1−α)·g, v̂ = v − m²; u = g/(√v̂ + ε); b ← μ·b + u; p ← p − η·b',
  description:
    'Divides by the root of a running mean of squares. Coupled decay. Deviation: v − m² is held at 0 or above, where PyTorch gets NaN once rounding takes it below.',
  options: rmspropOptions,
  slots: (options) => [
    { name: 'mean_square', initial: 0 },
    ...(options.centered ? [{ name: 'mean', initial: 0 }] : []),
    ...(options.momentum === 0 ? [] : [{ name: 'velocity', initial: 0 }]),
  ],
  running: {},
  step: (_options, _running, rate) => ({ rate }),
  update: (o, element, options) => {
    const g = withDecay(o, element, options.weight_decay);
    const { rate } = element.scalars;
    const slots = [movingMeanSquare(o, options.alpha, element.slots[0], g)];
    let variance = slots[0];
    if (options.centered) {
      const mean = movingMean(o, options.alpha, element.slots[1], g);
      slots.push(mean);
      variance = o.maximum(o.sub(variance, o.mul(mean, mean)), o.constant(0));
    }
    let direction = o.div(g, o.add(o.sqrt(variance), o.constant(options.epsilon)));
    if (options.momentum !== 0) {
      direction = settled(o, o.mulAdd(o.constant(options.momentum), element.slots[slots.length], direction));
      slots.push(direction);
    }
    return { parameter: descend(o, element.parameter, rate, direction), slots };
  },
});

const adagrad = optimizer({
  formula: 's ← s + g²; p ← p − η/(1 + (t−1)·learning_rate_decay) · g/(√s + ε)',
  description:
    'Divides by the root of the sum of all squares so far, which starts at initial_accumulator_value. Coupled decay.',
  options: adagradOptions,
  slots: (options) => [{ name: 'sum_of_squares', initial: options.initial_accumulator_value }],
  running: { steps: 0 },
  step: (options, running, rate) => {
    const decayed = rate / (1 + running[0] * options.learning_rate_decay);
    running[0] += 1;
    return { rate: decayed };
  },
  update: (o, element, options) => {
    const g = withDecay(o, element, options.weight_decay);
    const sum = o.mulAdd(g, g, element.slots[0]);
    const direction = o.div(g, o.add(o.sqrt(sum), o.constant(options.epsilon)));
    return { parameter: descend(o, element.parameter, element.scalars.rate, direction), slots: [sum] };
  },
});

const adadelta = optimizer({
  formula: 'v ← ρ·v + (1−ρ)·g²; Δ = √(u + ε)/√(v + ε) · g; u ← ρ·u + (1−ρ)·Δ²; p ← p − η·Δ',
  description:
    'Steps in the units of the parameter (Zeiler 2012, arXiv:1212.5701); ε is inside the roots. Coupled decay.',
  options: adadeltaOptions,
  slots: () => [
    { name: 'mean_square', initial: 0 },
    { name: 'mean_square_step', initial: 0 },
  ],
  running: {},
  step: (_options, _running, rate) => ({ rate }),
  update: (o, element, options) => {
    const g = withDecay(o, element, options.weight_decay);
    const eps = o.constant(options.epsilon);
    const meanSquare = movingMeanSquare(o, options.rho, element.slots[0], g);
    const delta = o.mul(o.div(o.sqrt(o.add(element.slots[1], eps)), o.sqrt(o.add(meanSquare, eps))), g);
    const meanSquareStep = movingMeanSquare(o, options.rho, element.slots[1], delta);
    const parameter = descend(o, element.parameter, element.scalars.rate, delta);
    return { parameter, slots: [meanSquare, meanSquareStep] };
  },
});

type AdamOptions = OptionValues<typeof adamOptions>;

const adamSlots = (options: AdamOptions): readonly Slot[] => [
  { name: 'mean', initial: 0 },
  { name: 'mean_square', initial: 0 },
  ...(options.amsgrad ? [{ name: 'largest_mean_square', initial: 0 }] : []),
];

/** β1^t and β2^t grow by one factor; η/(1 − β1^t) and 1/√(1 − β2^t) go to the elements. */
function adamStep(options: AdamOptions, running: Float64Array, rate: number) {
  running[0] *= options.beta1;
  running[1] *= options.beta2;
  return {
    rate: rate / (1 - running[0]),
    root_scale: 1 / Math.sqrt(1 - running[1]),
    shrink: 1 - rate * options.weight_decay,
  };
}

/** The part that adam and adamw share: the update of `parameter` along the gradient `g`. */
function adamUpdate<T, M>(
  o: Arithmetic<T, M>,
  element: Element<T>,
  options: AdamOptions,
  parameter: T,
  g: T,
): Updated<T> {
  const mean = movingMean(o, options.beta1, element.slots[0], g);
  const meanSquare = movingMeanSquare(o, options.beta2, element.slots[1], g);
  const slots = [mean, meanSquare];
  if (options.amsgrad) slots.push(o.maximum(element.slots[2], meanSquare));
  // √(v/(1 − β2^t)) = √v · 1/√(1 − β2^t): a product where PyTorch divides.
  const root = o.sqrt(slots[slots.length - 1]);
  const denominator = o.mulAdd(root, element.scalars.root_scale, o.constant(options.epsilon));
  return { parameter: descend(o, parameter, element.scalars.rate, o.div(mean, denominator)), slots };
}

const adam = optimizer({
  formula: 'm ← β1·m + (1−β1)·g; v ← β2·v + (1−β2)·g²; p ← p − η·(m/(1−β1^t)) / (√(v/(1−β2^t)) + ε)',
  description:
    'Adam (Kingma, Ba 2014, arXiv:1412.6980). Coupled decay: g + weight_decay·p enters both moments. AMSGrad takes the maximum before the bias correction.',
  options: adamOptions,
  slots: adamSlots,
  running: { beta1_power: 1, beta2_power: 1 },
  step: adamStep,
  update: (o, element, options) =>
    adamUpdate(o, element, options, element.parameter, withDecay(o, element, options.weight_decay)),
});

const adamw = optimizer({
  formula: 'p ← p·(1 − η·weight_decay), then adam with the raw g',
  description: 'Adam with decoupled decay (Loshchilov, Hutter 2017, arXiv:1711.05101).',
  options: adamwOptions,
  slots: adamSlots,
  running: { beta1_power: 1, beta2_power: 1 },
  step: adamStep,
  update: (o, element, options) => {
    const shrunk = options.weight_decay === 0 ? element.parameter : o.mul(element.parameter, element.scalars.shrink);
    return adamUpdate(o, element, options, shrunk, element.gradient);
  },
});

/** ln 0.96, the base of NAdam's momentum schedule. */
const LOG_0_96 = -0.040821994520255166;

/** μ_t = β1·(1 − 0.5·0.96^(t·ψ)). */
const nadamMomentum = (beta1: number, psi: number, t: number) => beta1 * (1 - 0.5 * exp(float64, t * psi * LOG_0_96));

const nadam = optimizer({
  formula:
    'μ_t = β1·(1 − 0.5·0.96^(t·ψ)); m, v as in adam; p ← p − (η·(1−μ_t)/(1−Πμ_1..t)·g + η·μ_{t+1}/(1−Πμ_1..t+1)·m) / (√(v/(1−β2^t)) + ε)',
  description:
    "Adam with Nesterov momentum (Dozat 2016) in PyTorch's form: momentum schedule with base 0.96, coupled decay.",
  options: nadamOptions,
  slots: () => [
    { name: 'mean', initial: 0 },
    { name: 'mean_square', initial: 0 },
  ],
  running: { steps: 0, momentum_product: 1, beta2_power: 1 },
  step: ({ beta1, beta2, momentum_decay: psi }, running, rate) => {
    running[0] += 1;
    const now = nadamMomentum(beta1, psi, running[0]);
    const next = nadamMomentum(beta1, psi, running[0] + 1);
    running[1] *= now;
    running[2] *= beta2;
    return {
      gradient_rate: (rate * (1 - now)) / (1 - running[1]),
      mean_rate: (rate * next) / (1 - running[1] * next),
      root_scale: 1 / Math.sqrt(1 - running[2]),
    };
  },
  update: (o, element, options) => {
    const g = withDecay(o, element, options.weight_decay);
    const { gradient_rate, mean_rate, root_scale } = element.scalars;
    const mean = movingMean(o, options.beta1, element.slots[0], g);
    const meanSquare = movingMeanSquare(o, options.beta2, element.slots[1], g);
    const denominator = o.mulAdd(o.sqrt(meanSquare), root_scale, o.constant(options.epsilon));
    const afterGradient = descend(o, element.parameter, gradient_rate, o.div(g, denominator));
    return { parameter: descend(o, afterGradient, mean_rate, o.div(mean, denominator)), slots: [mean, meanSquare] };
  },
});

/** −1, 0 or 1; NaN stays NaN. */
function sign<T, M>(o: Arithmetic<T, M>, x: T): T {
  const zero = o.constant(0);
  return o.select(o.less(x, zero), o.constant(-1), o.select(o.less(zero, x), o.constant(1), o.mul(x, zero)));
}

const lion = optimizer({
  formula: 'p ← p·(1 − η·weight_decay) − η·sign(β1·m + (1−β1)·g); m ← β2·m + (1−β2)·g',
  description:
    'Sign of an interpolated momentum (Chen et al. 2023, arXiv:2302.06675, program 1). Decoupled decay; not in torch.optim. sign(0) = 0.',
  options: lionOptions,
  slots: () => [{ name: 'mean', initial: 0 }],
  running: {},
  step: (options, _running, rate) => ({ rate, shrink: 1 - rate * options.weight_decay }),
  update: (o, element, options) => {
    const g = element.gradient;
    const direction = sign(o, movingMean(o, options.beta1, element.slots[0], g));
    const shrunk = options.weight_decay === 0 ? element.parameter : o.mul(element.parameter, element.scalars.shrink);
    const mean = movingMean(o, options.beta2, element.slots[0], g);
    return { parameter: descend(o, shrunk, element.scalars.rate, direction), slots: [mean] };
  },
});

export const optimizers = { sgd, rmsprop, adagrad, adadelta, adam, adamw, nadam, lion } as const satisfies Record<
  string,
  Optimizer
>;

export type OptimizerName = keyof typeof optimizers;
export type OptimizerSpec = Spec<typeof optimizers>;

/** The optimizer with every option given a value. */
export function resolveOptimizer(spec: OptimizerSpec): Resolved<Optimizer> {
  return resolve<Optimizer>(optimizers, spec);
}

/** The options that hold for biases, gamma and beta: without decay unless `decay_biases`. */
export function biasOptions(options: Resolved<Optimizer>['options']): Resolved<Optimizer>['options'] {
  return options.decay_biases ? options : { ...options, weight_decay: 0 };
}

/** The running values before the first step, in the order of the entry's table. */
export function initialRunning(optimizer: Resolved<Optimizer>): Float64Array {
  return Float64Array.from(Object.values(optimizer.entry.running));
}
