import { expect, test } from 'vitest';
import { plan } from '../../../src/engine/plan.ts';
import { numbers } from '../compare.ts';
import { inEveryEngine } from './engines.ts';
import { float32Bounds } from './float32-bounds.ts';
import {
  dataOf,
  definitionOf,
  flatParameters,
  type GoldenNetwork,
  type GradientTruth,
  initialOf,
  readGolden,
} from './reference-data.ts';

type GradientCase = GoldenNetwork & { readonly expected: GradientTruth };

const { cases } = readGolden<{ cases: readonly GradientCase[] }>('2-gradient-cases.json');

/** Entries that are further off than they may be. */
function excess(what: string, got: ArrayLike<number>, want: readonly number[], bounds: readonly number[]): string[] {
  expect(got.length).toBe(want.length);
  return want.flatMap((value, i) => {
    const off = Math.abs(got[i] - value);
    return off <= bounds[i] ? [] : [`${what}[${i}]: got ${got[i]}, want ${value}, off by ${off}, allowed ${bounds[i]}`];
  });
}

test.each(inEveryEngine(cases))(
  '$id in float32: outputs, loss and every gradient are within the bound of their roundings: $engine, $arithmetic',
  ({ entry, create, arithmetic }) => {
    const { expected } = entry;
    const definition = definitionOf(entry);
    const exact = plan(definition);
    const bounds = float32Bounds(exact, initialOf(exact, entry), dataOf(entry));
    const planned = plan({ ...definition, precision: 'float32' });
    const data = dataOf(entry);
    // The first velocity is the gradient.
    const optimizer = { name: 'sgd', momentum: 0.9 } as const;
    const setup = { optimizer, arithmetic, batch_size: data.rows, seed: 0 } as const;
    const backend = create(planned, setup, data, initialOf(planned, entry));
    const outputs = backend.predict(data.inputs, data.rows);
    const order = Uint32Array.from({ length: data.rows }, (_, row) => row);
    const learning_rates = Float64Array.of(1);
    const { losses } = backend.train({ order, epoch_rows: data.rows, first_step: 1, learning_rates });
    const [velocities] = backend.state().slots;
    const gradients = flatParameters(expected.grad_weights, expected.grad_biases);
    expect([
      ...excess('outputs', outputs, numbers(expected.outputs), bounds.outputs),
      ...excess('loss', losses, [expected.loss], [bounds.loss]),
      ...excess('gradients', velocities, gradients, bounds.gradients),
    ]).toEqual([]);
    // No bound is so wide that a lost factor could hide in it.
    expect(Math.max(...bounds.gradients)).toBeLessThan(2 ** -10 * Math.max(...gradients.map(Math.abs)));
    expect(velocities.some((value, i) => value !== gradients[i])).toBe(true);
  },
);
