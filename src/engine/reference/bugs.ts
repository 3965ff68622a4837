/** Known mistakes of hand-written backpropagation: what `simulate_bug` reproduces and a gradient audit recognises. */
import type { Plan } from '../backend.ts';
import {
  afterwards,
  batchAxisDelta,
  derivativeOnPreActivation,
  derivativesOnPreActivation,
  derivativeTwice,
  hiddenLayers,
  lastRowBias,
  type Mistake,
  maskable,
  maskFromLayer,
  offByOne,
  outputDelta,
  outputOf,
  rowAxisDelta,
  scaleAll,
  scaleBiases,
  shiftable,
  softmaxOverBatch,
  transposed,
  updatedWeights,
} from './mistakes.ts';
import { correctRules, type PassRules } from './rules.ts';

export interface Bug {
  /** What the wrong code computes. */
  readonly computes: string;
  /** The line of code it usually comes from. */
  readonly usual_line: string;
  /** How to mend it. */
  readonly mending: string;
  /** Whether its numbers depend on the learning rate. */
  readonly needs_learning_rate?: boolean;
  /** Why the mistake cannot be made in this network, or null when it can. */
  applies(plan: Plan): string | null;
  /** The forms the mistake takes. */
  readonly variants: Readonly<Record<string, Mistake>>;
  /** The form meant when none is named; the first unless given. */
  usual?(plan: Plan): string;
}

const always = () => null;
const unless = (holds: boolean, reason: string) => (holds ? null : reason);

const isNamed = (activation: { readonly name: string }, ...names: readonly string[]) => names.includes(activation.name);
const needsMean = (plan: Plan) => unless(plan.reduction !== 'sum', 'the loss is a sum: there is no mean to take');
const needsBiases = (plan: Plan) =>
  unless(
    plan.layers.some((layer) => layer.biases !== null),
    'no layer has biases',
  );
const needsHidden = (plan: Plan) => unless(plan.layers.length > 1, 'there is no hidden layer');
const needsSoftmax = (plan: Plan) =>
  unless(isNamed(outputOf(plan).activation, 'softmax'), 'the output layer is not softmax');
const needsPenalty = (plan: Plan) =>
  unless(
    plan.layers.some(({ l1, l2 }) => l1 !== 0 || l2 !== 0),
    'no layer has l1 or l2',
  );

