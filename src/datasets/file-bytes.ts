/** The bytes of an open file: in order, or at random. */
import { fstatSync, readSync } from 'node:fs';
import { type ByteSource, NpyError } from '../interop/npy.ts';

const chunkBytes = 2 ** 20;

/** The bytes of an open file, in order. */
export function* fileChunks(file: number): Generator<Uint8Array, void, void> {
  for (;;) {
    const chunk = new Uint8Array(chunkBytes);
    const length = readSync(file, chunk, 0, chunkBytes, null);
    if (length === 0) return;
    yield chunk.subarray(0, length);
  }
}

export function fileSource(file: number): ByteSource {
  const { size } = fstatSync(file);
  let scratch = new Uint8Array(0);
  return {
    size,
    read(offset, length) {
      if (offset + length > size) throw new NpyError('The file ends too early.');
      if (scratch.length < length) scratch = new Uint8Array(length);
      readSync(file, scratch, 0, length, offset);
      return scratch.subarray(0, length);
    },
  };
}
