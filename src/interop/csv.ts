/**
 * Comma-separated values (RFC 4180) from bytes that arrive in pieces: quoted fields with separators, line breaks and
 * doubled quotes in them, CRLF or LF, a byte order mark, and `,` `;` tab or `|` as the separator. Blank lines are
 * skipped. A quote inside an unquoted field is text; text after a closing quote is an error.
 */
import { parseDecimal } from './decimal.ts';

const QUOTE = 0x22;
const LF = 0x0a;
const CR = 0x0d;
export const separators = [',', ';', '\t', '|'] as const;
export type Separator = (typeof separators)[number];

export interface CsvOptions {
  /** Found out from the first record when absent: the separator that occurs most often in it outside quotes. */
  readonly separator?: Separator | undefined;
  /** Bytes of one field; what is longer is an error, and so is a quote that is opened and never closed. */
  readonly max_field_bytes?: number | undefined;
  readonly max_columns?: number | undefined;
}

const defaultMaxFieldBytes = 2 ** 20;
const defaultMaxColumns = 2 ** 20;
/** A record that is not whole is kept and scanned again when more has come, so its size is bounded. */
const maxRecordBytes = 2 ** 24;

/** What is wrong with the text itself; `record` counts from 1 (the header, where there is one), `column` from 1. */
export class CsvError extends Error {
  readonly record: number;
  readonly column: number;

  constructor(message: string, record: number, column: number) {
    super(message);
    this.name = 'CsvError';
    this.record = record;
    this.column = column;
  }
}

/** The fields of one record, as places in the bytes; valid until the next record is asked for. */
export class CsvRecord {
  bytes: Uint8Array = new Uint8Array(0);
  starts = new Uint32Array(64);
  ends = new Uint32Array(64);
  /** 0: unquoted, 1: quoted, 2: quoted with doubled quotes inside. */
  quoting = new Uint8Array(64);
  count = 0;

  isEmpty(field: number): boolean {
    return this.starts[field] === this.ends[field];
  }

  /** NaN when the field is not a number. */
  number(field: number): number {
    return parseDecimal(this.bytes, this.starts[field], this.ends[field]);
  }

  /** @throws {TypeError} when the bytes are not UTF-8. */
  text(field: number): string {
    const text = utf8.decode(this.bytes.subarray(this.starts[field], this.ends[field]));
    return this.quoting[field] === 2 ? text.replaceAll('""', '"') : text;
  }

  /** @internal */
  add(start: number, end: number, quoting: number): void {
    if (this.count === this.starts.length) this.#grow();
    this.starts[this.count] = start;
    this.ends[this.count] = end;
    this.quoting[this.count] = quoting;
    this.count += 1;
  }

  #grow(): void {
    const wider = <A extends Uint32Array | Uint8Array>(old: A, next: A): A => {
      next.set(old);
      return next;
    };
    const size = this.starts.length * 2;
    this.starts = wider(this.starts, new Uint32Array(size));
    this.ends = wider(this.ends, new Uint32Array(size));
    this.quoting = wider(this.quoting, new Uint8Array(size));
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The records of a text one after the other; the same object is handed out again and again. */
export function* readCsv(chunks: Iterable<Uint8Array>, options: CsvOptions = {}): Generator<CsvRecord, void, void> {
  const scanner = new Scanner(options);
  for (const chunk of chunks) {
    scanner.push(chunk);
    while (scanner.next(false)) yield scanner.record;
  }
  while (scanner.next(true)) yield scanner.record;
}

/** Looks for records in what has been pushed; a record that is not whole yet stays for the next time. */
class Scanner {
  readonly record = new CsvRecord();
  readonly #maxFieldBytes: number;
  readonly #maxColumns: number;
  #separator: number;
  #bytes: Uint8Array = new Uint8Array(0);
  #at = 0;
  #end = 0;
  #records = 0;
  #isFirst = true;

  constructor(options: CsvOptions) {
    this.#separator = options.separator?.charCodeAt(0) ?? 0;
    this.#maxFieldBytes = options.max_field_bytes ?? defaultMaxFieldBytes;
    this.#maxColumns = options.max_columns ?? defaultMaxColumns;
  }

