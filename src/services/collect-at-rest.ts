import { collectGarbage } from '../training/collect-garbage.ts';
import type { TrainingPool } from '../training/pool.ts';

/** Milliseconds; collecting what starting has left takes the main thread some 50. */
export const restBefore = 200;

/** Gives back what starting has left, in a moment when nobody waits for a job. */
export function collectAtRest(pool: Pick<TrainingPool, 'idle' | 'workers'>): void {
  const collect = () => (pool.idle === pool.workers ? collectGarbage() : collectAtRest(pool));
  setTimeout(collect, restBefore).unref();
}
