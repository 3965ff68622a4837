import fc, { type Arbitrary } from 'fast-check';
import { expect, it } from 'vitest';
import type { Data } from '../../src/engine/backend.ts';
import { arithmetics } from '../../src/engine/definition.ts';
import { type ScheduleSpec, schedules } from '../../src/engine/schedules.ts';
import { decodeCheckpoint, encodeCheckpoint } from '../../src/training/checkpoint.ts';
import { epochPoints } from '../../src/training/epoch-points.ts';
import { classOf } from '../../src/training/metric-context.ts';
import { metricProblem, metrics, seriesName } from '../../src/training/metrics.ts';
import { type ScalingName, scalings } from '../../src/training/preprocessing.ts';
import type { EarlyStopping, RunRequest } from '../../src/training/request.ts';
import { Run } from '../../src/training/run.ts';
import { namesOf } from '../../src/training/states.ts';
import { targetKind } from '../../src/training/target-kind.ts';
import { anyCase, sometimes, specOf } from '../engine/wasm/any-case.ts';
import { prepare } from '../engine/wasm/compare.ts';

const part = fc.double({ min: 0.05, max: 0.4, noNaN: true }).map((fraction) => ({ fraction }));
const unit = fc.constantFrom('step' as const, 'epoch' as const);
const schedule = fc
  .record({ spec: specOf(schedules), unit, start: sometimes(fc.integer({ min: 1, max: 9 })) })
  .map(({ spec, ...rest }) => ({ ...spec, ...rest }) as ScheduleSpec);

/** What can be asked for beside the network, its data and its update. */
const more = fc.record({
  shuffle: fc.boolean(),
  arithmetic: fc.constantFrom(...arithmetics),
  validation: sometimes(part),
  test: sometimes(part),
  class_weights: sometimes(fc.constant('balanced' as const)),
  scaling: sometimes(fc.record({ inputs: fc.constantFrom(...(namesOf(scalings) as ScalingName[])) })),
  learning_rate_schedule: fc.array(schedule, { maxLength: 2 }),
  metrics: fc.subarray(namesOf(metrics)),
  early_stopping: sometimes(
    fc.record({
      patience: fc.integer({ min: 0, max: 4 }),
      min_delta: fc.constantFrom(0, 1e-3),
      restore_best: fc.boolean(),
    }),
  ),
  statistics: fc.boolean(),
  checkpoint: sometimes(fc.record({ every_epochs: fc.integer({ min: 1, max: 3 }) })),
});

const anyRequest: Arbitrary<RunRequest> = fc
  .record({
    of: anyCase.filter(({ rows = 0 }) => rows > 5),
    more,
    epochs: fc.integer({ min: 1, max: 12 }),
    monitor: fc.nat(),
  })
  .map(({ of, more: asked, epochs, monitor }) => {
    const { data, plan } = prepare(of);
    const { seed = 0, batch_size = 8, clip_gradients, optimizer } = of.setup;
    const kind = targetKind(of.definition.loss, plan.output_size, data.targets);
    const context = { target_kind: kind, output_size: plan.output_size };
    const measurable = asked.metrics.filter((name) => metricProblem(name, context) === null);
    const values = measurable.filter((name) => name !== 'confusion_matrix').map((name) => seriesName(name));
    const monitors = ['loss', ...(asked.validation === undefined ? [] : ['validation_loss']), ...values];
    const classes = classOf(context) === null ? undefined : asked.class_weights;
    return {
      ...asked,
      network: of.definition,
      data: { ...data, weights: data.weights } satisfies Data,
      epochs,
      batch_size,
      seed,
      clip_gradients,
      optimizer: { ...(optimizer as object), learning_rate: of.learning_rate } as RunRequest['optimizer'],
      metrics: measurable,
      class_weights: classes,
      early_stopping:
        asked.early_stopping &&
        ({ ...asked.early_stopping, monitor: monitors[monitor % monitors.length] } satisfies EarlyStopping),
    };
  });

interface Told {
  readonly steps: { loss: number; rate: number }[];
  readonly others: unknown[];
}

/** Trains to a step or the end, `block` steps at a time; adds what is told on the way. */
function train(run: Run, until: number, block: number, told: Told): void {
  while (run.end === null && run.cursor.step < until) {
    const { steps, epochs, frames, notes } = run.advance(Math.min(block, until - run.cursor.step));
    const { losses, learning_rates: rates } = steps;
    for (const [i, loss] of losses.entries()) told.steps.push({ loss, rate: rates.at(rates.length === 1 ? 0 : i)! });
    told.others.push(...epochPoints(epochs), ...frames, ...notes);
  }
}

it('any run, broken off anywhere and resumed from its checkpoint, ends with the same bytes and has told the same', () => {
  const ends = new Map<string, number>();
  fc.assert(
    fc.property(anyRequest, fc.array(fc.nat(), { minLength: 1, maxLength: 3 }), fc.nat(), (request, places, size) => {
      const whole = new Run(request, null);
      const { steps } = whole.cursor;
      const want: Told = { steps: [], others: [] };
      train(whole, steps, steps, want);

      const got: Told = { steps: [], others: [] };
      let run = new Run(request, null);
      for (const place of places.map((at) => at % (steps + 1)).toSorted((a, b) => a - b)) {
        train(run, place, 1 + (size % 7), got);
        // Its checkpoint is that of the step before, and would diverge again.
        if (run.end?.stop_reason === 'diverged') break;
        run = new Run(request, decodeCheckpoint(encodeCheckpoint(run.checkpoint())));
      }
      train(run, steps, 1 + (size % 50), got);
      expect(got).toEqual(want);
      expect(run.end).toEqual(whole.end);
      expect(Buffer.from(encodeCheckpoint(run.checkpoint())).equals(encodeCheckpoint(whole.checkpoint()))).toBe(true);
      expect(run.test()).toEqual(whole.test());
      const reason = whole.end?.stop_reason ?? 'none';
      ends.set(reason, (ends.get(reason) ?? 0) + 1);
    }),
    { numRuns: 150 },
  );
  expect([...ends.keys()].toSorted()).toEqual(['completed', 'diverged', 'early_stopping']);
});
