import fc, { type Arbitrary } from 'fast-check';
import { expect, it } from 'vitest';
import { type ActivationSpec, activations } from '../../../src/engine/activations.ts';
import type { Backend, BlockResult, TrainingBlock } from '../../../src/engine/backend.ts';
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
import { type Case, expectSame, fingerprint, prepare } from './compare.ts';

/** Every combination of what a client can ask for; a hunt for more of them gives a larger number and another seed. */
const runs = 200;

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
function specOf<Table extends Readonly<Record<string, { readonly options: OptionTable }>>>(
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
const rarely = <T>(value: Arbitrary<T>) => fc.option(value, { nil: undefined, freq: 2 });
const activation = specOf(activations) as Arbitrary<ActivationSpec>;

const layer: Arbitrary<LayerDefinition> = fc
  .record({
    units: size,
    activation,
    use_bias: rarely(fc.boolean()),
    dropout: rarely(fc.constantFrom(0.1, 0.5, 0.97)),
    l1: rarely(fc.constantFrom(1e-3, 0.1)),
    l2: rarely(fc.constantFrom(1e-3, 0.1)),
    normalization: rarely(
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

const anyCase: Arbitrary<Case> = fc.record({
  definition,
  setup: fc.record({
    optimizer: specOf(optimizers, ['learning_rate']) as Arbitrary<OptimizerSpec>,
    clip_gradients: rarely(clip),
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

it('any network trains, predicts, evaluates and fails as the reference does, to the bit', () => {
  let finite = 0;
  let diverged = 0;
  fc.assert(
    fc.property(anyCase, (of) => {
      const { divergence } = expectSame(of);
      if (divergence === null) finite += 1;
      else diverged += 1;
    }),
    { numRuns: runs },
  );
  expect(Math.min(finite, diverged)).toBeGreaterThan(runs / 20);
});

/** Some steps of the first epoch, what is left of it, and the other epochs. */
function cutAt(block: TrainingBlock, batch: number, steps: number): TrainingBlock[] {
  const perEpoch = Math.ceil(block.epoch_rows / batch);
  const [row, rows] = [Math.min(steps * batch, block.epoch_rows), block.epoch_rows];
  const part = (from: number, to: number, epoch_rows: number, first: number, end: number): TrainingBlock => ({
    order: block.order.slice(from, to),
    epoch_rows,
    first_step: block.first_step + first,
    learning_rates: block.learning_rates.slice(first, end),
  });
  return [
    part(0, row, row, 0, steps),
    part(row, rows, rows - row, steps, perEpoch),
    part(rows, block.order.length, rows, perEpoch, block.learning_rates.length),
  ].filter(({ order }) => order.length > 0);
}

/** Trains block after block, each time by another back end that goes on from the state of the one before it. */
function trainInTurns(backends: readonly Backend[], blocks: readonly TrainingBlock[]): BlockResult {
  const losses: number[] = [];
  let divergence: BlockResult['divergence'] = null;
  let steps_done = 0;
  let before: Backend | null = null;
  for (const [i, block] of blocks.entries()) {
    if (divergence !== null) break;
    const backend = backends[i % backends.length];
    if (before !== null) backend.restore(before.state());
    const result = backend.train(block);
    losses.push(...result.losses);
    steps_done += result.steps_done;
    ({ divergence } = result);
    before = backend;
  }
  backends[0].restore(before!.state());
  return { steps_done, divergence, losses: Float64Array.from(losses) };
}

it('compiled anyhow, cut anywhere, a row alone or among others: in fused arithmetic it is the same bits', () => {
  fc.assert(
    fc.property(anyCase, fc.nat(), (of, at) => {
      const compiledBy = (options: Case['options']) =>
        prepare({ ...of, setup: { ...of.setup, arithmetic: 'fused' }, options: { ...of.options, ...options } });
      const narrow = compiledBy({ revectorized: false, tiny_after_steps: Infinity, piece_operations: undefined });
      const [tiny, wide] = [compiledBy({ tiny_after_steps: 0 }), compiledBy({ revectorized: true })];
      const { data, block, plan } = narrow;
      const backend = narrow.compiled();
      const result = backend.train(block);
      const widened = { ...result, losses: Float64Array.from(result.losses) };
      const want = fingerprint(backend, widened, data);

      const batch = of.setup.batch_size ?? 1;
      const blocks = cutAt(block, batch, 1 + (at % Math.ceil(block.epoch_rows / batch)));
      for (const kinds of [[tiny], [wide], [wide, tiny]]) {
        const backends = kinds.map((kind) => kind.compiled());
        const cut = trainInTurns(backends, kinds.length === 1 ? [block] : blocks);
        expect(fingerprint(backends[0], cut, data)).toEqual(want);
      }

      const outputs = backend.predict(data.inputs, data.rows);
      const row = at % data.rows;
      const { input_size: width, output_size: units } = plan;
      const alone = backend.predict(data.inputs.slice(row * width, (row + 1) * width), 1);
      expect(alone).toEqual(outputs.slice(row * units, (row + 1) * units));
    }),
    { numRuns: runs / 2 },
  );
});
