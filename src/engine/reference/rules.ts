/**
 * The calculus of a pass, taken apart into the places where hand-written code goes wrong. `correctRules` is the right
 * calculus; a simulated bug is the same record with one or two entries replaced (bugs.ts).
 */
import type { PlannedLayer } from '../backend.ts';
import { reductionScale } from '../losses.ts';
import { multiply, sumRows } from './matrix.ts';
import type { LayerPass, Pass } from './pass.ts';

/** What a rule about one layer is given. */
export interface LayerContext {
  readonly pass: Pass;
  /** 0-based. */
  readonly index: number;
  readonly current: LayerPass;
  readonly layer: PlannedLayer;
}

export interface PassRules {
  /** a = f(z): fills `activations`. */
  activate(context: LayerContext): void;
  /** Fills `row_losses`. */
  rowLosses(pass: Pass): void;
  /** Fills the deltas of the last layer with dLoss/dz of every row's own loss: neither weighted nor reduced. */
  outputDelta(context: LayerContext): void;
  /** Turns the deltas of a hidden layer from dLoss/da into dLoss/dz. */
  throughActivation(context: LayerContext): void;
  /** The gradient of the weights: dW[unit][input] = Σ_row δ[row][unit]·inputs[row][input]. */
  weightGradient(context: LayerContext): void;
  /** The gradient of the biases: db[unit] = Σ_row δ[row][unit]. */
  biasGradient(context: LayerContext): void;
  /** How often the gradient of the l1 and l2 terms is added: once. */
  readonly regularizationTimes: number;
  /** dLoss/d(inputs of the layer), written to `target`: [row][input] = Σ_unit δ[row][unit]·W[unit][input]. */
  propagate(context: LayerContext, target: Pass['inputs']): void;
  /** What happens to the finished gradients: nothing. */
  finish(pass: Pass): void;
}

/** The constant by which the loss of a row counts in the loss of the batch. */
export function batchScale({ plan, o, rows }: Pass): number {
  return o.constant(reductionScale(plan.loss.entry, plan.reduction, rows, plan.output_size));
}

/** One sample of the output layer, as the joined activation and loss see it; `select` moves it to a row. */
export function outputRow(pass: Pass) {
  const last = pass.layers[pass.layers.length - 1];
  const { units } = last.layer;
  const labels = pass.plan.loss.entry.target_domain.kind === 'label';
  const row = { z: last.activation_inputs, a: last.activations, y: pass.targets, gradient: last.deltas };
  return { ...row, units, start: 0, targetStart: 0, labels };
}

export type SelectedRow = ReturnType<typeof outputRow>;

export function selectRow(selected: SelectedRow, row: number): void {
  selected.start = row * selected.units;
  selected.targetStart = selected.labels ? row : selected.start;
}

/** Target of output k of the selected row: a label means 1 at the labelled unit and 0 elsewhere. */
export function targetAt({ labels, y, targetStart }: SelectedRow, k: number): number {
  if (labels) return y[targetStart] === k ? 1 : 0;
  return y[targetStart + k];
}

export const correctRules: PassRules = {
  activate({ pass: { o, rows }, current, layer: { units, activation } }) {
    const { entry, options } = activation;
    const { activation_inputs: z, activations: a } = current;
    if (entry.kind === 'rowwise') for (let row = 0; row < rows; row++) entry.forward(o, z, a, row * units, units);
    else for (let i = 0; i < rows * units; i++) a[i] = entry.forward(o, z[i], options);
  },

  rowLosses(pass) {
    const selected = outputRow(pass);
    for (let row = 0; row < pass.rows; row++) {
      selectRow(selected, row);
      pass.row_losses[row] = pass.output_loss.value(pass.o, selected);
    }
  },

  outputDelta({ pass }) {
    const selected = outputRow(pass);
    for (let row = 0; row < pass.rows; row++) {
      selectRow(selected, row);
      pass.output_loss.gradient(pass.o, selected);
    }
  },

  throughActivation({ pass: { o, rows }, current, layer: { units, activation } }) {
    const { entry, options } = activation;
    const { activation_inputs: z, activations: a, deltas } = current;
    // a = f(z)
    if (entry.kind === 'rowwise') for (let row = 0; row < rows; row++) entry.backward(o, a, deltas, row * units, units);
    else for (let i = 0; i < rows * units; i++) deltas[i] = o.mul(deltas[i], entry.derivative(o, z[i], a[i], options));
  },

  weightGradient({ pass, current, layer }) {
    // z = inputs·Wᵀ + b
    const { precision } = pass.plan;
    const delta = { values: current.deltas, offset: 0, outer: 1, inner: layer.units };
    const inputs = { values: current.inputs, offset: 0, outer: 1, inner: layer.input_size };
    const shape = [layer.units, layer.input_size, pass.rows] as const;
    multiply(precision, delta, inputs, pass.gradients, layer.weights.offset, shape, pass.between_rows);
  },

  biasGradient({ pass, current, layer }) {
    if (layer.biases === null) return;
    sumRows(pass.plan.precision, current.deltas, pass.gradients, layer.biases.offset, [pass.rows, layer.units]);
  },

  regularizationTimes: 1,

  propagate({ pass, current, layer }, target) {
    // z = inputs·Wᵀ + b
    const delta = { values: current.deltas, offset: 0, outer: layer.units, inner: 1 };
    const weights = { values: pass.parameters, offset: layer.weights.offset, outer: 1, inner: layer.input_size };
    const shape = [pass.rows, layer.input_size, layer.units] as const;
    multiply(pass.plan.precision, delta, weights, target, 0, shape, pass.between_rows);
  },

  finish() {},
};
