import { describe, expect, it } from 'vitest';
import { encodeRows, type Features, featureMismatch } from '../../src/datasets/features.ts';

const features: Features = {
  columns: [
    { name: 'size', categories: null },
    { name: 'colour', categories: ['blue', 'red'] },
    { name: 'a/b', categories: null },
  ],
  classes: ['no', 'yes'],
};
const encode = (...rows: unknown[]) => encodeRows(features, rows, '/inputs');
const faults = (...rows: unknown[]) => encode(...rows).problems.map(({ pointer, code }) => [pointer, code]);

describe('rows in the client’s columns', () => {
  it('become features by name, in any order, and by place', () => {
    const { values } = encode({ colour: 'red', 'a/b': 3, size: 1.5 }, [2, 'blue', true]);
    expect([...values!]).toEqual([1.5, 0, 1, 3, 2, 1, 0, 1]);
  });

  it.each([
    [{ size: 1, colour: 'red' }, '/inputs/0/a~1b', 'required'],
    [{ size: 1, colour: 'red', 'a/b': null }, '/inputs/0/a~1b', 'required'],
    [{ size: 1, colour: 'green', 'a/b': 1 }, '/inputs/0/colour', 'unknown_name'],
    [{ size: 'big', colour: 'red', 'a/b': 1 }, '/inputs/0/size', 'wrong_type'],
    [{ size: Infinity, colour: 'red', 'a/b': 1 }, '/inputs/0/size', 'not_finite'],
    [{ size: 1, colour: 'red', 'a/b': 1, shape: 2 }, '/inputs/0/shape', 'unknown_field'],
    [[1, 'red'], '/inputs/0', 'ragged_rows'],
    ['red', '/inputs/0', 'wrong_type'],
    [[[1], 'red', 1], '/inputs/0/0', 'wrong_type'],
    [{ size: 1, colour: 'red', 'a/b': 1, ['__proto__']: 2 }, '/inputs/0/__proto__', 'unknown_field'],
  ])('are refused at their place: %j', (row, pointer, code) => {
    expect(faults(row)).toEqual([[pointer, code]]);
  });

  it('are refused with every problem, at most 20', () => {
    expect(faults([1, 'red', 'x'], [1, 'x', 2])).toHaveLength(2);
    expect(faults(...Array(30).fill([1, 'red', 'x']))).toHaveLength(20);
  });
});

describe('rows of another data set', () => {
  it('mean the same when texts and classes have the same numbers', () => {
    expect(featureMismatch(features, { ...features, classes: ['no'] })).toBeNull();
    expect(featureMismatch(features, { ...features, classes: null })).toBeNull();
  });

  it('mean something else when a text or a class is numbered differently', () => {
    const columns = [features.columns[0], { name: 'colour', categories: ['red'] }, features.columns[2]];
    expect(featureMismatch(features, { ...features, columns })).toContain('"colour"');
    expect(featureMismatch(features, { ...features, classes: ['yes'] })).toContain('"yes"');
  });
});
