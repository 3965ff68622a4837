import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CsvError, type CsvOptions, readCsv, separators, writeCsvRecord } from '../../src/interop/csv.ts';

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

/** The text in pieces of `size` bytes, each in memory of its own. */
const pieces = (bytes: Uint8Array, size: number): Uint8Array[] =>
  Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.slice(i * size, (i + 1) * size));

function read(text: string | Uint8Array, options: CsvOptions = {}, size = 7): string[][] {
  const bytes = typeof text === 'string' ? encode(text) : text;
  const rows: string[][] = [];
  for (const record of readCsv(pieces(bytes, size), options)) {
    rows.push(Array.from({ length: record.count }, (_, i) => record.text(i)));
  }
  return rows;
}

function failure(text: string, options: CsvOptions = {}): CsvError {
  try {
    read(text, options, 65_536);
  } catch (error) {
    if (error instanceof CsvError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}

describe('reading records', () => {
  it.each([
    [
      'LF',
      'a,b\n1,2\n',
      [
        ['a', 'b'],
        ['1', '2'],
      ],
    ],
    [
      'CRLF',
      'a,b\r\n1,2\r\n',
      [
        ['a', 'b'],
        ['1', '2'],
      ],
    ],
    [
      'no line break at the end',
      'a,b\n1,2',
      [
        ['a', 'b'],
        ['1', '2'],
      ],
    ],
    [
      'a byte order mark',
      '\uFEFFa,b\n1,2',
      [
        ['a', 'b'],
        ['1', '2'],
      ],
    ],
    [
      'blank lines',
      '\n\r\na,b\n\n1,2\r\n\r\n',
      [
        ['a', 'b'],
        ['1', '2'],
      ],
    ],
    [
      'empty fields at every place',
      ',,\na,,b\n',
      [
        ['', '', ''],
        ['a', '', 'b'],
      ],
    ],
    [
      'an empty field at the very end',
      'a,b\n1,',
      [
        ['a', 'b'],
        ['1', ''],
      ],
    ],
    [
      'quoted separators, quotes and line breaks',
      '"a,""b""","c\r\nd"\n1,2',
      [
        ['a,"b"', 'c\r\nd'],
        ['1', '2'],
      ],
    ],
    ['a quoted field at the very end', 'a\n"b"', [['a'], ['b']]],
    ['one column', 'a\n1\n2\n', [['a'], ['1'], ['2']]],
    ['a quoted empty field as a record', 'a\n""\n', [['a'], ['']]],
    ['a quote inside an unquoted field as text', 'a"b,c\n', [['a"b', 'c']]],
    ['a byte order mark before a quoted field', '\uFEFF"a",b\n', [['a', 'b']]],
    [
      'letters beyond ASCII',
      'größe,价格\nä,€\n',
      [
        ['größe', '价格'],
        ['ä', '€'],
      ],
    ],
    ['nothing', '', []],
    ['nothing but blank lines', '\r\n\n', []],
  ])('takes %s, however the bytes are cut', (_name, text, rows) => {
    for (const size of [1, 2, 3, 1000]) expect(read(text, {}, size)).toEqual(rows);
  });

  it.each(separators)('finds out that the separator is %j', (separator) => {
    expect(read(`a${separator}b${separator}"x,x;x|x\tx"\n1${separator}2${separator}3\n`)[1]).toEqual(['1', '2', '3']);
  });

  it('does not look for the separator inside quotes', () => {
    expect(read('"a;b;c;d",e\n')).toEqual([['a;b;c;d', 'e']]);
  });

  it('gives numbers as numbers and NaN for text', () => {
    const numbers = [...readCsv([encode('1.5,"2", -3e2 ,x,')])].flatMap((record) =>
      Array.from({ length: record.count }, (_, i) => record.number(i)),
    );
    expect(numbers).toEqual([1.5, 2, -300, Number.NaN, Number.NaN]);
  });
});

describe('what a writer has written', () => {
  const field = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 12 }).filter((text) => text.isWellFormed()),
    fc.string({ unit: fc.constantFrom('"', ',', ';', '\t', '|', '\r', '\n', ' ', 'a', '\uFEFF'), maxLength: 8 }),
    fc.double().map(String),
  );
  const table = fc
    .integer({ min: 1, max: 6 })
    .chain((width) =>
      fc.array(fc.array(field, { minLength: width, maxLength: width }), { minLength: 1, maxLength: 12 }),
    );

  it.each(separators)('is read back the same with the separator %j, however the bytes are cut', (separator) => {
    fc.assert(
      fc.property(table, fc.integer({ min: 1, max: 50 }), (rows, size) => {
        const text = rows.map((row) => writeCsvRecord(row, separator)).join('');
        expect(read(text, { separator }, size)).toEqual(rows);
      }),
    );
  });

  it('is read back the same with the separator found out, when the header has plain names', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...separators),
        table.filter((rows) => rows[0].length > 1),
        (separator, rows) => {
          const all = [rows[0].map((_, i) => `c${i}`), ...rows];
          expect(read(all.map((row) => writeCsvRecord(row, separator)).join(''))).toEqual(all);
        },
      ),
    );
  });

  it('is read back the same when every field is quoted', () => {
    fc.assert(
      fc.property(table, (rows) => {
        const text = rows.map((row) => row.map((value) => `"${value.replaceAll('"', '""')}"`).join(',')).join('\n');
        expect(read(text, { separator: ',' })).toEqual(rows);
      }),
    );
  });
});

describe('malformed text', () => {
  it('never does anything but give records or a CsvError or a TypeError for bytes that are not UTF-8', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.integer({ min: 1, max: 20 }), (bytes, size) => {
        try {
          for (const row of read(bytes, {}, size)) expect(row.length).toBeGreaterThan(0);
        } catch (error) {
          expect(error instanceof CsvError || error instanceof TypeError).toBe(true);
        }
      }),
    );
  });

  it('names the record and the column of text after a closing quote', () => {
    expect(failure('a,b\n1,"2"x\n')).toMatchObject({
      record: 2,
      column: 3,
      message: 'there is text after the closing quote',
    });
  });

  it('says that a quote is never closed', () => {
    expect(failure('a,b\n1,"2\n3,4\n')).toMatchObject({ record: 2, column: 2, message: 'the quote is never closed' });
  });

  it.each(['a\nxxxxxxxxxxxxxxxxxxxx', 'a\n"xxxxxxxxxxxxxxxxxxxx"', 'a\n"xxxxxxxxxxxxxxxxxxxx'])(
    'refuses a field that is too long: %j',
    (text) => {
      expect(failure(text, { max_field_bytes: 16 }).message).toContain('longer than 16 bytes');
    },
  );

  it.each(['', '"'])('refuses a single field of 50 MB after its first megabytes: %j…', (quote) => {
    let taken = 0;
    const megabytes = function* () {
      yield new TextEncoder().encode(`a,b\n1,${quote}`);
      for (; taken < 50; taken += 1) yield new Uint8Array(10 ** 6).fill(0x78);
    };
    expect(() => [...readCsv(megabytes())]).toThrow('longer than 1048576 bytes');
    expect(taken).toBeLessThan(3);
  });

  it('refuses more columns than are allowed, also 100,000', () => {
    expect(failure('a,b,c\n', { max_columns: 2 }).message).toBe('there are more than 2 columns');
    expect(failure(`${'x,'.repeat(100_000)}x\n`, { max_columns: 65_536 }).message).toContain('more than 65536 columns');
  });
});
