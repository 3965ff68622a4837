import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { locateJsonFault } from '../../src/http/json-position.ts';

const parses = (text: string): boolean => {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
};

describe('the fault of a text that is not JSON', () => {
  it.each([
    ['', 0, 'a value'],
    ['  ', 2, 'a value'],
    ['[1,]', 3, 'a value'],
    ['[1 2]', 3, '"," or "]"'],
    ['{"a" 1}', 5, '":"'],
    ['{"a":1,}', 7, 'a key in double quotes'],
    ['{"a":1', 6, '"," or "}"'],
    ['"abc', 4, 'the closing quote of the string'],
    ['"a\nb"', 2, 'a valid character or escape in the string'],
    ['"\\x41"', 1, 'a valid character or escape in the string'],
    ['"\\u12G4"', 1, 'a valid character or escape in the string'],
    ['01', 1, 'the end of the text'],
    ['1.', 1, 'the end of the text'],
    ['+1', 0, 'a value'],
    ['.5', 0, 'a value'],
    ['tru', 0, 'a value'],
    ['[]]', 2, 'the end of the text'],
  ])('of %j is at %i: expected %s', (text, offset, expected) => {
    expect(locateJsonFault(text)).toMatchObject({ offset, expected });
  });

  it('has the line and the column, counted from 1', () => {
    expect(locateJsonFault('{\n "a": 1,\n "b": x\n}')).toMatchObject({ line: 3, column: 7 });
  });

  it('of a bottomless text is found without a stack', () => {
    expect(locateJsonFault('[{"a":'.repeat(200_000))).toMatchObject({ offset: 1_200_000, expected: 'a value' });
    expect(locateJsonFault(`"${'x'.repeat(5_000_000)}`)).toMatchObject({ expected: 'the closing quote of the string' });
  });

  it('exists exactly when JSON.parse refuses the text', () => {
    const json = fc.json();
    const damaged = fc
      .tuple(
        json,
        fc.nat(),
        fc.constantFrom('', ',', '"', '}', ']', '{', '[', '\\', ':', '0', '.', 'e', '-', '\n', 'null'),
      )
      .map(([text, at, piece]) => {
        const place = at % (text.length + 1);
        return text.slice(0, place) + piece + text.slice(place + (at % 3));
      });
    fc.assert(
      fc.property(fc.oneof(json, damaged), (text) => (locateJsonFault(text) === null) === parses(text)),
      { numRuns: 2000, seed: 42 },
    );
    expect(locateJsonFault(' {"a": [1, -0.5e+3, "\\u00e9", true, null, {}]} ')).toBeNull();
  });
});
