import { describe, expect, test } from 'vitest';
import { coveringCells, nameOf, stepsThatDiffer } from '../../scripts/resume-grid.ts';

describe('a run of 200 steps resumed at any of them ends in the bytes and the history of an undisturbed one', () => {
  test.each(coveringCells.map((cell) => [nameOf(cell), cell] as const))('%s', (_name, cell) => {
    expect(stepsThatDiffer(cell)).toEqual([]);
  });
});
