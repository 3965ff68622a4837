/** The storage of one forward and backward pass over a batch: every intermediate value under its textbook name. */
import type { Arithmetic } from '../arithmetic.ts';
import type { FloatArray, Plan, PlannedLayer } from '../backend.ts';
import type { Precision } from '../definition.ts';
import { float32 } from '../math/float32.ts';
import { float64 } from '../math/float64.ts';
import { type NormalizationCache, normalizationCache } from '../normalization.ts';
import { type OutputLoss, outputLoss } from '../output-loss.ts';

/** The values of one layer in one pass; all [rows, units], row-major. */
export interface LayerPass {
  readonly layer: PlannedLayer;
  /** What the layer is given: the outputs of the layer below, or the inputs of the network. [rows, input_size] */
  inputs: FloatArray;
  /** z = W·inputs + b */
  readonly pre_activations: FloatArray;
  /** What the activation is given: z, or the normalised z. The same array as `pre_activations` without normalization. */
  readonly activation_inputs: FloatArray;
  /** a = f(activation_inputs) */
  readonly activations: FloatArray;
  /** What the layer above is given: a after dropout. The same array as `activations` without dropout. */
  readonly outputs: FloatArray;
  /** 0 or 1/(1 − dropout) per output; null without dropout. */
  readonly mask: FloatArray | null;
  readonly normalization: NormalizationCache | null;
  /** δ: on its way down dLoss/da, in the end dLoss/dz for the z of `pre_activations`. */
  readonly deltas: FloatArray;
}

export interface Pass {
  readonly plan: Plan;
  readonly o: Arithmetic<number, boolean>;
  readonly output_loss: OutputLoss;
  readonly rows: number;
  readonly layers: readonly LayerPass[];
  /** What the pass computes with; set before it runs. */
  parameters: FloatArray;
  statistics: FloatArray;
  inputs: FloatArray;
  targets: FloatArray;
  /** One per row; null means 1. */
  row_weights: FloatArray | null;
  /** Loss of each row, summed over its outputs, before weights and reduction. */
  readonly row_losses: FloatArray;
  /** dLoss/dparameter, laid out like the parameters. */
  readonly gradients: FloatArray;
  /** dLoss/dinput, [rows, input_size]. */
  readonly input_gradients: FloatArray;
  /** Called between two rows of a product, which may take long; what it throws breaks the pass off. */
  between_rows: (() => void) | null;
}

export type Values = Pick<Pass, 'parameters' | 'statistics'>;

/** A batch laid out row by row. */
export interface Batch {
  readonly inputs: FloatArray;
  readonly targets: FloatArray;
  readonly row_weights: FloatArray | null;
}

export const arithmeticOf = (precision: Precision): Arithmetic<number, boolean> =>
  precision === 'float64' ? float64 : float32;

export const arrayOf = (precision: Precision): (new (length: number) => FloatArray) =>
  precision === 'float64' ? Float64Array : Float32Array;

const EMPTY = new Float64Array(0);

/** Storage for passes of `rows` rows, to be used again for every batch of that size. */
export function createPass(plan: Plan, rows: number): Pass {
  const FloatArrayOf = arrayOf(plan.precision);
  return {
    plan,
    o: arithmeticOf(plan.precision),
    output_loss: outputLoss(plan.layers[plan.layers.length - 1].activation, plan.loss),
    rows,
    layers: plan.layers.map((layer) => createLayerPass(layer, FloatArrayOf, rows)),
    parameters: EMPTY,
    statistics: EMPTY,
    inputs: EMPTY,
    targets: EMPTY,
    row_weights: null,
    row_losses: new FloatArrayOf(rows),
    gradients: new FloatArrayOf(plan.parameter_count),
    input_gradients: new FloatArrayOf(rows * plan.input_size),
    between_rows: null,
  };
}

function createLayerPass(
  layer: PlannedLayer,
  FloatArrayOf: new (length: number) => FloatArray,
  rows: number,
): LayerPass {
  const array = () => new FloatArrayOf(rows * layer.units);
  const preActivations = array();
  const activations = array();
  const { normalization } = layer;
  return {
    layer,
    inputs: EMPTY,
    pre_activations: preActivations,
    activation_inputs: normalization === null ? preActivations : array(),
    activations,
    outputs: layer.dropout === 0 ? activations : array(),
    mask: layer.dropout === 0 ? null : array(),
    normalization: normalization && normalizationCache(normalization, FloatArrayOf, [rows, layer.units]),
    deltas: array(),
  };
}

/** Hands a pass what it computes with; a batch of another precision is rounded once. */
export function setPass(pass: Pass, values: Values, batch: Batch): void {
  pass.parameters = values.parameters;
  pass.statistics = values.statistics;
  const { precision } = pass.plan;
  pass.inputs = rounded(batch.inputs, precision);
  pass.targets = rounded(batch.targets, precision);
  pass.row_weights = batch.row_weights && rounded(batch.row_weights, precision);
}

/** The values in the given precision: themselves, or a rounded copy. */
function rounded(values: FloatArray, precision: Precision): FloatArray {
  const FloatArrayOf = arrayOf(precision);
  if (values instanceof FloatArrayOf) return values;
  const copy = new FloatArrayOf(values.length);
  copy.set(values);
  return copy;
}
