import { expect, test } from 'vitest';
import type { Driver } from '../../src/store/driver.ts';
import { points } from '../../src/store/points.ts';
import { collect } from './records.ts';

/** A database that holds one row of points. */
const holding = (row: object) => ({ query: async () => [row] }) as unknown as Driver;

test('points from before columns had types are read: names only, float64 values one column after the other', async () => {
  const values = Float64Array.of(3, 2, Number.NaN, 0.1, 0.1, 0.2);
  const row = {
    resolution: 'step',
    first_index: 5,
    last_index: 7,
    series: '["loss","learning_rate"]',
    data: new Uint8Array(values.buffer),
  };
  const chunks = await collect(points(holding(row)).chunks('job_a', 'step'));
  const series = { loss: values.slice(0, 3), learning_rate: values.slice(3) };
  expect(chunks).toEqual([{ resolution: 'step', first: 5, count: 3, series }]);
});
