/** What a thread does with the memory of a run that is over. */
import { estimate, plan } from '../engine/plan.ts';
import type { RunRequest } from './request.ts';

/** Bytes of a run from which on a collection, some 10 ms of the thread that has carried it out, is worth its time. */
const worthCollecting = 8 * 2 ** 20;

export function isWorthCollecting({ network, data, batch_size, optimizer }: RunRequest): boolean {
  const engine = estimate(plan(network), { batch_size, optimizer }).total;
  return engine + data.inputs.byteLength + data.targets.byteLength >= worthCollecting;
}

/**
 * Frees the memory of WebAssembly and the shared data that nothing refers to any more. By itself the collector comes when
 * the next run has taken its own memory beside it, or, in a thread that rests, not at all. Does nothing in a process
 * that was not started with `--expose-gc`.
 */
export function collectGarbage(): void {
  globalThis.gc?.();
}
