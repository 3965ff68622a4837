import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Backend, BlockResult, TrainingBlock } from '../../../src/engine/backend.ts';
import { anyCase, largeCase } from './any-case.ts';
import { type Case, expectSame, fingerprint, prepare } from './compare.ts';

/** A hunt for more of them gives larger numbers and another seed. */
const [runs, largeRuns] = [120, 6];

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

it('so does a network with large batches', () => {
  fc.assert(
    fc.property(largeCase, (of) => {
      expectSame(of);
    }),
    { numRuns: largeRuns },
  );
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
    fc.property(
      fc.oneof({ weight: 9, arbitrary: anyCase }, { weight: 1, arbitrary: largeCase }),
      fc.nat(),
      (of, at) => {
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
      },
    ),
    { numRuns: runs / 2 },
  );
});
