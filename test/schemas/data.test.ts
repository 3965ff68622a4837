import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { inlineData, matrixProblems, matrixSchema, rowsOf } from '../../src/schemas/data.ts';
import { check } from '../../src/schemas/issues.ts';

const faults = (value: unknown, rules = {}) =>
  matrixProblems(value, '/data/inputs', rules).problems.map(({ pointer, code }) => [pointer, code]);

describe('a matrix', () => {
  it('becomes one row-major typed array', () => {
    const { matrix } = matrixProblems(
      [
        [1, 2, 3],
        [4, -0, 5e-324],
      ],
      '',
    );
    expect(matrix).toEqual({ rows: 2, columns: 3, values: new Float64Array([1, 2, 3, 4, -0, 5e-324]), flat: false });
  });

  it('lies in shared memory where that is asked for', () => {
    expect(matrixProblems([[1]], '', { shared: true }).matrix?.values.buffer).toBeInstanceOf(SharedArrayBuffer);
    expect(matrixProblems([1], '', { shared: true, flat: true }).matrix?.values.buffer).toBeInstanceOf(
      SharedArrayBuffer,
    );
    expect(matrixProblems([[1]], '').matrix?.values.buffer).toBeInstanceOf(ArrayBuffer);
  });

  it('may be a list of numbers where that is allowed', () => {
    expect(matrixProblems([2, 0, 1], '', { flat: true }).matrix).toEqual({
      rows: 3,
      columns: 1,
      values: new Float64Array([2, 0, 1]),
      flat: true,
    });
    expect(faults([2, 0, 1])).toEqual([
      ['/data/inputs/0', 'wrong_type'],
      ['/data/inputs/1', 'wrong_type'],
      ['/data/inputs/2', 'wrong_type'],
    ]);
  });

  it.each([
    ['no list', 'text', [['/data/inputs', 'wrong_type']]],
    ['an object', { 0: [1] }, [['/data/inputs', 'wrong_type']]],
    ['null', null, [['/data/inputs', 'wrong_type']]],
    ['no rows', [], [['/data/inputs', 'empty']]],
    ['an empty row', [[1], []], [['/data/inputs/1', 'empty']]],
    ['a row that is no list', [[1], 7], [['/data/inputs/1', 'wrong_type']]],
    [
      'ragged rows',
      [[1, 2], [3], [4, 5, 6]],
      [
        ['/data/inputs/1', 'ragged_rows'],
        ['/data/inputs/2', 'ragged_rows'],
      ],
    ],
    [
      'cells that are no numbers',
      [
        [1, '2'],
        [null, true],
      ],
      [
        ['/data/inputs/0/1', 'wrong_type'],
        ['/data/inputs/1/0', 'wrong_type'],
        ['/data/inputs/1/1', 'wrong_type'],
      ],
    ],
    [
      'numbers that overflow',
      JSON.parse('[[1, 1e309], [-1e309, 2]]'),
      [
        ['/data/inputs/0/1', 'not_finite'],
        ['/data/inputs/1/0', 'not_finite'],
      ],
    ],
    ['a matrix of matrices', [[[1]]], [['/data/inputs/0/0', 'wrong_type']]],
  ])('with %s is refused with the pointer to each fault', (_what, value, expected) => {
    expect(faults(value)).toEqual(expected);
    expect(matrixProblems(value, '').matrix).toBeNull();
  });

  it('of the wrong width names the width that is needed', () => {
    const { problems } = matrixProblems(
      [
        [1, 2],
        [3, 4, 5],
      ],
      '/weights',
      { columns: 3 },
    );
    expect(problems).toEqual([
      { pointer: '/weights/0', code: 'width_mismatch', detail: 'Row 0 has 2 numbers, but each row needs 3.' },
    ]);
  });

  it('with endless faults reports the first ten', () => {
    expect(faults(Array(5000).fill(['x', 'y']))).toHaveLength(10);
    expect(faults(Array(5000).fill([]))).toHaveLength(10);
  });

  it('is not allocated before its shape is right', () => {
    const long = Array(20_000).fill(0);
    const value = [long, ...Array(20_000).fill([1])];
    expect(faults(value)[0]).toEqual(['/data/inputs/1', 'ragged_rows']);
  });

  it('goes back to the wire as it came', () => {
    const rows = [
      [1, 2],
      [3, 4],
      [5, 6],
    ];
    expect(rowsOf(matrixProblems(rows, '').matrix!.values, 2)).toEqual(rows);
  });
});

describe('a matrix as a field', () => {
  const schema = z.strictObject({ inputs: matrixSchema('Rows.'), epochs: z.int() });

  it('reports its faults together with those of the other fields', () => {
    const { problems } = check(schema, { inputs: [[1], ['x']], epohcs: 1 });
    expect(problems?.map(({ pointer, code }) => [pointer, code])).toEqual([
      ['/inputs/1/0', 'wrong_type'],
      ['/epochs', 'required'],
      ['/epohcs', 'unknown_field'],
    ]);
  });

  it('is required', () => {
    expect(check(schema, { epochs: 1 }).problems).toMatchObject([{ pointer: '/inputs', code: 'required' }]);
  });

  it('is documented as lists of numbers', () => {
    expect(z.toJSONSchema(matrixSchema('Rows.'), { io: 'input', unrepresentable: 'any' })).toMatchObject({
      type: 'array',
      items: { type: 'array', items: { type: 'number' } },
      description: 'Rows.',
    });
  });
});

describe('inline data', () => {
  it('need as many targets as inputs', () => {
    expect(check(inlineData, { inputs: [[1], [2]], targets: [[1]] }).problems).toEqual([
      { pointer: '/targets', code: 'row_mismatch', detail: 'There are 2 rows of inputs but 1 of targets.' },
    ]);
  });
});
