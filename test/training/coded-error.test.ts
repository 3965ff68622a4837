import { expect, test } from 'vitest';
import { CheckpointError } from '../../src/training/checkpoint.ts';
import { codedError } from '../../src/training/coded-error.ts';

test('an error keeps its own code', () => {
  expect(codedError(new CheckpointError('checkpoint_damaged', 'cut off'))).toEqual({
    code: 'checkpoint_damaged',
    message: 'cut off',
  });
});

test('memory that cannot be had is told apart from a wrong value', () => {
  const thrownBy = (action: () => unknown): unknown => {
    try {
      return action();
    } catch (error) {
      return error;
    }
  };
  expect(codedError(thrownBy(() => new Float64Array(2 ** 50))).code).toBe('out_of_memory');
  expect(codedError(thrownBy(() => new ArrayBuffer(2 ** 50))).code).toBe('out_of_memory');
  expect(codedError(new RangeError('unknown name "x"')).code).toBe('invalid_request');
});

test('anything else is a fault of ours', () => {
  expect(codedError(new TypeError('x is not a function')).code).toBe('internal_error');
  expect(codedError('a string').message).toBe('a string');
});
