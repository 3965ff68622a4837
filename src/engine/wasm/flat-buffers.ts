/** Parameters, moments and statistics between the flat buffers of the engine and their blocks in a network's memory. */
import type { FloatArray, TensorSlice } from '../backend.ts';
import { floatArrays } from '../float-arrays.ts';
import type { NetworkLayout, Panels } from './layout.ts';

/** Copies between a flat parameter buffer and a block in memory, in either direction. */
export function copyBlock(
  layout: NetworkLayout,
  memory: ArrayBuffer,
  block: number,
  flat: FloatArray,
  direction: 'in' | 'out',
): void {
  const numbers = new floatArrays[layout.plan.precision](memory, block, layout.blockBytes / layout.bytesPerNumber);
  for (const { layer, weights, biases, gamma, beta } of layout.layers) {
    copyPanels(numbers, weights, layout.bytesPerNumber, flat, layer.weights, direction);
    const vectors: (readonly [number | null, TensorSlice | null | undefined])[] = [
      [biases, layer.biases],
      [gamma, layer.normalization?.gamma],
      [beta, layer.normalization?.beta],
    ];
    for (const [offset, slice] of vectors) {
      if (offset === null || slice === null || slice === undefined) continue;
      const part = numbers.subarray(offset / layout.bytesPerNumber, offset / layout.bytesPerNumber + slice.length);
      if (direction === 'in') part.set(flat.subarray(slice.offset, slice.offset + slice.length));
      else flat.set(part, slice.offset);
    }
  }
}

/** As `copyBlock`, for the running statistics. */
export function copyStatistics(
  layout: NetworkLayout,
  memory: ArrayBuffer,
  flat: FloatArray,
  direction: 'in' | 'out',
): void {
  for (const { layer, normalization } of layout.layers) {
    if (normalization?.running == null) continue;
    for (const [offset, slice] of [
      [normalization.running.mean, layer.normalization?.running_mean],
      [normalization.running.variance, layer.normalization?.running_variance],
    ] as const) {
      if (slice == null) continue;
      const numbers = new floatArrays[layout.plan.precision](memory, layout.statistics + offset, slice.length);
      if (direction === 'in') numbers.set(flat.subarray(slice.offset, slice.offset + slice.length));
      else flat.set(numbers, slice.offset);
    }
  }
}

function copyPanels(
  numbers: FloatArray,
  panels: Panels,
  bytes: number,
  flat: FloatArray,
  slice: TensorSlice,
  direction: 'in' | 'out',
): void {
  const [units, inner] = slice.shape;
  const start = panels.offset / bytes;
  const copy = direction === 'in' ? scatter : collect;
  for (let unit = 0; unit < units; unit++) {
    const panel = Math.floor(unit / panels.width);
    const width = Math.min(panels.width, panels.columns - panel * panels.width);
    const first = start + panel * panels.width * inner + (unit - panel * panels.width);
    copy(numbers, first, width, flat, slice.offset + unit * inner, inner);
  }
}

/** Apart from `collect`, because the one is given arrays of both precisions and the other hardly ever: V8 makes that fast. */
function scatter(to: FloatArray, first: number, step: number, from: FloatArray, start: number, count: number): void {
  for (let i = 0, at = first; i < count; i++, at += step) to[at] = from[start + i];
}

function collect(from: FloatArray, first: number, step: number, to: FloatArray, start: number, count: number): void {
  for (let i = 0, at = first; i < count; i++, at += step) to[start + i] = from[at];
}
