import { describe, expect, test } from 'vitest';
import { finishDataset } from '../../src/datasets/finish.ts';
import type { ReadTable } from '../../src/datasets/formats.ts';
import { Problems } from '../../src/datasets/problems.ts';
import { Table } from '../../src/datasets/table.ts';

const places = { name: () => '', pointer: () => '' };

/** A table of the columns a, b and y. */
function tableOf(...rows: readonly (readonly [number, number, number])[]): Table {
  const limits = { max_values: 1000, max_categories: 10 };
  const options = {
    limits,
    places,
    problems: new Problems(),
    ignored: new Set<string>(),
    categorical: new Set<string>(),
  };
  const table = new Table({ names: ['a', 'b', 'y'], ...options }, 1000);
  table.addNumbers(Float64Array.from(rows.flat()));
  return table;
}

/** What is stored of the table. */
function stored(table: Table, missing: 'error' | 'mean' | 'drop' = 'error') {
  const read: ReadTable = { table, places, roleOf: (name) => (name === 'y' ? 'target' : 'input') };
  const parts: Uint8Array<ArrayBuffer>[] = [];
  const finish = { missing, task: 'regression', max_classes: 10 } as const;
  const { storage } = finishDataset([read], finish, new Problems(), (part) => void parts.push(part));
  const [{ buffer }] = parts;
  return storage.type === 'float32' ? new Float32Array(buffer) : new Float64Array(buffer);
}

const sixteenMillion = 2 ** 24;

describe('a table', () => {
  test('takes four bytes for a cell as long as that loses nothing', () => {
    const table = tableOf([1, 0.5, -0], [3.4e38 - (3.4e38 % 2 ** 110), 2 ** -149, sixteenMillion]);
    expect(table.values).toBeInstanceOf(Float32Array);
    expect(Object.is(table.values[2], -0)).toBe(true);
    expect(table.values[4]).toBe(2 ** -149);
  });

  test.each([0.1, sixteenMillion + 1, 1e39, 2 ** -150])('keeps %d and all that came before and after it', (value) => {
    const rows = [
      [1, Number.NaN, 3],
      [4, value, 6],
      [7, 8, value],
    ] as const;
    expect(Array.from(tableOf(...rows).values)).toEqual(rows.flat());
  });
});

describe('a data set', () => {
  test('is filled with a mean that float32 cannot hold, without rounding it', () => {
    const cells = stored(tableOf([1, 5, 7], [2, Number.NaN, 7], [Number.NaN, 6, 7], [2, 5, 7]), 'mean');
    expect(cells).toEqual(Float64Array.from([1, 5, 7, 2, 16 / 3, 7, 5 / 3, 6, 7, 2, 5, 7]));
  });

  test('whose only numbers that float32 cannot hold were in rows without all values is stored in it', () => {
    const table = tableOf([0.1, Number.NaN, 1], [2, 3, 4]);
    expect(stored(table, 'drop')).toEqual(Float32Array.from([2, 3, 4]));
  });
});
