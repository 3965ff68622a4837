/** Long texts, written a piece at a time, so that other requests are answered in between. */
import { Readable } from 'node:stream';
import { setImmediate } from 'node:timers/promises';

/** Characters that are written at once: about a millisecond of numbers. */
const turn = 2 ** 16;

/** The next pieces, up to a turn's worth; empty when there are no more. */
function take(pieces: Iterator<string>): string {
  let text = '';
  while (text.length < turn) {
    const { done, value } = pieces.next();
    if (done) break;
    text += value;
  }
  return text;
}

async function* turns(first: string, pieces: Iterator<string>): AsyncGenerator<string> {
  for (let text = first; text !== ''; text = take(pieces)) {
    yield text;
    await setImmediate();
  }
}

/** The text as a whole when it is short, else a stream that gives the event loop back after each turn. */
export function inTurns(text: string | Iterable<string>): string | Readable {
  if (typeof text === 'string') return text;
  const pieces = text[Symbol.iterator]();
  const first = take(pieces);
  return first.length < turn ? first : Readable.from(turns(first, pieces));
}
