/** Where and why a text is not JSON (RFC 8259): V8's messages name a position only sometimes. */

export interface JsonFault {
  /** 0-based index into the text. */
  readonly offset: number;
  /** 1-based. */
  readonly line: number;
  /** 1-based, in UTF-16 code units. */
  readonly column: number;
  readonly expected: string;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const SPACE = 0x20;

const blanks = ' \t\n\r';
const number = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const word = /true|false|null/y;
const escaped = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;

/**
 * Finds the first fault of a text that `JSON.parse` has refused; null when there is none. Iterative, so that nesting
 * costs no stack.
 */
export function locateJsonFault(text: string): JsonFault | null {
  const scan = new Scan(text);
  const expected = scan.document();
  if (expected === null) return null;
  const before = text.slice(0, scan.at);
  const line = before.split('\n').length;
  return { offset: scan.at, line, column: scan.at - before.lastIndexOf('\n'), expected };
}

class Scan {
  readonly text: string;
  at = 0;
  /** The brackets that are open. */
  readonly open: ('{' | '[')[] = [];

  constructor(text: string) {
    this.text = text;
  }

  /** What was expected at `at`, or null at the end of a valid document. */
  document(): string | null {
    for (;;) {
      const fault = this.value();
      if (fault !== null) return fault;
      const end = this.afterValue();
      if (end !== undefined) return end;
    }
  }

  /** Reads one scalar, or the opening brackets in front of one; closed empty brackets count as a value. */
  private value(): string | null {
    for (;;) {
      this.skipBlanks();
      const start = this.text[this.at];
      if (start === '"') return this.string();
      if (start !== '{' && start !== '[') return this.skip(word) || this.skip(number) ? null : 'a value';
      this.at++;
      this.skipBlanks();
      if (this.text[this.at] === (start === '{' ? '}' : ']')) {
        this.at++;
        return null;
      }
      this.open.push(start);
      const fault = start === '{' ? this.key() : null;
      if (fault !== null) return fault;
    }
  }

  /** Closes brackets and reads commas: undefined when another value follows. */
  private afterValue(): string | null | undefined {
    for (;;) {
      this.skipBlanks();
      const inside = this.open.at(-1);
      const next = this.text[this.at];
      if (inside === undefined) return next === undefined ? null : 'the end of the text';
      if (next === ',') {
        this.at++;
        return inside === '{' ? (this.key() ?? undefined) : undefined;
      }
      if (next !== (inside === '{' ? '}' : ']')) return inside === '{' ? '"," or "}"' : '"," or "]"';
      this.at++;
      this.open.pop();
    }
  }

  private key(): string | null {
    this.skipBlanks();
    if (this.text[this.at] !== '"') return 'a key in double quotes';
    const fault = this.string();
    if (fault !== null) return fault;
    this.skipBlanks();
    if (this.text[this.at] !== ':') return '":"';
    this.at++;
    return null;
  }

  private string(): string | null {
    this.at++;
    while (this.at < this.text.length) {
      const unit = this.text.charCodeAt(this.at);
      if (unit === QUOTE) {
        this.at++;
        return null;
      }
      if (unit < SPACE || (unit === BACKSLASH && !this.skip(escaped)))
        return 'a valid character or escape in the string';
      if (unit !== BACKSLASH) this.at++;
    }
    return 'the closing quote of the string';
  }

  private skipBlanks(): void {
    while (this.at < this.text.length && blanks.includes(this.text[this.at])) this.at++;
  }

  /** Whether the sticky pattern matched something here. */
  private skip(pattern: RegExp): boolean {
    pattern.lastIndex = this.at;
    if (!pattern.test(this.text)) return false;
    const moved = pattern.lastIndex > this.at;
    this.at = pattern.lastIndex;
    return moved;
  }
}
