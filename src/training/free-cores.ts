/** How many cores other processes leave to this one. */
import { availableParallelism, cpus } from 'node:os';

/** Times since some moment in the past, in milliseconds. */
export interface Usage {
  readonly now: number;
  /** Of all cores together, whoever used them. */
  readonly busy: number;
  /** Of this process, all threads together. */
  readonly own: number;
}

export function readUsage(): Usage {
  const busy = cpus().reduce((sum, { times }) => sum + times.user + times.nice + times.sys + times.irq, 0);
  const { user, system } = process.cpuUsage();
  return { now: performance.now(), busy, own: (user + system) / 1000 };
}

/** The times of the system tick by some milliseconds: over less than this they say little. */
const leastSpan = 400;

export class FreeCores {
  readonly #cores: number;
  readonly #read: () => Usage;
  #last: Usage;
  #free: number;

  constructor(cores: number = availableParallelism(), read: () => Usage = readUsage) {
    this.#cores = cores;
    this.#read = read;
    this.#last = read();
    this.#free = cores;
  }

  /** Cores less what others used of them between the last two readings; all of them until there are two. */
  get free(): number {
    const { now, busy, own } = this.#read();
    const span = now - this.#last.now;
    if (span < leastSpan) return this.#free;
    const others = Math.max(0, busy - this.#last.busy - (own - this.#last.own)) / span;
    this.#free = Math.max(0, this.#cores - others);
    this.#last = { now, busy, own };
    return this.#free;
  }
}
