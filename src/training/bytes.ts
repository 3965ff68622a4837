/** Little-endian bytes of typed arrays, so that files and digests are the same on every machine. */
import { createHash } from 'node:crypto';
import { endianness } from 'node:os';
import type { FloatArray } from '../engine/backend.ts';
import type { Precision } from '../engine/definition.ts';
import { floatArrays } from '../engine/float-arrays.ts';
import type { FlatParameters } from './request.ts';

const bigEndian = endianness() === 'BE';

/** The array's bytes in little-endian order; a view where the machine is little-endian, a swapped copy where it is not. */
export function littleEndianBytes(array: FloatArray): Uint8Array {
  const bytes = Buffer.from(array.buffer, array.byteOffset, array.byteLength);
  if (!bigEndian) return bytes;
  const copy = Buffer.from(bytes);
  return array.BYTES_PER_ELEMENT === 4 ? copy.swap32() : copy.swap64();
}

/** A new float array from little-endian bytes, whatever their alignment. */
export function floatsFromBytes(bytes: Uint8Array, precision: Precision): FloatArray {
  const copy = Buffer.from(new Uint8Array(bytes).buffer);
  if (bigEndian) precision === 'float32' ? copy.swap32() : copy.swap64();
  return new floatArrays[precision](copy.buffer);
}

/** SHA-256, in hexadecimal, of the little-endian bytes of the parameters, then of the statistics. */
export function parametersSha256(model: FlatParameters): string {
  return createHash('sha256')
    .update(littleEndianBytes(model.parameters))
    .update(littleEndianBytes(model.statistics))
    .digest('hex');
}
