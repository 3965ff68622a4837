/** Where a step first left the finite numbers: forward layer 1..L, loss, gradient of layer L..1, parameters. */
import type { Divergence, FloatArray, Plan, PlannedLayer } from '../backend.ts';
import { trainedTensors } from '../parameters.ts';
import type { Pass } from './pass.ts';

export type Found = Omit<Divergence, 'step'>;

/** Index of the first value in [start, start + length) that is not finite, relative to start; −1 when all are. */
export function firstNonFinite(values: FloatArray, start: number, length: number): number {
  // x − x is 0 for every finite x and NaN for the others.
  for (let i = 0; i < length; i++) if (values[start + i] - values[start + i] !== 0) return i;
  return -1;
}

/** Row-major position → one index per axis. */
function unravel(position: number, shape: readonly number[]): readonly number[] {
  const index: number[] = [];
  let rest = position;
  for (const size of shape.toReversed()) {
    index.unshift(rest % size);
    rest = Math.floor(rest / size);
  }
  return index;
}

/**
 * The first non-finite value of the forward pass. What normalization made of z counts as part of the activation, and so
 * does an infinite variance, which would turn every z of its group into a harmless-looking β.
 */
export function findInForward({ layers, rows }: Pass): Found | null {
  for (const { layer, pre_activations, activation_inputs, activations, normalization } of layers) {
    const found =
      findInBatch('pre_activation', layer, pre_activations, rows) ??
      (normalization && findInMoments(layer, normalization.variance)) ??
      findInBatch('activation', layer, activation_inputs, rows) ??
      findInBatch('activation', layer, activations, rows);
    if (found !== null) return found;
  }
  return null;
}

function findInBatch(
  quantity: 'pre_activation' | 'activation',
  { number, units }: PlannedLayer,
  values: FloatArray,
  rows: number,
): Found | null {
  const at = firstNonFinite(values, 0, rows * units);
  return at < 0 ? null : { quantity, layer: number, index: unravel(at, [rows, units]), value: values[at] };
}

function findInMoments({ number }: PlannedLayer, variance: FloatArray): Found | null {
  const at = firstNonFinite(variance, 0, variance.length);
  return at < 0 ? null : { quantity: 'activation', layer: number, value: variance[at] };
}

/** The first non-finite value of a buffer laid out like the parameters, layers in the order given. */
function findInTensors(
  quantity: 'gradient' | 'parameters',
  layers: readonly PlannedLayer[],
  values: FloatArray,
): Found | null {
  for (const layer of layers) {
    for (const { name: tensor, slice } of trainedTensors(layer)) {
      const { offset, length, shape } = slice;
      const at = firstNonFinite(values, offset, length);
      if (at < 0) continue;
      return { quantity, layer: layer.number, tensor, index: unravel(at, shape), value: values[offset + at] };
    }
  }
  return null;
}

export function findInGradients({ layers }: Plan, gradients: FloatArray): Found | null {
  return findInTensors('gradient', layers.toReversed(), gradients);
}

/** Moments count as parameters: an infinite one would stop its parameter for good without a sign. */
export function findInParameters({ layers }: Plan, parameters: FloatArray, slots: readonly FloatArray[]): Found | null {
  for (const values of [parameters, ...slots]) {
    const found = findInTensors('parameters', layers, values);
    if (found !== null) return found;
  }
  return null;
}
