import { describe, expect, it } from 'vitest';
import { finiteOrNot, fromWire, metadata, text, toTimestamp, toWire } from '../../src/schemas/common.ts';
import { check } from '../../src/schemas/issues.ts';

describe('the number that may be non-finite', () => {
  it.each([0, -0, 1.5, 5e-324, Number.MAX_VALUE, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])(
    '%d survives the wire',
    (value) => {
      const wire = JSON.parse(JSON.stringify(toWire(value)));
      expect(finiteOrNot.safeParse(wire).success).toBe(true);
      expect(fromWire(wire)).toBe(value === 0 ? 0 : value);
    },
  );

  it('is no other string, and no null', () => {
    for (const value of ['1', 'nan', 'inf', null, Number.NaN]) expect(finiteOrNot.safeParse(value).success).toBe(false);
  });
});

it('times are RFC 3339 in UTC', () => expect(toTimestamp(0)).toBe('1970-01-01T00:00:00.000Z'));

it('metadata are any JSON but numbers that overflow', () => {
  expect(check(metadata, { a: null, b: [{ c: 'x' }] }).problems).toBeUndefined();
  expect(check(metadata, JSON.parse('{"a": [0, {"b": -1e309}]}')).problems).toMatchObject([
    { pointer: '/a/1/b', code: 'not_finite' },
  ]);
  expect(check(metadata, []).problems).toMatchObject([{ pointer: '', code: 'wrong_type' }]);
});

it('text is what every database can keep', () => {
  expect(check(text(5), 'naïve').problems).toBeUndefined();
  expect(check(text(5), '').problems).toMatchObject([{ code: 'wrong_length' }]);
  expect(check(text(5), 'longer').problems).toMatchObject([{ code: 'wrong_length' }]);
  for (const bad of ['a\0', '\ud800']) expect(check(text(5), bad).problems).toMatchObject([{ code: 'invalid' }]);
});
