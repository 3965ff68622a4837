/** Arrays of numbers in the precision of a network. */
import type { Precision } from './definition.ts';

type Floats<Memory extends ArrayBufferLike> = Float32Array<Memory> | Float64Array<Memory>;

/** What can be handed to another thread. */
export type OwnFloats = Floats<ArrayBuffer>;

interface FloatArrayConstructor {
  new (length: number): OwnFloats;
  new <Memory extends ArrayBufferLike>(memory: Memory, byteOffset?: number, length?: number): Floats<Memory>;
}

export const floatArrays: Readonly<Record<Precision, FloatArrayConstructor>> = {
  float32: Float32Array,
  float64: Float64Array,
};
