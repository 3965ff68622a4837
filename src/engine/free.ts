import type { FloatArray } from './backend.ts';

/**
 * Gives the memory of arrays back that nobody is going to use: at once, because a thread that trains makes so little
 * garbage otherwise that the collector hardly ever comes. They have no elements afterwards.
 */
export function free(...arrays: readonly FloatArray[]): void {
  for (const { buffer } of arrays) if (buffer instanceof ArrayBuffer) buffer.transfer(0);
}
