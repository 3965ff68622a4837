/** The priority of the calling thread. */
import { readlinkSync } from 'node:fs';
import { constants, getPriority, setPriority } from 'node:os';

const lowest = constants.priority.PRIORITY_LOW;

/**
 * On Linux a thread has a priority of its own: lowered, it leaves the processor to the API when that needs it.
 * @param niceness added to the thread's nice value; 0 leaves it alone
 */
export function lowerPriority(niceness: number): void {
  if (niceness === 0) return;
  try {
    const thread = Number(readlinkSync('/proc/thread-self').split('/').at(-1));
    setPriority(thread, Math.min(lowest, getPriority(thread) + niceness));
  } catch {
    // Another system, or not allowed: the thread competes at normal priority.
  }
}
