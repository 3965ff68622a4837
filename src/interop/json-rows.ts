/** JSON read row by row from bytes that arrive in pieces, so that no more than one row is ever held as text. */

/** The text is not JSON, or not of the shape that is asked for; `row` counts from 0 within `field`. */
export class JsonRowsError extends Error {
  readonly field: string | null;
  readonly row: number | null;

  constructor(message: string, field: string | null = null, row: number | null = null) {
    super(message);
    this.name = 'JsonRowsError';
    this.field = field;
    this.row = row;
  }
}

/** Bytes of one row; a row that is not whole is kept until it is. */
const maxRowBytes = 2 ** 24;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const LF = 0x0a;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

const isSpace = (byte: number): boolean => byte === 0x20 || byte === 0x09 || byte === LF || byte === 0x0d;
const utf8 = new TextDecoder('utf-8', { fatal: true });

/** Lines of JSON (NDJSON), blank lines skipped; each is a row. */
export function* readNdjson(chunks: Iterable<Uint8Array>): Generator<unknown, void, void> {
  const input = new Input(chunks);
  for (let row = 0; ; ) {
    const end = input.find((byte) => byte === LF);
    const text = input.take(end ?? input.available);
    if (text.trim() !== '') {
      yield parse(text, null, row);
      row += 1;
    }
    if (end === null) return;
    input.skip();
  }
}

/** One entry of one of the lists. */
export interface JsonEntry {
  readonly field: string;
  readonly row: number;
  readonly value: unknown;
}

/**
 * The entries of an object of lists, `{"inputs": [[1, 2], …], "targets": [0, …]}`, in the order of the text.
 * @throws {JsonRowsError} when the text is not such an object
 */
export function* readJsonLists(chunks: Iterable<Uint8Array>): Generator<JsonEntry, void, void> {
  const input = new Input(chunks);
  input.expect(OPEN_OBJECT, 'The body must be a JSON object.');
  if (input.peek() === CLOSE_OBJECT) input.skip();
  else yield* readFields(input);
  if (input.peek() !== null) throw new JsonRowsError('There is text after the end of the JSON object.');
}

function* readFields(input: Input): Generator<JsonEntry, void, void> {
  for (;;) {
    const field = readKey(input);
    input.expect(OPEN_LIST, `${field} must be a list.`, field);
    if (input.peek() === CLOSE_LIST) input.skip();
    else yield* readEntries(input, field);
    const next = input.peek();
    input.skip();
    if (next === CLOSE_OBJECT) return;
    if (next !== COMMA) throw new JsonRowsError('A comma or the end of the object is missing.', field);
  }
}

function readKey(input: Input): string {
  if (input.peek() !== QUOTE) throw new JsonRowsError('A field name in double quotes is missing.');
  const end = input.find(afterValue());
  const key = parse(input.take(end ?? input.available), null, null);
  input.expect(COLON, 'A colon is missing after a field name.');
  return String(key);
}

function* readEntries(input: Input, field: string): Generator<JsonEntry, void, void> {
  for (let row = 0; ; row += 1) {
    input.peek();
    const end = input.find(afterValue());
    if (end === null) throw new JsonRowsError('The text ends within a list.', field, row);
    yield { field, row, value: parse(input.take(end), field, row) };
    const next = input.peek();
    input.skip();
    if (next === CLOSE_LIST) return;
    if (next !== COMMA) throw new JsonRowsError('A comma or the end of the list is missing.', field, row);
  }
}

/** Tells the byte that ends the JSON value before it: a comma, colon or bracket outside of it. Strings hide brackets. */
function afterValue(): (byte: number) => boolean {
  let depth = 0;
  let inString = false;
  let escaped = false;
  return (byte) => {
    if (inString) {
      if (escaped) escaped = false;
      else if (byte === BACKSLASH) escaped = true;
      else if (byte === QUOTE) inString = false;
      return false;
    }
    if (byte === QUOTE) inString = true;
    else if (byte === OPEN_LIST || byte === OPEN_OBJECT) depth += 1;
    else if (byte === CLOSE_LIST || byte === CLOSE_OBJECT) {
      if (depth === 0) return true;
      depth -= 1;
    } else if (byte === COMMA || byte === COLON) return depth === 0;
    return false;
  };
}

function parse(text: string, field: string | null, row: number | null): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const place = row === null ? '' : ` in row ${row + 1}${field === null ? '' : ` of ${field}`}`;
    throw new JsonRowsError(`The text is not valid JSON${place}: ${(error as Error).message}.`, field, row);
  }
}

/** The bytes not yet taken; more is fetched when they are not enough. */
class Input {
  readonly #chunks: Iterator<Uint8Array>;
  #bytes: Uint8Array = new Uint8Array(0);
  #at = 0;

  constructor(chunks: Iterable<Uint8Array>) {
    this.#chunks = chunks[Symbol.iterator]();
    // A byte order mark is no part of the text.
    while (this.available < 3 && this.#fetch());
    if (this.#bytes[0] === 0xef && this.#bytes[1] === 0xbb && this.#bytes[2] === 0xbf) this.#at = 3;
  }

  get available(): number {
    return this.#bytes.length - this.#at;
  }

  #fetch(): boolean {
    const { value, done } = this.#chunks.next();
    if (done === true) return false;
    const joined = new Uint8Array(this.available + value.length);
    joined.set(this.#bytes.subarray(this.#at));
    joined.set(value, this.available);
    this.#bytes = joined;
    this.#at = 0;
    return true;
  }

  /** How many bytes precede the first one that matches; null when none does. Each byte is shown to `matches` once. */
  find(matches: (byte: number) => boolean): number | null {
    let seen = 0;
    for (;;) {
      for (; seen < this.available; seen += 1) if (matches(this.#bytes[this.#at + seen])) return seen;
      if (seen > maxRowBytes) throw new JsonRowsError(`A row is longer than ${maxRowBytes} bytes.`);
      if (!this.#fetch()) return null;
    }
  }

  /** @throws {TypeError} when the bytes are not UTF-8. */
  take(count: number): string {
    const text = utf8.decode(this.#bytes.subarray(this.#at, this.#at + count));
    this.#at += count;
    return text;
  }

  /** The next byte that is not white space; null at the end. */
  peek(): number | null {
    for (;;) {
      while (this.available > 0 && isSpace(this.#bytes[this.#at])) this.#at += 1;
      if (this.available > 0) return this.#bytes[this.#at];
      if (!this.#fetch()) return null;
    }
  }

  skip(): void {
    this.#at += 1;
  }

  expect(byte: number, message: string, field: string | null = null): void {
    if (this.peek() !== byte) throw new JsonRowsError(message, field);
    this.skip();
  }
}
