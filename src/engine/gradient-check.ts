/**
 * Central differences against backpropagation, one parameter at a time.
 *
 * g ≈ (L(p+h) − L(p−h)) / 2h, at h and h/2, combined by Richardson: D = (4·D(h/2) − D(h)) / 3 with an error O(h⁴); the
 * step is tried in several sizes and the one is kept whose two estimates agree best. A parameter whose step crosses the
 * corner of a relu-like unit or of an absolute error has no derivative there to compare with: the step shrinks, and if
 * the corner is still crossed the entry is counted as a kink, not as an error.
 */
import type { Data, FloatArray, Plan } from './backend.ts';
import { type TrainedTensorName, trainedTensors } from './parameters.ts';
import { backward } from './reference/backward.ts';
import { forward, trainingLoss } from './reference/forward.ts';
import { createPass, type Pass, setPass, type Values } from './reference/pass.ts';
import { correctRules, type PassRules } from './reference/rules.ts';

/** What passes: the method's own error for a smooth loss of size 1 is about 1e-11. */
export const checkThreshold = 1e-7;

/** Parts of max(1, |p|); large steps for smooth losses, small ones beside corners. */
const steps = [1e-2, 3e-3, 1e-3, 1e-4, 1e-5, 1e-6];

export interface TensorCheck {
  /** 1-based. */
  readonly layer: number;
  readonly tensor: TrainedTensorName;
  readonly entries: number;
  /** Largest |backprop − difference| / max(|backprop|, |difference|, scale of the gradients) over entries without kink. */
  readonly relative_error: number;
  /** Where it is found. */
  readonly index: readonly number[];
  readonly backprop: number;
  readonly difference: number;
  /** Entries beside a corner, which were not judged. */
  readonly kinks: number;
  readonly passed: boolean;
}

export interface GradientCheck {
  readonly loss: number;
  readonly tensors: readonly TensorCheck[];
  readonly passed: boolean;
}

/** Losses along one parameter, with the corners that lie between. */
class Probe {
  readonly #pass: Pass;
  readonly #parameters: FloatArray;
  readonly #rules: PassRules;

