/** Long texts that are asked for again and again: written once, for all who ask, while they are not too many. */
import { setImmediate } from 'node:timers/promises';

/** Characters that are written at once: about half a millisecond of numbers. */
const turn = 2 ** 17;

export class WrittenTexts {
  readonly #limit: number;
  /** Written or being written, the least recently used first. */
  readonly #texts = new Map<string, Promise<string>>();
  /** Characters of those that are written. */
  readonly #lengths = new Map<string, number>();

  /** @param limit characters that are kept; the newest text is kept however long */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** The text of the key; a text that cannot be written is forgotten. */
  get(key: string, pieces: () => Iterable<string>): Promise<string> {
    const text = this.#texts.get(key) ?? this.#write(key, pieces());
    this.#texts.delete(key);
    this.#texts.set(key, text);
    return text;
  }

  async #write(key: string, pieces: Iterable<string>): Promise<string> {
    try {
      const text = await joinInTurns(pieces);
      this.#lengths.set(key, text.length);
      this.#shrink();
      return text;
    } catch (error) {
      this.#texts.delete(key);
      throw error;
    }
  }

  #shrink(): void {
    let total = this.#lengths.values().reduce((sum, length) => sum + length, 0);
    for (const [key] of this.#texts) {
      if (total <= this.#limit || this.#lengths.size === 1) return;
      total -= this.#lengths.get(key) ?? 0;
      if (this.#lengths.delete(key)) this.#texts.delete(key);
    }
  }
}

/** Everything else that is due has its turn in between. */
async function joinInTurns(pieces: Iterable<string>): Promise<string> {
  const texts: string[] = [];
  let length = 0;
  for (const piece of pieces) {
    texts.push(piece);
    length += piece.length;
    if (length < turn) continue;
    length = 0;
    await setImmediate();
  }
  return texts.join('');
}