  push(chunk: Uint8Array): void {
    const left = this.#end - this.#at;
    if (left === 0) this.#bytes = chunk;
    else {
      const joined = new Uint8Array(left + chunk.length);
      joined.set(this.#bytes.subarray(this.#at, this.#end));
      joined.set(chunk, left);
      this.#bytes = joined;
    }
    this.#at = 0;
    this.#end = this.#bytes.length;
  }

  /** Scans the next record into `record`; false when there is none, or none that is known to be whole. */
  next(isLast: boolean): boolean {
    if (this.#isFirst && !this.#begin(isLast)) return false;
    for (;;) {
      if (this.#at >= this.#end) return false;
      const start = this.#at;
      if (!this.#scan(isLast)) {
        if (this.#end - start > maxRecordBytes) this.#fail(`the row is longer than ${maxRecordBytes} bytes`);
        return false;
      }
      const { record } = this;
      if (record.count === 1 && record.quoting[0] === 0 && record.isEmpty(0)) continue;
      this.#records += 1;
      return true;
    }
  }

  /** Byte order mark and separator, once the first line is there. */
  #begin(isLast: boolean): boolean {
    if (this.#end - this.#at < 3 && !isLast) return false;
    const bytes = this.#bytes;
    const hasMark = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
    if (this.#separator === 0) {
      const found = sniffSeparator(
        bytes.subarray(hasMark ? 3 : 0, this.#end),
        isLast || this.#end > this.#maxFieldBytes,
      );
      if (found === null) return false;
      this.#separator = found.charCodeAt(0);
    }
    if (hasMark) this.#at = 3;
    this.#isFirst = false;
    return true;
  }

  #fail(message: string): never {
    throw new CsvError(message, this.#records + 1, this.record.count + 1);
  }

  /** Reads fields up to the end of the record; false when the bytes end before it does. */
  #scan(isLast: boolean): boolean {
    const { record } = this;
    const bytes = this.#bytes;
    const end = this.#end;
    const separator = this.#separator;
    record.bytes = bytes;
    record.count = 0;
    let at = this.#at;
    for (;;) {
      if (record.count >= this.#maxColumns) this.#fail(`there are more than ${this.#maxColumns} columns`);
      if (at < end && bytes[at] === QUOTE) {
        const close = this.#closingQuote(at + 1, isLast);
        if (close < 0) return false;
        at = close + 1;
        if (at === end && !isLast) return false;
      } else {
        const start = at;
        while (at < end && bytes[at] !== separator && bytes[at] !== LF) at += 1;
        if (at - start > this.#maxFieldBytes) this.#fail(`the field is longer than ${this.#maxFieldBytes} bytes`);
        if (at === end && !isLast) return false;
        const isLineEnd = at === end || bytes[at] === LF;
        record.add(start, isLineEnd && at > start && bytes[at - 1] === CR ? at - 1 : at, 0);
      }
      if (at < end && bytes[at] === separator) {
        at += 1;
        continue;
      }
      if (at < end && bytes[at] === CR) {
        if (at + 1 === end && !isLast) return false;
        at += 1;
      }
      if (at < end && bytes[at] !== LF) this.#fail('there is text after the closing quote');
      this.#at = at + 1;
      return true;
    }
  }

  /** Adds the quoted field that begins at `start` and returns the place of its closing quote; −1 when that is not there yet. */
  #closingQuote(start: number, isLast: boolean): number {
    const bytes = this.#bytes;
    let quoting = 1;
    let at = start;
    for (;;) {
      while (at < this.#end && bytes[at] !== QUOTE) at += 1;
      if (at - start > this.#maxFieldBytes) {
        this.#fail(`the quoted field is longer than ${this.#maxFieldBytes} bytes; is its closing quote missing?`);
      }
      if (at >= this.#end) {
        if (isLast) this.#fail('the quote is never closed');
        return -1;
      }
      // At the end of the bytes nobody knows yet whether this quote closes; the caller then asks for more.
      if (bytes[at + 1] !== QUOTE || at + 1 >= this.#end) break;
      quoting = 2;
      at += 2;
    }
    this.record.add(start, at, quoting);
    return at;
  }
}

/** The separator that occurs most often outside quotes in the first line that is not blank; null when the line is not whole. */
function sniffSeparator(bytes: Uint8Array, isLast: boolean): Separator | null {
  const counts = separators.map(() => 0);
  let quoted = false;
  let isBlank = true;
  for (const byte of bytes) {
    if (byte === QUOTE) quoted = !quoted;
    if (quoted) continue;
    if (byte === LF && !isBlank) return mostFrequent(counts);
    if (byte !== LF && byte !== CR) isBlank = false;
    const candidate = separators.indexOf(String.fromCharCode(byte) as Separator);
    if (candidate >= 0) counts[candidate] += 1;
  }
  return isLast ? mostFrequent(counts) : null;
}

const mostFrequent = (counts: readonly number[]): Separator => separators[counts.indexOf(Math.max(...counts))];

/**
 * One record as text, ending with CRLF. A field is quoted when it has to be; a record of one empty field is, because a
 * blank line is no record.
 */
export function writeCsvRecord(fields: readonly string[], separator: Separator = ','): string {
  const isLoneEmpty = fields.length === 1 && fields[0] === '';
  const written = fields.map((field) =>
    isLoneEmpty || field.includes(separator) || /["\r\n]|^\uFEFF/.test(field)
      ? `"${field.replaceAll('"', '""')}"`
      : field,
  );
  return `${written.join(separator)}\r\n`;
}