  constructor(plan: Plan, values: Values, data: Data, rules: PassRules) {
    this.#pass = createPass(plan, data.rows);
    this.#parameters = values.parameters.slice();
    this.#rules = rules;
    const batch = { inputs: data.inputs, targets: data.targets, row_weights: data.weights ?? null };
    setPass(this.#pass, { ...values, parameters: this.#parameters }, batch);
  }

  /** Loss, and on which side of each corner every unit is. */
  at(index: number, value: number): { readonly loss: number; readonly sides: Uint8Array } {
    const kept = this.#parameters[index];
    this.#parameters[index] = value;
    forward(this.#pass, { seed: 0, step: 1 }, this.#rules);
    const result = { loss: trainingLoss(this.#pass, this.#rules), sides: sidesOf(this.#pass) };
    this.#parameters[index] = kept;
    return result;
  }

  gradients(): { readonly loss: number; readonly gradients: FloatArray } {
    forward(this.#pass, { seed: 0, step: 1 }, this.#rules);
    const loss = trainingLoss(this.#pass, this.#rules);
    backward(this.#pass, this.#rules);
    return { loss, gradients: this.#pass.gradients.slice() };
  }
}

/** The slope on a side tells the sides apart: f′(z) of the elementwise activations and dLoss/da of the outputs. */
function sidesOf(pass: Pass): Uint8Array {
  const { plan, o, layers, targets } = pass;
  const sides: number[] = [];
  for (const { layer, activation_inputs: z, activations: a } of layers) {
    const { entry, options } = layer.activation;
    if (entry.kind !== 'elementwise') continue;
    for (let i = 0; i < z.length; i++) sides.push(piece(z[i], entry.derivative(o, z[i], a[i], options)));
  }
  const { activations: outputs } = layers[layers.length - 1];
  const { entry, options } = plan.loss;
  if (entry.target_domain.kind === 'label' || entry.likelihood !== null) return Uint8Array.from(sides);
  for (let i = 0; i < outputs.length; i++) {
    const slope = entry.derivative(o, outputs[i], targets[i], options);
    sides.push(piece(outputs[i] - targets[i], slope));
  }
  return Uint8Array.from(sides);
}

/** Sign of the argument and whether the slope there is 0 or constant ±1: equal on both ends of a step without a corner. */
function piece(argument: number, slope: number): number {
  return (argument > 0 ? 1 : 0) + (slope === 0 ? 2 : 0) + (Math.abs(slope) === 1 ? 4 : 0);
}

const sameSides = (a: Uint8Array, b: Uint8Array) => a.every((side, i) => side === b[i]);

interface Difference {
  readonly value: number;
  readonly crossed: boolean;
}

/** The steps' estimate that agrees best with itself at half the step; crossed only if every step crosses a corner. */
function difference(probe: Probe, index: number, parameter: number): Difference {
  let best = { value: Number.NaN, spread: Number.POSITIVE_INFINITY, crossed: true };
  for (const step of steps) {
    const h = step * Math.max(1, Math.abs(parameter));
    const wide = central(probe, index, parameter, h);
    const narrow = central(probe, index, parameter, h / 2);
    const crossed = wide.crossed || narrow.crossed;
    const value = (4 * narrow.slope - wide.slope) / 3;
    const spread = Math.abs(narrow.slope - wide.slope) + narrow.rounding;
    if (best.crossed && !crossed) best = { value, spread, crossed };
    else if (crossed === best.crossed && spread < best.spread) best = { value, spread, crossed };
  }
  return best;
}

function central(probe: Probe, index: number, parameter: number, h: number) {
  const [up, down] = [parameter + h, parameter - h];
  const [above, below] = [probe.at(index, up), probe.at(index, down)];
  const slope = (above.loss - below.loss) / (up - down);
  const rounding = (Number.EPSILON * Math.max(Math.abs(above.loss), Math.abs(below.loss))) / h;
  return { slope, rounding, crossed: !sameSides(above.sides, below.sides) };
}

/** Forward passes that a check takes. */
export const checkPasses = (plan: Plan): number => plan.parameter_count * steps.length * 4;

/**
 * Checks every parameter's gradient. The scale that keeps tiny gradients from being judged by their rounding is
 * max(largest gradient of the network, |loss|)·1e-3.
 */
export function checkGradients(plan: Plan, values: Values, data: Data, rules: PassRules = correctRules): GradientCheck {
  const probe = new Probe(plan, values, data, rules);
  const { loss, gradients } = probe.gradients();
  let largest = Math.abs(loss);
  for (const g of gradients) largest = Math.max(largest, Math.abs(g));
  const floor = 1e-3 * largest;
  const tensors = plan.layers.flatMap((layer) =>
    trainedTensors(layer).map(({ name, slice: { offset, length, shape } }): TensorCheck => {
      let worst = { relative_error: 0, at: 0, backprop: gradients[offset], difference: gradients[offset] };
      let kinks = 0;
      for (let i = 0; i < length; i++) {
        const backprop = gradients[offset + i];
        const { value, crossed } = difference(probe, offset + i, values.parameters[offset + i]);
        const gap = Math.abs(backprop - value);
        const error = gap === 0 ? 0 : gap / Math.max(Math.abs(backprop), Math.abs(value), floor);
        // A corner that the step crosses without mattering is no reason to leave the entry out.
        if (crossed && !(error <= checkThreshold)) kinks++;
        else if (!(error <= worst.relative_error)) {
          worst = { relative_error: error, at: i, backprop, difference: value };
        }
      }
      const { at, ...numbers } = worst;
      const index = shape.length === 1 ? [at] : [Math.floor(at / shape[1]), at % shape[1]];
      const passed = worst.relative_error <= checkThreshold;
      return { layer: layer.number, tensor: name, entries: length, ...numbers, index, kinks, passed };
    }),
  );
  return { loss, tensors, passed: tensors.every(({ passed }) => passed) };
}
