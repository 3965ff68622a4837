import { describe, expect, test } from 'vitest';
import type { Divergence } from '../../../src/engine/backend.ts';
import { clipGradients, globalNorm } from '../../../src/engine/clipping.ts';
import { float64 } from '../../../src/engine/math/float64.ts';
import { plan } from '../../../src/engine/plan.ts';
import { createReferenceBackend } from '../../../src/engine/reference/backend.ts';
import { backwardPass } from '../../../src/engine/reference/backward.ts';
import { expectClose } from '../compare.ts';
import {
  clipOf,
  dataOf,
  definitionOf,
  flatParameters,
  type GoldenClip,
  type GoldenNetwork,
  initialOf,
  type Matrix,
  optimizerOf,
  readGolden,
  type Value,
} from './reference-data.ts';

interface TortureCase extends GoldenNetwork {
  readonly what: string;
  readonly level: 'required' | 'finite_or_reported' | 'strict';
  readonly clip?: GoldenClip;
}

type Place = Pick<Divergence, 'step' | 'quantity' | 'layer'>;

interface SingleStep extends TortureCase {
  readonly expected: {
    readonly status: 'finite' | 'overflow';
    readonly first_non_finite?: Place;
    readonly loss?: Value;
    readonly outputs?: Matrix;
    readonly grad_weights?: readonly Matrix[];
    readonly grad_biases?: Matrix;
    readonly grad_global_norm?: Value;
  };
}

interface TrainingCase extends TortureCase {
  readonly optimizer: { readonly name: string; readonly lr: number };
  readonly expected: {
    readonly status: 'finite' | 'diverges';
    readonly first_non_finite?: Place;
    readonly steps_requested: number;
    readonly losses_before_that: readonly number[];
    readonly weights?: readonly Matrix[];
    readonly biases?: Matrix;
    readonly loss_rtol: number;
    readonly loss_atol: number;
  };
}

const golden = readGolden<{
  single_step: readonly SingleStep[];
  training: readonly TrainingCase[];
  reductions: readonly { id: string; values: readonly number[]; l2_norm: Value }[];
}>('5-overflow-torture.json');

/** The file's own rule. */
const tolerance = { relative: 1e-10, scaled: 1e-13, absolute: 1e-13 };

function run(entry: TortureCase, optimizer: object, steps: number) {
  const planned = plan(definitionOf(entry));
  const setup = {
    optimizer: optimizerOf(optimizer),
    clip_gradients: clipOf(entry.clip),
    arithmetic: 'strict' as const,
    batch_size: entry.x.length,
    seed: 0,
  };
  const backend = createReferenceBackend(planned, setup, dataOf(entry), initialOf(planned, entry));
  const order = Uint32Array.from({ length: steps * entry.x.length }, (_, i) => i % entry.x.length);
  const rate = (optimizer as { lr?: number }).lr ?? 0;
  const learning_rates = new Float64Array(steps).fill(rate);
  const result = backend.train({ order, epoch_rows: entry.x.length, first_step: 1, learning_rates });
  return { backend, result };
}

const place = (found: Divergence | null) => found && { step: found.step, quantity: found.quantity, layer: found.layer };

describe.each(golden.single_step)('$id ($level): $what', (entry) => {
  const { expected } = entry;

  test('is finite where the truth is, and reported where it is not', () => {
    const { result } = run(entry, { name: 'sgd', lr: 0 }, 1);
    if (expected.status === 'overflow') {
      expect(place(result.divergence)).toEqual({ layer: undefined, ...expected.first_non_finite });
      return;
    }
    expect(result.divergence).toBeNull();
    const planned = plan(definitionOf(entry));
    const { loss, pass } = backwardPass(planned, initialOf(planned, entry), dataOf(entry));
    const gradients = flatParameters(expected.grad_weights ?? [], expected.grad_biases ?? []);
    expectClose([loss], expected.loss ?? 'NaN', tolerance, 'loss');
    expectClose(pass.layers[pass.layers.length - 1].outputs, expected.outputs ?? [], tolerance, 'outputs');
    expectClose(pass.gradients, gradients, tolerance, 'gradients');
    if (expected.grad_global_norm !== undefined) {
      expectClose([globalNorm(pass.gradients)], expected.grad_global_norm, tolerance, 'global norm');
    }
  });
});

test('a gradient whose squares overflow is clipped to the norm asked for', () => {
  const gradients = Float64Array.of(3e200, 4e200);
  clipGradients(float64, { max_norm: 1 }, gradients);
  expectClose(gradients, [0.6, 0.8], { relative: 1e-15 }, 'clipped gradient');
});

test.each(golden.reductions)('the norm of $id', ({ values, l2_norm }) => {
  expectClose([globalNorm(Float64Array.from(values))], l2_norm, { relative: 1e-15 }, 'norm');
});

describe.each(golden.training)('$id ($level): $what', (entry) => {
  const { expected, optimizer } = entry;

  test('every loss agrees, and the end is the true one', () => {
    const { backend, result } = run(entry, optimizer, expected.steps_requested);
    const reported = entry.level === 'finite_or_reported' && result.divergence !== null;
    const want = reported ? expected.losses_before_that.slice(0, result.losses.length) : expected.losses_before_that;
    const rule = { relative: expected.loss_rtol, absolute: expected.loss_atol };
    expectClose(result.losses.subarray(0, want.length), want, rule, 'losses');
    if (reported) return;
    if (expected.status === 'diverges') {
      expect(place(result.divergence)).toEqual({ layer: undefined, ...expected.first_non_finite });
      expect(backend.state().parameters.every(Number.isFinite)).toBe(true);
      return;
    }
    expect(result.divergence).toBeNull();
    const parameters = flatParameters(expected.weights ?? [], expected.biases ?? []);
    expectClose(backend.state().parameters, parameters, { relative: 1e-9, scaled: 1e-9 }, 'parameters');
  });
});

test('a run that fits float64 only is reported in float32', () => {
  const entry = golden.training.find(({ id }) => id === 'd-open-float32-only');
  if (entry === undefined) return expect.fail('the case is missing');
  const single = plan({ ...definitionOf(entry), precision: 'float32' });
  const setup = { optimizer: optimizerOf(entry.optimizer), arithmetic: 'strict' as const, batch_size: 4, seed: 0 };
  const backend = createReferenceBackend(single, setup, dataOf(entry), initialOf(single, entry));
  const order = Uint32Array.from({ length: 100 }, (_, i) => i % 4);
  const learning_rates = new Float64Array(25).fill(entry.optimizer.lr);
  const { divergence } = backend.train({ order, epoch_rows: 4, first_step: 1, learning_rates });
  expect(divergence?.quantity).toBe('loss');
});
