import { setImmediate } from 'node:timers';
import { describe, expect, it } from 'vitest';
import { plan } from '../../src/engine/plan.ts';
import { sourceProblems } from '../../src/services/data-checks.ts';
import { weightProblems } from '../../src/services/weight-checks.ts';

const planned = plan({
  input_size: 1,
  layers: [{ units: 2, activation: 'softmax' }],
  loss: 'sparse_categorical_cross_entropy',
  precision: 'float32',
});
/** Two pieces and a row. */
const rows = 2 ** 21 + 1;
const matrix = (values: Float64Array) => ({ rows, columns: 1, values, flat: true });
const data = (targets: Float64Array) => ({ inputs: matrix(new Float64Array(rows)), targets: matrix(targets) });

/** How often something else was given its turn while the work was done. */
async function turnsDuring(work: () => Promise<unknown>): Promise<number> {
  let turns = 0;
  let isDone = false;
  const turn = () => {
    turns += 1;
    if (!isDone) setImmediate(turn);
  };
  setImmediate(turn);
  await work();
  isDone = true;
  return turns;
}

describe('the checks of very many rows', () => {
  it('find bad targets in every piece, and no more of them than say something new', async () => {
    const targets = new Float64Array(rows);
    const bad = [0, 2 ** 20 - 1, 2 ** 20, 2 ** 21 - 1, 2 ** 21];
    for (const row of bad) targets[row] = 2;
    const found = await sourceProblems(data(targets), planned, '');
    expect(found.map(({ pointer }) => pointer)).toEqual(bad.map((row) => `/data/targets/${row}`));
    expect(await sourceProblems(data(targets.fill(2)), planned, '')).toHaveLength(10);
  });

  it('find a negative weight in the last piece, and a positive one there', async () => {
    const weigh = (values: Float64Array) =>
      weightProblems({ sample_weights: matrix(values) }, planned, data(new Float64Array(rows)));
    const weights = new Float64Array(rows);
    expect(await weigh(weights)).toMatchObject([{ pointer: '/sample_weights', code: 'invalid' }]);
    weights[rows - 1] = 1;
    expect(await weigh(weights)).toEqual([]);
    weights[rows - 1] = -1;
    expect(await weigh(weights)).toMatchObject([{ pointer: `/sample_weights/${rows - 1}`, code: 'out_of_range' }]);
  });

  it('let others have their turn between the pieces', async () => {
    const zeros = new Float64Array(rows);
    expect(await turnsDuring(() => sourceProblems(data(zeros), planned, ''))).toBeGreaterThanOrEqual(2);
    const given = { sample_weights: matrix(zeros) };
    expect(await turnsDuring(() => weightProblems(given, planned, data(zeros)))).toBeGreaterThanOrEqual(2);
  });
});
