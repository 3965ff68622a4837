/** A file that one thread makes piece by piece while another reads it. */
import type { FilePiece } from './checkpoint.ts';

interface Arrived extends FilePiece {
  /** Tells the maker that the reader is done with it. */
  onRead(): void;
}

/** To be read once. Whoever does not want to read on leaves, and what is still to come is taken as read. */
export class ArrivingFile implements AsyncIterable<Uint8Array<ArrayBuffer>> {
  readonly #pieces: Arrived[] = [];
  #isWhole = false;
  #isLeft = false;
  /** What the reader waits for: another piece, or the news that there is none. */
  #news: PromiseWithResolvers<void> | null = null;
  #isBroken = false;

  get isBroken(): boolean {
    return this.#isBroken;
  }

  /** Whether the reader waits for the maker. */
  get isStarved(): boolean {
    return this.#news !== null;
  }

  add(piece: FilePiece, onRead: () => void = () => {}): void {
    this.#isWhole = piece.is_last;
    if (this.#isLeft) onRead();
    else this.#pieces.push({ ...piece, onRead });
    this.#tell();
  }

  /** No more pieces are coming; without effect when none is missing. */
  breakOff(): void {
    this.#isBroken = !this.#isWhole;
    this.#tell();
  }

  leave(): void {
    this.#isLeft = true;
    for (const { onRead } of this.#pieces.splice(0)) onRead();
  }

  /** @throws {Error} when the file is broken off */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    let isLast = false;
    while (!isLast) {
      const piece = await this.#next();
      isLast = piece.is_last;
      try {
        yield piece.bytes;
      } finally {
        piece.onRead();
      }
    }
  }

  async #next(): Promise<Arrived> {
    for (;;) {
      const piece = this.#pieces.shift();
      if (piece !== undefined) return piece;
      if (this.#isBroken) throw new Error('the file was broken off before its last piece');
      this.#news = Promise.withResolvers();
      await this.#news.promise;
    }
  }

  #tell(): void {
    this.#news?.resolve();
    this.#news = null;
  }
}
