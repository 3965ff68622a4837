import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { JsonRowsError, readJsonLists, readNdjson } from '../../src/interop/json-rows.ts';

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
const pieces = (text: string, size: number): Uint8Array[] => {
  const bytes = encode(text);
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.slice(i * size, (i + 1) * size));
};
const lines = (text: string, size = 5) => [...readNdjson(pieces(text, size))];
const lists = (text: string, size = 5) => [...readJsonLists(pieces(text, size))];

describe('lines of JSON', () => {
  it('are read one by one, blank lines left out, however the bytes are cut', () => {
    const text = '\uFEFF{"a":1}\r\n\n[1,"\u00e9\\n"]\n  \n3';
    for (const size of [1, 2, 3, 100]) expect(lines(text, size)).toEqual([{ a: 1 }, [1, 'é\n'], 3]);
  });

  it('are read back as they were written', () => {
    fc.assert(
      fc.property(fc.array(fc.json(), { maxLength: 10 }), fc.integer({ min: 1, max: 40 }), (values, size) => {
        expect(lines(values.map((value) => JSON.stringify(JSON.parse(value))).join('\n'), size)).toEqual(
          values.map((value) => JSON.parse(value)),
        );
      }),
    );
  });

  it('name the row that is not JSON', () => {
    expect(() => lines('1\n2\nNaN\n')).toThrow(JsonRowsError);
    expect(() => lines('1\n2\nNaN\n')).toThrow('row 3');
  });
});

describe('an object of lists', () => {
  it('gives every entry with its field and row, however the bytes are cut', () => {
    const text = ' {"inputs" : [[1, 2], ["a,]\\"}", null] ] , "targets":[0,1], "none":[ ]} ';
    for (const size of [1, 2, 3, 100]) {
      expect(lists(text, size)).toEqual([
        { field: 'inputs', row: 0, value: [1, 2] },
        { field: 'inputs', row: 1, value: ['a,]"}', null] },
        { field: 'targets', row: 0, value: 0 },
        { field: 'targets', row: 1, value: 1 },
      ]);
    }
  });

  it('is read back as it was written', () => {
    const row = fc.array(fc.oneof(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.string()), { maxLength: 4 });
    fc.assert(
      fc.property(
        fc.dictionary(fc.string(), fc.array(row, { maxLength: 4 })),
        fc.integer({ min: 1, max: 40 }),
        (object, size) => {
          const text = JSON.stringify(object);
          const expected = Object.entries(JSON.parse(text) as Record<string, unknown[]>).flatMap(([field, values]) =>
            values.map((value, index) => ({ field, row: index, value })),
          );
          expect(lists(text, size)).toEqual(expected);
        },
      ),
    );
  });

  it.each([
    ['', 'must be a JSON object'],
    ['[1]', 'must be a JSON object'],
    ['{"a":[1]', 'A comma or the end of the object is missing'],
    ['{"a":1}', 'a must be a list'],
    ['{"a":[1,]}', 'not valid JSON in row 2 of a'],
    ['{"a":[1 2]}', 'not valid JSON in row 1 of a'],
    ['{"a":[1', 'ends within a list'],
    ['{"a":[[1,2}]}', 'not valid JSON in row 1 of a'],
    ['{"a":[NaN]}', 'not valid JSON in row 1 of a'],
    ['{"a":[1]} x', 'text after the end'],
    ['{a:[1]}', 'field name in double quotes'],
  ])('is refused with the place of the fault: %s', (text, message) => {
    expect(() => lists(text)).toThrow(JsonRowsError);
    expect(() => lists(text)).toThrow(message);
  });
});
