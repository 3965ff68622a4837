/**
 * Rows for training are on shared memory, which the collector of the main thread does not see: to it they are a few small
 * objects, so by itself it would let those of many jobs lie.
 */
import { collectGarbage } from '../training/collect-garbage.ts';
import { isLarge } from '../training/memory.ts';

/** Bytes of the rows since the collector came last. */
let since = 0;

/** To be called before rows are loaded: frees those that nobody needs any more, once enough have been loaded. */
export function makeRoom(bytes: number): void {
  if (isLarge(since)) {
    collectGarbage('regular');
    since = 0;
  }
  since += bytes;
}
