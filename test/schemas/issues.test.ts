import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { check, jsonPointer, nearest, shown } from '../../src/schemas/issues.ts';

const problemsOf = (schema: z.ZodType, value: unknown) => check(schema, value).problems ?? [];
const first = (schema: z.ZodType, value: unknown) => problemsOf(schema, value)[0];

describe('pointers', () => {
  it('escape what RFC 6901 escapes', () => {
    expect(jsonPointer(['a/b', 0, 'm~n', ''])).toBe('/a~1b/0/m~0n/');
    expect(jsonPointer([])).toBe('');
  });
});

describe('the name that was meant', () => {
  const known = ['relu', 'leaky_relu', 'elu', 'epsilon', 'sigmoid', 'softmax'];

  it.each([
    ['rleu', 'relu'],
    ['Sigmoid', 'sigmoid'],
    ['soft_max', 'softmax'],
    ['leakyrelu', 'leaky_relu'],
    ['eps', 'epsilon'],
    ['LeakyReLU', 'leaky_relu'],
  ])('%s → %s', (written, meant) => expect(nearest(written, known)).toBe(meant));

  it.each(['momentum', 'x', '', 'y'.repeat(5000)])('is not guessed for %s', (written) =>
    expect(nearest(written, known)).toBeUndefined(),
  );
});

describe('problems of a value', () => {
  it('one for each unknown key, also where the key looks like a path', () => {
    const schema = z.strictObject({ epochs: z.int(), nested: z.strictObject({ units: z.int() }).optional() });
    const problems = problemsOf(schema, { epochs: 1, epcohs: 2, 'a/b': 3, nested: { units: 1, untis: 2 } });
    expect(problems.map(({ pointer, code, did_you_mean }) => [pointer, code, did_you_mean])).toEqual([
      ['/nested/untis', 'unknown_field', 'units'],
      ['/epcohs', 'unknown_field', 'epochs'],
      ['/a~1b', 'unknown_field', undefined],
    ]);
    expect(problems[1].allowed).toEqual(['epochs', 'nested']);
  });

  it('of a union are those of the alternative that has the right type', () => {
    const schema = z.union([z.boolean(), z.strictObject({ epsilon: z.number().gt(0) })]);
    expect(first(schema, { epsilon: 0 })).toMatchObject({
      pointer: '/epsilon',
      code: 'out_of_range',
      detail: 'epsilon must be greater than 0, but is 0.',
    });
    expect(first(schema, 'yes')).toMatchObject({
      pointer: '',
      code: 'wrong_type',
      detail: 'The body must be true or false or an object, but is a string.',
    });
  });

  it('of a union of objects are those of the nearest alternative', () => {
    const schema = z.union([
      z.strictObject({ max_norm: z.number().gt(0), epsilon: z.number().optional() }),
      z.strictObject({ max_value: z.number().gt(0) }),
    ]);
    expect(problemsOf(schema, { max_norm: -1, epsilon: 1 })).toMatchObject([
      { pointer: '/max_norm', code: 'out_of_range' },
    ]);
    expect(problemsOf(schema, { max_value: 0 })).toMatchObject([{ pointer: '/max_value', code: 'out_of_range' }]);
  });

  it('of a union of objects are not those of one that does not know the fields', () => {
    const schema = z.union([
      z.strictObject({ fraction: z.number().optional() }),
      z.strictObject({ rows: z.int().min(1) }),
    ]);
    expect(problemsOf(schema, { rows: 0 })).toMatchObject([{ pointer: '/rows', code: 'out_of_range' }]);
  });

  it('of names that stand in several alternatives list them all', () => {
    const schema = z.union([z.literal('auto'), z.enum(['none', 'all'])]);
    expect(first(schema, 'al')).toMatchObject({
      code: 'unknown_name',
      allowed: ['auto', 'none', 'all'],
      did_you_mean: 'all',
    });
  });

  it.each([
    [z.int().min(1), 0.5, 'wrong_type', 'The body must be an integer, but is 0.5.'],
    [z.number().max(1), 2, 'out_of_range', 'The body must be at most 1, but is 2.'],
    [
      z.number(),
      Number.POSITIVE_INFINITY,
      'not_finite',
      'The body is too large for a float64; the largest is about 1.8e308.',
    ],
    [
      z.int(),
      Number.POSITIVE_INFINITY,
      'not_finite',
      'The body is too large for a float64; the largest is about 1.8e308.',
    ],
    [z.string().max(3), 'four', 'wrong_length', 'The body must have at most 3 characters.'],
    [z.array(z.int()).min(1), [], 'empty', 'The body must have at least 1 entries.'],
    [z.array(z.int()).max(1), [1, 2], 'wrong_length', 'The body must have at most 1 entries.'],
    [z.string(), undefined, 'required', 'The body must be given: a string.'],
    [z.string(), null, 'wrong_type', 'The body must be a string, but is null.'],
    [z.record(z.string(), z.int()), [], 'wrong_type', 'The body must be an object, but is an array.'],
  ])('%# say what would be right', (schema, value, code, detail) => {
    expect(first(schema, value)).toMatchObject({ pointer: '', code, detail });
  });

  it('an unset field in an object is required, at its own pointer', () => {
    expect(problemsOf(z.strictObject({ a: z.strictObject({ b: z.int() }) }), { a: {} })).toMatchObject([
      { pointer: '/a/b', code: 'required' },
    ]);
  });
});

it('repeats only the beginning of a long value', () => {
  expect(shown('x'.repeat(1000))).toHaveLength(58);
  expect(shown({ secret: 1 })).toBe('an object');
});
