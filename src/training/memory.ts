/** What a thread does with the memory of a run that is over. */
import { estimate, plan } from '../engine/plan.ts';
import type { RunRequest } from './request.ts';

/** Bytes from which on a collection, some 10 ms of the thread, is worth its time. */
const worthCollecting = 8 * 2 ** 20;

export const isLarge = (bytes: number): boolean => bytes >= worthCollecting;

/** Estimated bytes of a run: the engine and the data. */
export function sizeOf({ network, data, batch_size, optimizer }: RunRequest): number {
  const engine = estimate(plan(network), { batch_size, optimizer }).total;
  return engine + data.inputs.byteLength + data.targets.byteLength;
}

/**
 * Frees the memory of WebAssembly and the shared data that nothing in this thread refers to any more, and gives pages of
 * the heap back to the system. By itself the collector comes when the next run has taken its own memory beside it, or, in
 * a thread that rests, not at all. Does nothing in a process that was not started with `--expose-gc`.
 */
export function collectGarbage(): void {
  globalThis.gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' });
}
