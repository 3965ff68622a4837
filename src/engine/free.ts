import type { FloatArray } from './backend.ts';

/**
 * Gives the memory of arrays back that nobody is going to use: at once, because a thread that trains makes so little
 * garbage otherwise that the collector hardly ever comes. They have no elements afterwards. An array that shares its
 * memory with others, or with other threads, stays.
 */
export function free(...arrays: readonly (FloatArray | Uint8Array)[]): void {
  for (const { buffer, byteLength } of arrays) {
    if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0);
  }
}
