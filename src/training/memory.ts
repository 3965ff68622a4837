/** Whether the memory of a run that is over is worth collecting. */
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
