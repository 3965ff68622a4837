/** Decimal numbers read straight from bytes, correctly rounded. */

/** 10^0 … 10^22: the powers of ten that a float64 holds exactly. */
const exactPowers = Float64Array.from({ length: 23 }, (_, n) => Number(`1e${n}`));
/** Every integer of so many digits is below 2^53. */
const exactDigits = 15;

const ZERO = 0x30;
const NINE = 0x39;
const DOT = 0x2e;
const PLUS = 0x2b;
const MINUS = 0x2d;
const LOWER_E = 0x65;
const UPPER_E = 0x45;
const isBlank = (byte: number): boolean => byte === 0x20 || byte === 0x09;

/** The text of bytes known to be ASCII. */
export function asciiText(bytes: Uint8Array, start: number, end: number): string {
  let text = '';
  for (let i = start; i < end; i += 1) text += String.fromCharCode(bytes[i]);
  return text;
}

/**
 * The number written in `bytes[start … end)`: `[+-] digits [. digits] [e [+-] digits]`, blanks around it allowed; NaN
 * when it is anything else, ±Infinity when it is too large. Up to 15 digits with an exponent of at most ±22 need one
 * multiplication or division of exact numbers, which rounds correctly (Clinger, "How to read floating point numbers
 * accurately", 1990); what is longer goes through the language's own conversion.
 */
export function parseDecimal(bytes: Uint8Array, start: number, end: number): number {
  let from = start;
  let to = end;
  while (from < to && isBlank(bytes[from])) from += 1;
  while (to > from && isBlank(bytes[to - 1])) to -= 1;
  let at = from;
  const negative = bytes[at] === MINUS;
  if (at < to && (negative || bytes[at] === PLUS)) at += 1;

  let mantissa = 0;
  let digits = 0;
  let significant = 0;
  let scale = 0;
  let seenDot = false;
  for (; at < to; at += 1) {
    const byte = bytes[at];
    if (byte >= ZERO && byte <= NINE) {
      digits += 1;
      mantissa = mantissa * 10 + (byte - ZERO);
      if (mantissa !== 0) significant += 1;
      if (seenDot) scale -= 1;
    } else if (byte === DOT && !seenDot) seenDot = true;
    else break;
  }
  if (digits === 0) return Number.NaN;
  if (at < to) {
    const exponent = parseExponent(bytes, at, to);
    if (Number.isNaN(exponent)) return Number.NaN;
    scale += exponent;
  }
  if (significant > exactDigits || scale > 22 || scale < -22) return Number(asciiText(bytes, from, to));
  const magnitude = scale < 0 ? mantissa / exactPowers[-scale] : mantissa * exactPowers[scale];
  return negative ? -magnitude : magnitude;
}

/** `e [+-] digits` that fills the bytes, else NaN; 9,999 stands for everything beyond. */
function parseExponent(bytes: Uint8Array, start: number, end: number): number {
  if (bytes[start] !== LOWER_E && bytes[start] !== UPPER_E) return Number.NaN;
  let at = start + 1;
  const negative = bytes[at] === MINUS;
  if (negative || bytes[at] === PLUS) at += 1;
  if (at >= end) return Number.NaN;
  let exponent = 0;
  for (; at < end; at += 1) {
    const digit = bytes[at] - ZERO;
    if (digit < 0 || digit > 9) return Number.NaN;
    exponent = Math.min(exponent * 10 + digit, 9999);
  }
  return negative ? -exponent : exponent;
}