/** In the order in which a pair of bugs is put in: forward before δ_L before the rest. */
export const bugs = {
  softmax_over_batch_axis: {
    computes: 'softmax normalised over the samples of the batch instead of the units; the forward values differ too',
    usual_line: 'tf.nn.softmax(Z) on an array of shape (classes, samples)',
    mending: 'normalise over the classes of each sample: tf.nn.softmax(Z, axis=0) for that shape',
    applies: needsSoftmax,
    variants: {
      its_own_derivative: softmaxOverBatch(batchAxisDelta),
      derivative_over_units: softmaxOverBatch(rowAxisDelta),
    },
  },
  derivative_on_pre_activation: {
    computes: "f' written in terms of a but given z: sigmoid and softmax z·(1 − z), tanh 1 − z²",
    usual_line: 'mat * (1 - mat), called with Z',
    mending: 'call the derivative with the activation A, or write it in terms of Z: sigmoid(Z) * (1 - sigmoid(Z))',
    applies: (plan) =>
      unless(
        plan.layers.some(({ activation }) => derivativesOnPreActivation[activation.name] !== undefined),
        'no layer has an activation whose derivative is written in terms of a',
      ),
    variants: { every_layer: derivativeOnPreActivation(true), output_layer: derivativeOnPreActivation(false) },
  },
  output_derivative_missing: {
    computes: "δ_L = dLoss/da: the output activation's derivative is left out",
    usual_line: 'dZ = dA in the last layer',
    mending:
      "multiply by the output activation's derivative, or use the joined form a − y where the loss is cross-entropy",
    applies: (plan) => unless(!isNamed(outputOf(plan).activation, 'linear'), 'the derivative of a linear output is 1'),
    variants: { usual: outputDelta(() => 1) },
  },
  hidden_derivative_missing: {
    computes: 'δ_l = Wᵀδ for every hidden layer, without f′(z)',
    usual_line: 'dZ = W.T @ dZ_next in the hidden layers',
    mending: "multiply by the hidden activation's derivative: dZ = (W.T @ dZ_next) * f_prime(Z)",
    applies: (plan) =>
      needsHidden(plan) ??
      unless(
        hiddenLayers(plan).some(({ activation }) => !isNamed(activation, 'linear')),
        'all hidden layers are linear',
      ),
    variants: { usual: (rules) => ({ ...rules, throughActivation() {} }) },
  },
  derivative_applied_twice: {
    computes: 'δ_L = (a − y)·a(1 − a): the joined delta of cross-entropy, multiplied by the derivative again',
    usual_line: 'dZ = (A - Y) * A * (1 - A)',
    mending: 'a − y is dLoss/dz already: leave the derivative out',
    applies: (plan) =>
      unless(
        isNamed(outputOf(plan).activation, 'sigmoid', 'softmax') && plan.loss.name.endsWith('cross_entropy'),
        'the joined delta a − y belongs to sigmoid or softmax with cross-entropy',
      ),
    variants: { usual: derivativeTwice },
  },
  softmax_diagonal_only: {
    computes: "δ_L = dLoss/da·a(1 − a) on softmax: the Jacobian's off-diagonal is dropped",
    usual_line: 'dZ = dA * A * (1 - A)',
    mending: 'use the whole Jacobian: dZ = A * (dA - (dA * A).sum(over classes))',
    applies: needsSoftmax,
    variants: { usual: outputDelta((a) => a * (1 - a)) },
  },
  wrong_sign: {
    computes: 'every gradient negated',
    usual_line: 'dA = Y / A - (1 - Y) / (1 - A), or W += learning_rate * dW',
    mending: 'the gradient points uphill: dA = -(Y / A - (1 - Y) / (1 - A)) and W -= learning_rate * dW',
    applies: always,
    variants: { usual: afterwards((pass) => scaleAll(pass.gradients, -1)) },
  },
  sum_instead_of_mean: {
    computes: 'every gradient × m',
    usual_line: 'dW = dZ @ A_prev.T',
    mending: 'divide by the number of samples in the batch',
    applies: needsMean,
    variants: { usual: afterwards((pass) => scaleAll(pass.gradients, pass.rows)) },
  },
  mean_applied_twice: {
    computes: 'every gradient ÷ m',
    usual_line: 'dA = … / m, and later dW = dZ @ A_prev.T / m',
    mending: 'divide by the number of samples once',
    applies: needsMean,
    variants: { usual: afterwards((pass) => scaleAll(pass.gradients, 1 / pass.rows)) },
  },
  bias_not_averaged: {
    computes: 'bias gradients × m, weight gradients right',
    usual_line: 'db = dZ.sum(axis=1)',
    mending: 'divide the sum over the samples by m, as for the weights',
    applies: (plan) => needsBiases(plan) ?? needsMean(plan),
    variants: { usual: afterwards(scaleBiases) },
  },
  bias_not_summed: {
    computes: 'bias gradient = δ of the last sample of the batch ÷ m',
    usual_line: 'db = dZ[:, -1] / m, or db overwritten in the loop over the samples',
    mending: 'sum δ over all samples of the batch',
    applies: needsBiases,
    variants: { usual: lastRowBias },
  },
  weights_updated_before_backward: {
    computes: "Wᵀδ with W already updated by this step's gradient",
    usual_line: 'W -= learning_rate * dW, followed by dA_prev = W.T @ dZ',
    mending: 'compute dA_prev before the update, or update all layers after the backward pass',
    needs_learning_rate: true,
    applies: needsHidden,
    variants: { usual: updatedWeights },
  },
  transposed_weights: {
    computes: 'Wδ instead of Wᵀδ',
    usual_line: 'dA_prev = W @ dZ, which fits only square layers',
    mending: 'dA_prev = W.T @ dZ',
    applies: (plan) =>
      needsHidden(plan) ??
      unless(
        plan.layers.slice(1).some((layer) => layer.units === layer.input_size),
        'no layer above the first is square',
      ),
    variants: { usual: transposed },
  },
  relu_mask_from_wrong_layer: {
    computes: 'the relu mask of the layer below or above',
    usual_line: 'dZ[Z_prev <= 0] = 0, an index too low or too high in the list of caches',
    mending: 'mask with the pre-activations of the same layer',
    applies: (plan) =>
      unless(
        maskable(plan, -1).length + maskable(plan, 1).length > 0,
        'no hidden relu layer has a neighbour of its own width',
      ),
    variants: { layer_below: maskFromLayer(-1), layer_above: maskFromLayer(1) },
    usual: (plan) => (maskable(plan, -1).length > 0 ? 'layer_below' : 'layer_above'),
  },
  layer_off_by_one: {
    computes: 'the gradients of layer l reported for layer l + 1',
    usual_line: 'grads["dW" + str(l + 1)] = dW',
    mending: 'store the gradients under the number of their own layer',
    applies: (plan) => unless(shiftable(plan).length > 0, 'no two neighbouring layers have equal shapes'),
    variants: { usual: offByOne },
  },
  regularization_missing: {
    computes: 'the gradient of the l1 and l2 terms left out',
    usual_line: 'dW = dZ @ A_prev.T / m',
    mending: 'add 2·l2·W + l1·sign(W)',
    applies: needsPenalty,
    variants: { usual: (rules) => ({ ...rules, regularizationTimes: 0 }) },
  },
  regularization_doubled: {
    computes: 'the gradient of the l1 and l2 terms counted twice',
    usual_line: 'dW += 2 * l2 * W, and weight decay in the optimizer too',
    mending: 'add the term once',
    applies: needsPenalty,
    variants: { usual: (rules) => ({ ...rules, regularizationTimes: 2 }) },
  },
} as const satisfies Record<string, Bug>;

export type BugName = keyof typeof bugs;
export const bugNames = Object.keys(bugs) as readonly BugName[];

/** A bug by name, with the form it takes; the usual one unless given. */
export type ChosenBug = string | { readonly bug: string; readonly variant: string };

/**
 * The rules with the named bugs put in, in the order of the table whatever the order of the names.
 * @throws {RangeError} when a name or variant is unknown
 */
export function simulatedRules(chosen: readonly ChosenBug[], plan: Plan, learningRate = 0): PassRules {
  const named = chosen.map((choice) => (typeof choice === 'string' ? { bug: choice, variant: undefined } : choice));
  for (const { bug } of named)
    if (!Object.hasOwn(bugs, bug)) throw new RangeError(`unknown bug ${JSON.stringify(bug)}`);
  const ordered = named.toSorted((a, b) => bugNames.indexOf(a.bug as BugName) - bugNames.indexOf(b.bug as BugName));
  let rules = correctRules;
  for (const { bug, variant } of ordered) {
    const { variants, usual }: Bug = bugs[bug as BugName];
    const mistake = variants[variant ?? usual?.(plan) ?? Object.keys(variants)[0]];
    if (mistake === undefined) throw new RangeError(`${bug} has no variant ${JSON.stringify(variant)}`);
    rules = mistake(rules, { plan, learning_rate: learningRate });
  }
  return rules;
}
