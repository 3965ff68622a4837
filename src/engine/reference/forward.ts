/** The forward pass: inputs → pre-activations → normalization → activations → dropout, layer by layer, then the loss. */
import type { FloatArray, Plan } from '../backend.ts';
import { dropoutForward, dropoutMask } from '../dropout.ts';
import { normalizeForward } from '../normalization.ts';
import { multiply } from './matrix.ts';
import { createPass, type Pass, setPass, type Values } from './pass.ts';
import { batchScale, correctRules, type LayerContext, type PassRules } from './rules.ts';

const NO_TARGETS = new Float64Array(0);

/** `predict`: running statistics and no dropout. Otherwise the batch's statistics, and the masks of (seed, step). */
export type Mode = 'predict' | { readonly seed: number; readonly step: number };

/** Carries the pass's inputs through all layers. */
export function forward(pass: Pass, mode: Mode, rules: PassRules = correctRules): void {
  let inputs = pass.inputs;
  for (const [index, current] of pass.layers.entries()) {
    current.inputs = inputs;
    const context = { pass, index, current, layer: current.layer };
    affine(context);
    normalize(context, mode);
    rules.activate(context);
    drop(context, mode);
    inputs = current.outputs;
  }
}

/** z = inputs·Wᵀ + b, the bias added last. */
function affine({ pass: { plan, o, parameters, rows, between_rows }, current, layer }: LayerContext): void {
  const { units, input_size: count, biases } = layer;
  const inputs = { values: current.inputs, offset: 0, outer: count, inner: 1 };
  const weights = { values: parameters, offset: layer.weights.offset, outer: count, inner: 1 };
  const z = current.pre_activations;
  multiply(plan.precision, inputs, weights, z, 0, [rows, units, count], between_rows);
  if (biases === null) return;
  for (let i = 0, unit = 0; i < rows * units; i++, unit = unit + 1 === units ? 0 : unit + 1) {
    z[i] = o.add(z[i], parameters[biases.offset + unit]);
  }
}

function normalize({ pass, current, layer }: LayerContext, mode: Mode): void {
  if (layer.normalization === null || current.normalization === null) return;
  const { o, parameters, rows } = pass;
  const statistics = mode === 'predict' ? pass.statistics : null;
  const { pre_activations: z, activation_inputs: y, normalization: cache } = current;
  normalizeForward(o, layer.normalization, z, parameters, statistics, cache, y, [rows, layer.units]);
}

function drop({ pass: { o }, current, layer }: LayerContext, mode: Mode): void {
  if (current.mask === null) return;
  if (mode === 'predict') current.mask.fill(1);
  else dropoutMask(o, layer.dropout, { ...mode, layer: layer.number }, current.mask);
  dropoutForward(o, current.activations, current.mask, current.outputs);
}

/** The loss of the batch: scale·Σ_row weight·loss of the row, rows ascending, without the l1 and l2 terms. */
export function dataLoss(pass: Pass, rules: PassRules = correctRules): number {
  rules.rowLosses(pass);
  const { o, row_losses: losses, row_weights: weights } = pass;
  const scale = batchScale(pass);
  let sum = 0;
  for (let row = 0; row < pass.rows; row++) {
    sum = o.add(sum, weights === null ? losses[row] : o.mul(weights[row], losses[row]));
  }
  const loss = o.mul(scale, sum);
  if (Number.isFinite(loss)) return loss;
  // The sum may overflow where the mean does not: scale each term first.
  let mean = 0;
  for (let row = 0; row < pass.rows; row++) {
    mean = o.add(mean, o.mul(o.mul(scale, weights === null ? 1 : weights[row]), losses[row]));
  }
  return mean;
}

/** Σ over the layers of l1·Σ|w| + l2·Σw², over weights, not biases. */
export function penalty({ plan, o, parameters }: Pass): number {
  let total = 0;
  for (const { l1, l2, weights } of plan.layers) {
    if (l1 === 0 && l2 === 0) continue;
    let [absolute, squares] = [0, 0];
    for (let i = weights.offset; i < weights.offset + weights.length; i++) {
      absolute = o.add(absolute, o.abs(parameters[i]));
      squares = o.mulAdd(parameters[i], parameters[i], squares);
    }
    if (l1 !== 0) total = o.mulAdd(o.constant(l1), absolute, total);
    if (l2 !== 0) total = o.mulAdd(o.constant(l2), squares, total);
  }
  return total;
}

/** The loss that training minimises: the batch's loss and the l1 and l2 terms. */
export function trainingLoss(pass: Pass, rules: PassRules = correctRules): number {
  return pass.o.add(dataLoss(pass, rules), penalty(pass));
}

/** One forward pass over rows of inputs with storage of its own: outputs and every intermediate value. */
export function forwardPass(
  plan: Plan,
  values: Values,
  inputs: FloatArray,
  rows: number,
  mode: Mode = { seed: 0, step: 1 },
  rules: PassRules = correctRules,
): Pass {
  const pass = createPass(plan, rows);
  setPass(pass, values, { inputs, targets: NO_TARGETS, row_weights: null });
  forward(pass, mode, rules);
  return pass;
}
