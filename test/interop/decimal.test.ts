import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseDecimal } from '../../src/interop/decimal.ts';

const parse = (text: string): number => {
  const bytes = new TextEncoder().encode(`#${text}#`);
  return parseDecimal(bytes, 1, bytes.length - 1);
};

describe('a decimal number in bytes', () => {
  it('is the number that the language reads, for every double in its shortest form', () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (x) => {
        expect(parse(String(x))).toBe(Number(String(x)));
      }),
      { numRuns: 2000 },
    );
  });

  it('is correctly rounded whatever the digits and the exponent', () => {
    const digits = fc.string({ unit: fc.constantFrom(...'0123456789'), minLength: 1, maxLength: 25 });
    fc.assert(
      fc.property(
        digits,
        digits,
        fc.integer({ min: -40, max: 40 }),
        fc.constantFrom('', '-', '+'),
        (whole, part, e, sign) => {
          for (const text of [
            `${sign}${whole}`,
            `${sign}${whole}.${part}`,
            `${sign}.${part}e${e}`,
            `${sign}${whole}.E${e}`,
          ]) {
            expect(parse(text)).toBe(Number(text));
          }
        },
      ),
      { numRuns: 1000 },
    );
  });

  it.each([
    '',
    ' ',
    '.',
    '-',
    'e5',
    '1e',
    '1e+',
    '1,5',
    '0x10',
    '1 2',
    '--1',
    '1.2.3',
    'NaN',
    'Infinity',
    'null',
    '1_000',
    '١',
  ])('is not %j', (text) => {
    expect(parse(text)).toBeNaN();
  });

  it('that is too large is infinite, and one that is too small is 0', () => {
    expect([parse('1e309'), parse('-1e999999999999'), parse('1e-400')]).toEqual([Infinity, -Infinity, 0]);
    expect(parse(`${'9'.repeat(400)}`)).toBe(Infinity);
  });

  it('may have blanks around it', () => {
    expect(parse(' \t-1.5 ')).toBe(-1.5);
  });
});
