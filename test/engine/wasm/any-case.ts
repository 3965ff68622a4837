/** Networks, data and settings drawn at random for properties that hold for all of them. */
import fc, { type Arbitrary } from 'fast-check';
import { type ActivationSpec, activations } from '../../../src/engine/activations.ts';
import {
  type ClipGradients,
  type LayerDefinition,
  type NetworkDefinition,
  precisions,
  reductions,
} from '../../../src/engine/definition.ts';
import { type LossSpec, losses } from '../../../src/engine/losses.ts';
import { type OptimizerSpec, optimizers } from '../../../src/engine/optimizers.ts';
import type { Option, OptionTable } from '../../../src/engine/options.ts';
import { undefinedPair } from '../../../src/engine/output-loss.ts';
import { plan as planOf } from '../../../src/engine/plan.ts';
import type { Case } from './compare.ts';

function optionValue(option: Option): Arbitrary<number | boolean> {
  if (option.type === 'boolean') return fc.boolean();
  const [least, most] = [option.minimum ?? option.exclusive_minimum ?? -2, option.maximum ?? option.exclusive_maximum];
  const inner = fc.double({
    min: least,
    max: most ?? least + 2,
    minExcluded: option.exclusive_minimum !== undefined,
    maxExcluded: option.exclusive_maximum !== undefined,
    noNaN: true,
  });
  // The ends of a range of reals are numbers such as 5e-324, which would be most of what is drawn.
  const usual = inner.map((value) => Math.fround(value)).filter((value) => isWithin(option, value));
  return option.integer ? fc.integer({ min: least, max: most ?? least + 2 }) : usual;
}

function isWithin(option: Option, value: number): boolean {
  if (option.type === 'boolean') return false;
  const {
    minimum = -Infinity,
    maximum = Infinity,
    exclusive_minimum = -Infinity,
    exclusive_maximum = Infinity,
  } = option;
  return value >= minimum && value <= maximum && value > exclusive_minimum && value < exclusive_maximum;
}

/** An entry of a table by its name and some of its options; those without a default are always there. */
export function specOf<Table extends Readonly<Record<string, { readonly options: OptionTable }>>>(
  table: Table,
  without: readonly string[] = [],
): Arbitrary<{ readonly name: string }> {
  return fc.constantFrom(...Object.keys(table)).chain((name) => {
    const entries = Object.entries(table[name].options).filter(([key]) => !without.includes(key));
    const values = Object.fromEntries(entries.map(([key, option]) => [key, optionValue(option)]));
    const requiredKeys = entries.filter(([, option]) => option.default === undefined).map(([key]) => key);
    return fc.record(values, { requiredKeys }).map((options) => ({ name, ...options }));
  });
}

const size = fc.oneof(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 40 }), fc.constantFrom(63, 65, 127));
export const sometimes = <T>(value: Arbitrary<T>) => fc.option(value, { nil: undefined, freq: 2 });
const activation = specOf(activations) as Arbitrary<ActivationSpec>;

const layer: Arbitrary<LayerDefinition> = fc
  .record({
    units: size,
    activation,
    use_bias: sometimes(fc.boolean()),
    dropout: sometimes(fc.constantFrom(0.1, 0.5, 0.97)),
    l1: sometimes(fc.constantFrom(1e-3, 0.1)),
    l2: sometimes(fc.constantFrom(1e-3, 0.1)),
    normalization: sometimes(
      fc.constantFrom({ batch_norm: true }, { batch_norm: { momentum: 0.3 } }, { layer_norm: true }),
    ),
  })
  .map(({ normalization, ...rest }) => ({ ...rest, ...normalization }));

const definition: Arbitrary<NetworkDefinition> = fc
  .record({
    input_size: size,
    layers: fc.array(layer, { minLength: 1, maxLength: 4 }),
    loss: fc
      .record({ spec: specOf(losses), reduction: fc.constantFrom(...reductions) })
      .map(({ spec, reduction }) => ({ ...spec, reduction }) as LossSpec),
    precision: fc.constantFrom(...precisions),
  })
  .map(({ layers, ...rest }) => ({
    ...rest,
    layers: layers.map((one, i) => (i === layers.length - 1 ? { ...one, dropout: 0 } : one)),
  }))
  .filter((network) => {
    const { layers, loss } = planOf(network);
    return undefinedPair(layers[layers.length - 1].activation, loss) === null;
  });

const clip: Arbitrary<ClipGradients> = fc.constantFrom(
  { max_norm: 0.05 },
  { max_norm: 3, epsilon: 0 },
  { max_value: 0.01 },
);

/** Every combination of what a client can ask for, on networks of up to four layers of up to 127 units. */
export const anyCase: Arbitrary<Case> = fc.record({
  definition,
  setup: fc.record({
    optimizer: specOf(optimizers, ['learning_rate']) as Arbitrary<OptimizerSpec>,
    clip_gradients: sometimes(clip),
    batch_size: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.constantFrom(31, 33, 64)),
    seed: fc.nat(),
  }),
  rows: fc.integer({ min: 1, max: 70 }),
  epochs: fc.integer({ min: 1, max: 4 }),
  weighted: fc.boolean(),
  apart: fc.boolean(),
  learning_rate: fc.constantFrom(1e-4, 0.02, 0.5, 10, 1e6),
  // So small that products vanish, so large that they overflow, or as usual.
  scale: fc.oneof(
    { weight: 4, arbitrary: fc.constant(1) },
    { weight: 1, arbitrary: fc.constantFrom(1e-30, 1e-9, 1e4, 1e15, 1e30) },
  ),
  options: fc.record({
    revectorized: fc.boolean(),
    // So few that a phase of a larger network is cut into some or into hundreds of pieces.
    piece_operations: fc.constantFrom(undefined, 20_000, 500_000),
  }),
});

/** Batches so large that their rows are fetched ahead, and often so large that the factors of the gradients are packed. */
export const largeCase: Arbitrary<Case> = fc
  .record({
    of: anyCase,
    input_size: fc.integer({ min: 257, max: 1100 }),
    units: fc.integer({ min: 60, max: 140 }),
    batch_size: fc.integer({ min: 64, max: 140 }),
    rest: fc.integer({ min: 0, max: 60 }),
  })
  .map(({ of: { definition, setup, ...of }, input_size, units, batch_size, rest }) => ({
    ...of,
    definition: { ...definition, input_size, layers: [{ units, activation: 'relu' }, ...definition.layers] },
    setup: { ...setup, batch_size },
    rows: batch_size + rest,
    epochs: 1,
    options: { ...of.options, piece_operations: undefined },
  }));
