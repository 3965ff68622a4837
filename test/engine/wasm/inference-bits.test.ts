import { describe, expect, it } from 'vitest';
import { activations } from '../../../src/engine/activations.ts';
import type { NetworkDefinition } from '../../../src/engine/definition.ts';
import { noise, prepare, sha256 } from './compare.ts';

/** 192 rows are computed at a time, in tiles of 4, 5, 6 or 8. */
const rowCounts = [1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 127, 191, 192, 193, 385];

function network(more: Partial<NetworkDefinition>): NetworkDefinition {
  const layers = [
    { units: 9, activation: 'tanh' as const },
    { units: 3, activation: 'softmax' as const },
  ];
  return { input_size: 5, layers, loss: 'categorical_cross_entropy', ...more };
}

describe.each([true, false])('strict compiled inference gives the bits of the reference; fused pairs: %s', (fused) => {
  it.each(rowCounts)('for %d rows', (rows) => {
    for (const precision of ['float32', 'float64'] as const) {
      for (const loss of ['categorical_cross_entropy', 'sparse_categorical_cross_entropy'] as const) {
        const definition = network({ precision, loss });
        const of = {
          definition,
          setup: { optimizer: 'sgd' },
          rows,
          weighted: true,
          options: { revectorized: fused },
        } as const;
        const { data, compiled, reference } = prepare(of);
        const [fast, plain] = [compiled(), reference()];
        expect(sha256(fast.predict(data.inputs, rows))).toBe(sha256(plain.predict(data.inputs, rows)));
        expect(fast.evaluate(data)).toBe(plain.evaluate(data));
      }
    }
  });
});

it.each(Object.keys(activations) as (keyof typeof activations)[])(
  'gives the bits of the reference where the last layer is %s',
  (activation) => {
    for (const units of [1, 3, 4, 17]) {
      const layers = [{ units, activation }];
      const definition = network({ layers, loss: 'mean_squared_error' });
      const { data, compiled, reference } = prepare({ definition, setup: { optimizer: 'sgd' }, rows: 13 });
      const inputs = data.inputs.map((x, i) => x * 10 ** Math.floor(noise(i + 3) * 4 - 1));
      expect(sha256(compiled().predict(inputs, 13))).toBe(sha256(reference().predict(inputs, 13)));
    }
  },
);
