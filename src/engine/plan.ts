/** From a network's definition to a plan: every name looked up, every default filled in, every tensor given its place. */
import { type Activation, resolveActivation } from './activations.ts';
import type { FloatArray, Plan, PlannedLayer, PlannedNormalization, TensorSlice } from './backend.ts';
import type { BatchNormOptions, LayerDefinition, NetworkDefinition } from './definition.ts';
import { free } from './free.ts';
import { type Initializer, type InitializerName, initializers } from './initializers.ts';
import { resolveLoss } from './losses.ts';
import { type OptimizerSpec, resolveOptimizer } from './optimizers.ts';
import { type Resolved, resolve } from './options.ts';
import { type Uniforms, uniforms } from './prng.ts';

export type InitialParameters = { readonly parameters: FloatArray; readonly statistics: FloatArray };

/** Hands out consecutive slices of a flat buffer. */
class Layout {
  length = 0;

  take(...shape: number[]): TensorSlice {
    const length = shape.reduce((product, size) => product * size, 1);
    const slice = { offset: this.length, length, shape };
    this.length += length;
    return slice;
  }
}

/**
 * The plan of a valid definition. Sizes and option ranges must have been checked before.
 * @throws {RangeError} for an unknown name, and for dropout on the last layer, whose outputs are the answer
 */
export function plan(definition: NetworkDefinition): Plan {
  const parameters = new Layout();
  const statistics = new Layout();
  let inputSize = definition.input_size;
  if (definition.layers.at(-1)?.dropout) throw new RangeError('the output layer cannot have dropout');
  const layers = definition.layers.map((layer, index) => {
    const planned = planLayer(layer, index + 1, inputSize, parameters, statistics);
    inputSize = layer.units;
    return planned;
  });
  return {
    precision: definition.precision ?? 'float32',
    input_size: definition.input_size,
    output_size: inputSize,
    layers,
    ...resolveLoss(definition.loss),
    parameter_count: parameters.length,
    statistic_count: statistics.length,
  };
}

function planLayer(
  layer: LayerDefinition,
  number: number,
  inputSize: number,
  parameters: Layout,
  statistics: Layout,
): PlannedLayer {
  return {
    number,
    input_size: inputSize,
    units: layer.units,
    activation: resolveActivation(layer.activation ?? 'linear'),
    dropout: layer.dropout ?? 0,
    l1: layer.l1 ?? 0,
    l2: layer.l2 ?? 0,
    weights: parameters.take(layer.units, inputSize),
    biases: layer.use_bias === false ? null : parameters.take(layer.units),
    normalization: planNormalization(layer, parameters, statistics),
  };
}

function planNormalization(
  layer: LayerDefinition,
  parameters: Layout,
  statistics: Layout,
): PlannedNormalization | null {
  const kind = layer.batch_norm ? 'batch_norm' : layer.layer_norm ? 'layer_norm' : null;
  if (kind === null) return null;
  const given: BatchNormOptions = typeof layer[kind] === 'object' ? layer[kind] : {};
  const running = kind === 'batch_norm';
  return {
    kind,
    epsilon: given.epsilon ?? 1e-5,
    momentum: given.momentum ?? 0.1,
    gamma: parameters.take(layer.units),
    beta: parameters.take(layer.units),
    running_mean: running ? statistics.take(layer.units) : null,
    running_variance: running ? statistics.take(layer.units) : null,
  };
}

/** The initializer of a layer: the one asked for, else he_uniform for the relu family and glorot_uniform for the rest. */
export function initializerOf(layer: LayerDefinition, activation: Resolved<Activation>): Resolved<Initializer> {
  const fallback: InitializerName = activation.entry.relu_family ? 'he_uniform' : 'glorot_uniform';
  return resolve<Initializer>(initializers, layer.initializer ?? fallback);
}

/**
 * The state before training: weights by their initializers, biases and beta 0, gamma 1, running mean 0 and variance 1.
 * Drawn in float64 and rounded once to the plan's precision; `draw` may be a faster way to the same numbers.
 */
export function initialParameters(
  plan: Plan,
  definition: NetworkDefinition,
  seed: number,
  draw: Uniforms = uniforms,
): InitialParameters {
  const FloatArrayOf = plan.precision === 'float64' ? Float64Array : Float32Array;
  const parameters = new FloatArrayOf(plan.parameter_count);
  const statistics = new FloatArrayOf(plan.statistic_count);
  for (const layer of plan.layers) {
    const { entry, options } = initializerOf(definition.layers[layer.number - 1], layer.activation);
    const weights = entry.weights(
      layer.input_size,
      layer.units,
      { seed, layer: layer.number, uniforms: draw },
      options,
    );
    parameters.set(weights, layer.weights.offset);
    free(weights);
    if (layer.normalization === null) continue;
    fill(parameters, layer.normalization.gamma, 1);
    if (layer.normalization.running_variance !== null) fill(statistics, layer.normalization.running_variance, 1);
  }
  return { parameters, statistics };
}

function fill(buffer: FloatArray, slice: TensorSlice, value: number): void {
  buffer.fill(value, slice.offset, slice.offset + slice.length);
}

/** Bytes that training a plan takes, before anything is allocated. */
export interface Estimate {
  /** Current and proposed parameters and running statistics. */
  readonly parameters: number;
  readonly gradients: number;
  /** Current and proposed moments of the optimizer. */
  readonly moments: number;
  /** All values that one batch leaves on its way forward and back. */
  readonly activations: number;
  readonly total: number;
}

/** The memory a training run needs in the reference, data set not counted. Compiled back ends need no more. */
export function estimate(
  plan: Plan,
  run: { readonly batch_size: number; readonly optimizer: OptimizerSpec },
): Estimate {
  const size = plan.precision === 'float64' ? 8 : 4;
  const { entry, options } = resolveOptimizer(run.optimizer);
  let perRow = 2 * plan.input_size;
  for (const { units, normalization, dropout } of plan.layers) {
    // z, a and δ; normalised z twice (with and without γ, β); mask and masked a.
    perRow += units * (3 + (normalization === null ? 0 : 2) + (dropout === 0 ? 0 : 2));
  }
  const parameters = 2 * size * (plan.parameter_count + plan.statistic_count);
  const gradients = size * plan.parameter_count;
  const moments = 2 * size * plan.parameter_count * entry.slots(options).length;
  const activations = size * perRow * run.batch_size;
  return { parameters, gradients, moments, activations, total: parameters + gradients + moments + activations };
}
