/** How many steps to take at once: blocks long enough to cost nothing, short enough to be interrupted and reported. */

/** A block is over in about this time. */
const blockMilliseconds = 20;
/** A measurement may be off by what the compiler was doing meanwhile, so a block grows by at most this factor. */
const largestGrowth = 4;

export class Pace {
  #steps = 1;

  /** Steps of the next block. */
  get steps(): number {
    return this.#steps;
  }

  observe(steps: number, milliseconds: number): void {
    if (steps === 0) return;
    const fitting = (steps * blockMilliseconds) / Math.max(milliseconds, 1e-3);
    this.#steps = Math.max(1, Math.floor(Math.min(fitting, this.#steps * largestGrowth)));
  }
}
