import { describe, expect, test } from 'vitest';
import type { Backend, TrainingSetup } from '../../../src/engine/backend.ts';
import { type ArithmeticMode, arithmetics } from '../../../src/engine/definition.ts';
import { plan } from '../../../src/engine/plan.ts';
import { createReferenceBackend } from '../../../src/engine/reference/backend.ts';
import { createWasmBackend } from '../../../src/engine/wasm/backend.ts';
import { expectClose } from '../compare.ts';
import {
  clipOf,
  dataOf,
  definitionOf,
  flatParameters,
  type GoldenClip,
  type GoldenNetwork,
  initialOf,
  optimizerOf,
  readGolden,
  type Trace,
} from '../golden/reference-data.ts';

const { traces } = readGolden<{ traces: readonly Trace[] }>('3-training-traces.json');
const torture = readGolden<{
  single_step: readonly (GoldenNetwork & { readonly clip?: GoldenClip })[];
  training: readonly (Trace & { readonly expected: { readonly steps_requested: number } })[];
}>('5-overflow-torture.json');

/** The rule of the reference data; 18 steps of sums of a dozen terms stay far below it, fused or not. */
const tolerance = { relative: 1e-10, absolute: 1e-12 };

function setupOf(
  entry: GoldenNetwork,
  optimizer: object,
  clip: GoldenClip | null | undefined,
  batch: number,
  arithmetic: ArithmeticMode,
) {
  const setup: TrainingSetup = {
    optimizer: optimizerOf(optimizer),
    clip_gradients: clipOf(clip),
    arithmetic,
    batch_size: batch,
    seed: 0,
  };
  const planned = plan(definitionOf(entry));
  return [planned, setup, dataOf(entry), initialOf(planned, entry)] as const;
}

function compile(of: ReturnType<typeof setupOf>, tiny_after_steps: number): Backend {
  const backend = createWasmBackend(...of, { tiny_after_steps });
  if ('unsupported' in backend) throw new Error(backend.unsupported);
  return backend;
}

const variants = arithmetics.flatMap((arithmetic) =>
  (
    [
      ['tiles', Infinity],
      ['unrolled', 0],
    ] as const
  ).map(([name, after]) => ({ arithmetic, name, after })),
);

describe.each(variants)('float64, $arithmetic, $name', ({ arithmetic, after }) => {
  test.each(traces)('$id: loss and every parameter are those of PyTorch after every step', (trace) => {
    const batch = Math.max(...trace.steps.map((step) => step.batch.length));
    const backend = compile(setupOf(trace, trace.optimizer, trace.clip, batch, arithmetic), after);
    for (const want of trace.steps) {
      const { losses, divergence } = backend.train({
        order: Uint32Array.from(want.batch),
        epoch_rows: want.batch.length,
        first_step: want.step,
        learning_rates: Float64Array.of(want.lr),
      });
      expect(divergence).toBeNull();
      expectClose(losses, [want.loss], tolerance, `loss of step ${want.step}`);
      const parameters = flatParameters(want.weights, want.biases);
      expectClose(backend.state().parameters, parameters, tolerance, `parameters after step ${want.step}`);
    }
    expectClose(backend.predict(dataOf(trace).inputs, trace.x.length), trace.final.outputs, tolerance, 'outputs');
    expectClose([backend.evaluate(dataOf(trace))], trace.final.loss_full_batch, tolerance, 'final loss');
  });
});

describe.each(variants.filter(({ arithmetic }) => arithmetic === 'strict'))(
  'at the edge of the numbers, $name',
  ({ after }) => {
    const cases = [
      ...torture.single_step.map((entry) => ({ entry, id: entry.id, optimizer: { name: 'sgd', lr: 0 }, steps: 1 })),
      ...torture.training.map((entry) => ({
        entry,
        id: entry.id,
        optimizer: entry.optimizer,
        steps: entry.expected.steps_requested,
      })),
    ];

    test.each(cases)('$id ends as the reference ends, in every bit', ({ entry, optimizer, steps }) => {
      const rows = entry.x.length;
      const of = setupOf(entry, optimizer, entry.clip, rows, 'strict');
      const block = {
        order: Uint32Array.from({ length: steps * rows }, (_, i) => i % rows),
        epoch_rows: rows,
        first_step: 1,
        learning_rates: new Float64Array(steps).fill(optimizer.lr),
      };
      const [compiled, reference] = [compile(of, after), createReferenceBackend(...of)];
      expect(compiled.train(block)).toEqual(reference.train(block));
      expect(compiled.state()).toEqual(reference.state());
      const { inputs } = dataOf(entry);
      expect(compiled.predict(inputs, rows)).toEqual(reference.predict(inputs, rows));
    });
  },
);
