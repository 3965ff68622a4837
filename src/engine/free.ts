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

/**
 * Frees the memory of WebAssembly and the shared data that nothing in this thread refers to any more, and gives pages of
 * the heap back to the system. By itself the collector comes when the next run has taken its own memory beside it, or, in
 * a thread that rests, not at all. Does nothing in a process that was not started with `--expose-gc`.
 */
export function collectGarbage(): void {
  globalThis.gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' });
}
