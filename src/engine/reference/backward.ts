/**
 * The backward pass: the chain rule through the lines of forward.ts, in reverse.
 *
 * δ of the output layer is dLoss/dz of each row's own loss times (weight of the row · scale of the reduction), so every
 * gradient below is already that of the reduced loss. l1 and l2 are added to the finished weight gradients.
 */
import type { FloatArray, Plan, PlannedLayer } from '../backend.ts';
import { dropoutBackward } from '../dropout.ts';
import { normalizeBackward } from '../normalization.ts';
import { forward, type Mode, trainingLoss } from './forward.ts';
import { createPass, type Pass, setPass, type Values } from './pass.ts';
import { batchScale, correctRules, type LayerContext, type PassRules } from './rules.ts';

/** Fills deltas and gradients of a pass whose forward part has run; `input_gradients` only when asked for. */
export function backward(pass: Pass, rules: PassRules = correctRules, withInputGradients = false): void {
  for (let index = pass.layers.length - 1; index >= 0; index--) {
    const current = pass.layers[index];
    const context = { pass, index, current, layer: current.layer };
    if (index === pass.layers.length - 1) weightedOutputDelta(context, rules);
    else hiddenDelta(context, rules);
    throughNormalization(context);
    rules.weightGradient(context);
    rules.biasGradient(context);
    addPenaltyGradient(pass, current.layer, rules.regularizationTimes);
    if (index > 0) rules.propagate(context, pass.layers[index - 1].deltas);
    else if (withInputGradients) rules.propagate(context, pass.input_gradients);
  }
  rules.finish(pass);
}

/** δ_L[row] = weight[row]·scale·d(loss of the row)/dz. */
function weightedOutputDelta(context: LayerContext, rules: PassRules): void {
  rules.outputDelta(context);
  const { o, rows, row_weights: weights } = context.pass;
  const { deltas } = context.current;
  const { units } = context.layer;
  const scale = batchScale(context.pass);
  for (let row = 0; row < rows; row++) {
    const factor = weights === null ? scale : o.mul(scale, weights[row]);
    for (let i = row * units; i < (row + 1) * units; i++) deltas[i] = o.mul(factor, deltas[i]);
  }
}

/** δ_l = (W_{l+1}ᵀ·δ_{l+1})·mask·f'(z): the propagated part is already in `deltas`. */
function hiddenDelta(context: LayerContext, rules: PassRules): void {
  const { current, pass } = context;
  if (current.mask !== null) dropoutBackward(pass.o, current.deltas, current.mask);
  rules.throughActivation(context);
}

function throughNormalization({ pass, current, layer }: LayerContext): void {
  if (layer.normalization === null || current.normalization === null) return;
  const { o, parameters, gradients, rows } = pass;
  const shape = [rows, layer.units] as const;
  normalizeBackward(o, layer.normalization, current.deltas, parameters, current.normalization, gradients, shape);
}

/** dW += l1·sign(W) + 2·l2·W, with sign(0) = 0. */
function addPenaltyGradient(
  { o, parameters, gradients }: Pass,
  { l1, l2, weights }: PlannedLayer,
  times: number,
): void {
  if ((l1 === 0 && l2 === 0) || times === 0) return;
  const slope = o.constant(2 * l2 * times);
  const step = o.constant(l1 * times);
  for (let i = weights.offset; i < weights.offset + weights.length; i++) {
    const w = parameters[i];
    let g = gradients[i];
    if (l2 !== 0) g = o.mulAdd(slope, w, g);
    if (l1 !== 0) g = o.add(g, w > 0 ? step : w < 0 ? -step : 0);
    gradients[i] = g;
  }
}

/** What one explained pass gives. */
export interface Gradients {
  /** The loss that training minimises, l1 and l2 terms included. */
  readonly loss: number;
  /** Every intermediate value, deltas, gradients and input gradients. */
  readonly pass: Pass;
}

/** One forward and backward pass over rows of data with storage of its own; nothing is updated. */
export function backwardPass(
  plan: Plan,
  values: Values,
  data: {
    readonly inputs: FloatArray;
    readonly targets: FloatArray;
    readonly weights?: FloatArray | undefined;
    readonly rows: number;
  },
  mode: Mode = { seed: 0, step: 1 },
  rules: PassRules = correctRules,
): Gradients {
  const pass = createPass(plan, data.rows);
  setPass(pass, values, { inputs: data.inputs, targets: data.targets, row_weights: data.weights ?? null });
  forward(pass, mode, rules);
  const loss = trainingLoss(pass, rules);
  backward(pass, rules, true);
  return { loss, pass };
}
