/** Long work on the main thread, a piece at a time. */
import { setImmediate } from 'node:timers/promises';

/**
 * Does the work from 0 to `length` in pieces; between two of them everything else that is due has its turn.
 * @param piece so much that it takes a few milliseconds
 */
export async function inTurns(length: number, piece: number, work: (from: number, to: number) => void): Promise<void> {
  for (let from = 0; from < length; from += piece) {
    if (from > 0) await setImmediate();
    work(from, Math.min(from + piece, length));
  }
}
