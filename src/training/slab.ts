/**
 * Numbers that come bit by bit and leave together, in memory that is used again. A tiny network brings 60 MB of them a
 * second: pages that are new to the process cost ten times as much as writing on those that it has.
 */
import type { OwnFloats } from '../engine/float-arrays.ts';

/** Bytes of the smallest memory. */
const leastBytes = 4096;
/** How much more room the next memory has than what the last one has left with. */
const reserve = 1.25;
/** Bytes that are kept for later: as many as are under way between two threads. */
const mostSpareBytes = 2 ** 24;

/** Memories that have come back. */
export class Spares {
  readonly #memories: ArrayBuffer[] = [];
  #bytes = 0;

  give(memories: readonly ArrayBuffer[]): void {
    for (const memory of memories) {
      const { byteLength } = memory;
      // Whatever has been joined may have any length; numbers of either precision must fit.
      const isFit = byteLength >= leastBytes && byteLength % 8 === 0 && this.#bytes + byteLength <= mostSpareBytes;
      if (isFit) this.#memories.push(memory);
      else memory.transfer(0);
      this.#bytes += isFit ? byteLength : 0;
    }
  }

  /** The smallest that is large enough, or a new one; what it contains is of no meaning. */
  take(bytes: number): ArrayBuffer {
    let found = -1;
    for (const [index, { byteLength }] of this.#memories.entries()) {
      const isBetter = found < 0 || byteLength < this.#memories[found].byteLength;
      if (byteLength >= bytes && isBetter) found = index;
    }
    if (found < 0) return new ArrayBuffer(bytes);
    const [memory] = this.#memories.splice(found, 1);
    this.#bytes -= memory.byteLength;
    return memory;
  }

  /** Gives everything back to the system. */
  free(): void {
    for (const memory of this.#memories.splice(0)) memory.transfer(0);
    this.#bytes = 0;
  }
}

export class Slab<Numbers extends OwnFloats> {
  readonly #view: (memory: ArrayBuffer) => Numbers;
  readonly #spares: Spares;
  #numbers: Numbers;
  #filled = 0;

  constructor(view: (memory: ArrayBuffer) => Numbers, spares: Spares) {
    this.#view = view;
    this.#spares = spares;
    this.#numbers = view(new ArrayBuffer(0));
  }

  /** Room for so many numbers beside the last ones; in another memory when there is none, or when they have left. */
  take(count: number): Numbers {
    if (this.#filled + count > this.#numbers.length) this.#renew(count);
    const start = this.#filled;
    this.#filled += count;
    return this.#numbers.subarray(start, this.#filled) as Numbers;
  }

  /** So many at the end of what was taken last are not used. */
  giveBack(count: number): void {
    this.#filled -= count;
  }

  /** A memory that has left has no length here. */
  #renew(count: number): void {
    const { length, BYTES_PER_ELEMENT } = this.#numbers;
    const wanted = Math.max(count, length > 0 ? 2 * length : reserve * this.#filled);
    const bytes = Math.max(leastBytes, 8 * Math.ceil((wanted * BYTES_PER_ELEMENT) / 8));
    this.#numbers = this.#view(this.#spares.take(bytes));
    this.#filled = 0;
  }
}
