/**
 * The training traces in float32. From the state of the 50-digit run before each step, the step must lead to its
 * parameters after it, but for what float32 may round: the bound of the gradients, carried through clipping and the
 * optimizer's own formula. (Bounds carried on from step to step would soon allow everything.)
 */
import { expect, test } from 'vitest';
import type { BackendState, Plan } from '../../../src/engine/backend.ts';
import { clipFactor, DEFAULT_CLIP_EPSILON, globalNorm } from '../../../src/engine/clipping.ts';
import type { ClipGradients } from '../../../src/engine/definition.ts';
import { biasOptions, resolveOptimizer } from '../../../src/engine/optimizers.ts';
import { plan } from '../../../src/engine/plan.ts';
import { createReferenceBackend } from '../../../src/engine/reference/backend.ts';
import { backwardPass } from '../../../src/engine/reference/backward.ts';
import { inEveryEngine } from './engines.ts';
import { float32Bounds } from './float32-bounds.ts';
import {
  clipOf,
  dataOf,
  definitionOf,
  flatParameters,
  type GoldenNetwork,
  initialOf,
  optimizerOf,
  readGolden,
  type Trace,
  type TracedStep,
} from './reference-data.ts';
import { rounded, U, type Uncertain, uncertain } from './uncertain.ts';

const { traces } = readGolden<{ traces: readonly Trace[] }>('3-training-traces.json');

const rowsOf = (trace: Trace, batch: readonly number[]) =>
  dataOf({ x: batch.map((row) => trace.x[row]), y: batch.map((row) => trace.y[row]) } as Pick<
    GoldenNetwork,
    'x' | 'y'
  >);

/** Gradients after clipping. A norm is off by at most the norm of what its entries are off by. */
function clipped(clip: ClipGradients | undefined, gradients: readonly Uncertain[]): readonly Uncertain[] {
  if (clip === undefined) return gradients;
  if ('max_value' in clip) {
    const limit = uncertain.constant(clip.max_value);
    return gradients.map((g) => uncertain.minimum(uncertain.maximum(g, uncertain.neg(limit)), limit));
  }
  const norm = globalNorm(Float64Array.from(gradients, ({ value }) => value));
  const normError = globalNorm(Float64Array.from(gradients, ({ error }) => error)) + 4 * U * norm;
  const at = (norm: number) => clipFactor(norm, clip.max_norm, clip.epsilon ?? DEFAULT_CLIP_EPSILON);
  const value = at(norm);
  const spread = Math.max(...[-1, 1].map((sign) => Math.abs(at(norm + sign * normError) - value)));
  const factor = { value, error: spread + U * value };
  return gradients.map((g) => uncertain.mul(factor, g));
}

/** What a step makes of parameters and moments that float32 has rounded, with the bounds of their errors. */
function stepFrom(
  trace: Trace,
  planned: Plan,
  { parameters, slots, statistics, scalars }: BackendState,
  want: TracedStep,
) {
  const data = rowsOf(trace, want.batch);
  const { pass } = backwardPass(planned, { parameters, statistics }, data);
  const bounds = float32Bounds(planned, { parameters, statistics }, data);
  const exact = Array.from(pass.gradients, (value, i) => ({ value, error: bounds.gradients[i] }));
  const gradients = clipped(clipOf(trace.clip), exact);
  const { entry, options } = resolveOptimizer(optimizerOf(trace.optimizer));
  const ofStep = Object.entries(entry.step(options, scalars.slice(), want.lr));
  const rates = Object.fromEntries(ofStep.map(([name, value]) => [name, rounded(value)]));
  const isBias = (i: number) =>
    planned.layers.some(({ biases }) => biases && i >= biases.offset && i < biases.offset + biases.length);
  const updated = gradients.map((gradient, i) =>
    entry.update(
      uncertain,
      {
        parameter: rounded(parameters[i]),
        gradient,
        slots: slots.map((slot) => rounded(slot[i])),
        scalars: rates,
      },
      isBias(i) ? biasOptions(options) : options,
    ),
  );
  return { loss: bounds.loss, updated };
}

test.each(inEveryEngine(traces))(
  '$id in float32: every step leads from the truth to the truth within the bound of its roundings: $engine, $arithmetic',
  ({ entry: trace, create, arithmetic }) => {
    const exact = plan(definitionOf(trace));
    const setup = {
      optimizer: optimizerOf(trace.optimizer),
      clip_gradients: clipOf(trace.clip),
      arithmetic,
      batch_size: Math.max(...trace.steps.map(({ batch }) => batch.length)),
      seed: 0,
    };
    const reference = createReferenceBackend(
      exact,
      { ...setup, arithmetic: 'strict' },
      dataOf(trace),
      initialOf(exact, trace),
    );
    const single = plan({ ...definitionOf(trace), precision: 'float32' });
    const backend = create(single, setup, dataOf(trace), initialOf(single, trace));
    const faults: string[] = [];
    let [allowed, moved] = [0, 0];
    const check = (what: string, got: number, want: number, bound: number) => {
      const off = Math.abs(got - want);
      if (!(off <= bound)) faults.push(`${what}: got ${got}, want ${want}, off by ${off}, allowed ${bound}`);
    };
    for (const want of trace.steps) {
      const before = reference.state();
      const { loss, updated } = stepFrom(trace, exact, before, want);
      const order = Uint32Array.from(want.batch);
      const block = {
        order,
        epoch_rows: order.length,
        first_step: want.step,
        learning_rates: Float64Array.of(want.lr),
      };
      reference.train(block);
      backend.restore(before);
      const { losses } = backend.train(block);
      const [got, after] = [backend.state(), reference.state()];
      check(`loss of step ${want.step}`, losses[0], want.loss, loss);
      for (const [i, parameter] of flatParameters(want.weights, want.biases).entries()) {
        check(`parameter ${i} after step ${want.step}`, got.parameters[i], parameter, updated[i].parameter.error);
        allowed += updated[i].parameter.error;
        moved += Math.abs(parameter - before.parameters[i]);
        for (const [s, slot] of updated[i].slots.entries())
          check(`moment ${s} of ${i} after step ${want.step}`, got.slots[s][i], after.slots[s][i], slot.error);
      }
    }
    expect(faults).toEqual([]);
    // A factor that is wrong by a thousandth could not hide in what is allowed.
    expect(allowed).toBeLessThan(2 ** -12 * moved);
  },
);
