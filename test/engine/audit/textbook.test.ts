import { expect, test } from 'vitest';
import { audit } from '../../../src/engine/audit/audit.ts';
import type { Exercise } from '../../../src/engine/audit/hypotheses.ts';
import type { NetworkDefinition } from '../../../src/engine/definition.ts';
import { toWire } from '../../../src/engine/parameters.ts';
import { plan } from '../../../src/engine/plan.ts';
import { uniform } from '../../../src/engine/prng.ts';

type Matrix = number[][];
const sigmoid = (z: number) => 1 / (1 + Math.E ** -z);

/** Features first, one column per sample, sums from the last to the first: as a course would write it, none of it ours. */
function textbookGradients(weights: Matrix[], biases: Matrix, X: Matrix, Y: Matrix, round: (x: number) => number) {
  const m = X[0].length;
  const dot = (n: number, term: (k: number) => number) => {
    let sum = 0;
    for (let k = n - 1; k >= 0; k--) sum = round(sum + round(term(k)));
    return sum;
  };
  const layers = [X];
  for (const [l, W] of weights.entries()) {
    const A = layers[l];
    const column = (row: number[], unit: number, j: number) =>
      round(dot(row.length, (k) => row[k] * A[k][j]) + biases[l][unit]);
    layers.push(W.map((row, unit) => A[0].map((_, j) => round(sigmoid(column(row, unit, j))))));
  }
  let dA = Y.map((row, i) =>
    row.map((y, j) => {
      const a = layers[layers.length - 1][i][j];
      return round(-(y / a) + (1 - y) / (1 - a));
    }),
  );
  const gradients: { weights: Matrix; biases: number[] }[] = [];
  for (let l = weights.length - 1; l >= 0; l--) {
    const dZ = dA.map((row, i) =>
      row.map((d, j) => round(d * round(layers[l + 1][i][j] * round(1 - layers[l + 1][i][j])))),
    );
    gradients.unshift({
      weights: dZ.map((row) => layers[l].map((a) => round(dot(m, (j) => row[j] * a[j]) / m))),
      biases: dZ.map((row) => round(dot(m, (j) => row[j]) / m)),
    });
    const W = weights[l];
    dA = layers[l].map((_, k) => Array.from({ length: m }, (_, j) => dot(W.length, (i) => W[i][k] * dZ[i][j])));
  }
  return gradients;
}

const transposed = (matrix: Matrix): Matrix => matrix[0].map((_, column) => matrix.map((row) => row[column]));

const roundings: readonly (readonly [string, (x: number) => number])[] = [
  ['float64', (x) => x],
  ['float32', Math.fround],
];

test.each(roundings.flatMap(([name, round]) => [1, 4, 12].map((scale) => [name, scale, round] as const)))(
  'right gradients of textbook code in %s are not accused, with weights up to %i',
  (_name, scale, round) => {
    for (let seed = 1; seed <= 20; seed++) {
      let drawn = 0;
      const draw = () => uniform(seed, 'audit', 30, drawn++);
      const definition: NetworkDefinition = {
        input_size: 3,
        layers: [4, 3, 2].map((units) => ({ units, activation: 'sigmoid' })),
        loss: { name: 'binary_cross_entropy', reduction: 'batch_mean' },
        precision: 'float64',
      };
      const planned = plan(definition);
      const parameters = Float64Array.from({ length: planned.parameter_count }, () =>
        Math.fround(scale * (2 * draw() - 1)),
      );
      const rows = 7;
      const inputs = Array.from({ length: rows }, () => [0, 0, 0].map(() => Math.fround(4 * draw() - 2)));
      const targets = Array.from({ length: rows }, () => [0, 0].map(() => (draw() < 0.5 ? 0 : 1)));
      const { layers } = toWire(planned, parameters);
      const weights = layers.map((layer) => layer.weights.map((row) => [...row]));
      const biases = layers.map((layer) => [...(layer.biases ?? [])]);
      const sent = textbookGradients(weights, biases, transposed(inputs), transposed(targets), round);
      const exercise: Exercise = {
        plan: planned,
        values: { parameters, statistics: new Float64Array(0) },
        data: { rows, inputs: Float64Array.from(inputs.flat()), targets: Float64Array.from(targets.flat()) },
        kind: 'gradients',
        learning_rate: 0.1,
      };
      if (!sent.every((layer) => [...layer.weights.flat(), ...layer.biases].every(Number.isFinite))) continue;
      expect(audit(exercise, sent).result).toMatchObject({ verdict: 'correct' });
    }
  },
);
