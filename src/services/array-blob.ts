/**
 * Named arrays in one blob: a job's own copy of its data.
 *
 *     length    u32, little-endian: bytes of the header, which fill up to a multiple of 8 together with these four
 *     header    JSON: [name, length][]
 *     values    float64, little-endian, one array after the other
 */

import type { FloatArray } from '../engine/backend.ts';
import { sharedFloats } from '../engine/wasm/data-memory.ts';
import { makeRoom } from './row-memory.ts';

export type NamedArrays = Readonly<Record<string, FloatArray>>;

const elementBytes = Float64Array.BYTES_PER_ELEMENT;

export function encodeArrays(arrays: NamedArrays): Uint8Array {
  const entries = Object.entries(arrays);
  const header = JSON.stringify(entries.map(([name, values]) => [name, values.length]));
  const padded = header.padEnd(Math.ceil((header.length + 4) / elementBytes) * elementBytes - 4);
  const total = entries.reduce((sum, [, values]) => sum + values.length * elementBytes, 4 + padded.length);
  const bytes = Buffer.alloc(total);
  bytes.writeUInt32LE(padded.length);
  bytes.write(padded, 4, 'latin1');
  let offset = 4 + padded.length;
  for (const [, values] of entries) {
    new Float64Array(bytes.buffer, bytes.byteOffset + offset, values.length).set(values);
    offset += values.length * elementBytes;
  }
  return bytes;
}

/** The arrays, on shared memory, so that worker threads read them without a copy. */
export function decodeArrays(bytes: Uint8Array): Record<string, FloatArray> {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const headerEnd = 4 + file.readUInt32LE(0);
  const entries = JSON.parse(file.toString('latin1', 4, headerEnd)) as [string, number][];
  makeRoom(file.length - headerEnd);
  let offset = headerEnd;
  return Object.fromEntries(
    entries.map(([name, length]) => {
      const values = sharedFloats('float64', length);
      const end = offset + values.byteLength;
      new Uint8Array(values.buffer).set(file.subarray(offset, end));
      offset = end;
      return [name, values];
    }),
  );
}
