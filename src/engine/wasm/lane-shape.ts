/** The two shapes of a vector: four numbers of float32 or two of float64. */
import type { Precision } from '../definition.ts';
import type { Opcode } from './opcodes.ts';

/** What differs between the two shapes of vectors. */
export interface Shape {
  readonly lanes: 2 | 4;
  readonly bytes: 4 | 8;
  readonly float: 'f32x4' | 'f64x2';
  readonly integer: 'i32x4' | 'i64x2';
  readonly splat: Opcode;
  readonly significandBits: number;
  readonly bias: number;
}

export const shapes: Readonly<Record<Precision, Shape>> = {
  float32: {
    lanes: 4,
    bytes: 4,
    float: 'f32x4',
    integer: 'i32x4',
    splat: 'v128.load32_splat',
    significandBits: 23,
    bias: 127,
  },
  float64: {
    lanes: 2,
    bytes: 8,
    float: 'f64x2',
    integer: 'i64x2',
    splat: 'v128.load64_splat',
    significandBits: 52,
    bias: 1023,
  },
};

/** The bytes of a vector whose lanes are all `value`. */
export function splatBytes(precision: Precision, value: number): Uint8Array {
  const values = precision === 'float32' ? new Float32Array(4).fill(value) : new Float64Array(2).fill(value);
  return new Uint8Array(values.buffer);
}

/** The bytes of a vector whose lanes all have the bits of an unsigned integer. */
export function integerBytes(precision: Precision, bits: bigint): Uint8Array {
  const words = precision === 'float32' ? new Uint32Array(4).fill(Number(bits)) : new BigUint64Array(2).fill(bits);
  return new Uint8Array(words.buffer);
}
