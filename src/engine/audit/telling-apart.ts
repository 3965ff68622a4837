/** A batch on which bugs that look alike on the client's data give different numbers. */
import type { Data, Plan } from '../backend.ts';
import { uniform } from '../prng.ts';
import { type Exercise, type Hypothesis, passUnder, predicted } from './hypotheses.ts';
import type { Observed } from './observations.ts';
import { relativeError } from './tolerance.ts';

export interface TellingBatch {
  readonly data: Data;
  /** The smallest relative distance between the predictions of any two of the bugs. */
  readonly gap: number;
}

const attempts = 8;
const rows = 5;
/** Below this the batch would help nobody who sends rounded numbers. */
const leastGap = 1e-2;

/** The batch with the largest gap among a few random ones; null when none tells them apart. */
export function tellingBatch(
  exercise: Exercise,
  hypotheses: readonly Hypothesis[],
  tensors: readonly Observed[],
): TellingBatch | null {
  let best: TellingBatch | null = null;
  for (let attempt = 0; attempt < attempts; attempt++) {
    const data = randomBatch(exercise.plan, attempt);
    const gap = smallestGap({ ...exercise, data }, hypotheses, tensors);
    if (gap >= leastGap && gap > (best?.gap ?? 0)) best = { data, gap };
  }
  return best;
}

function smallestGap(exercise: Exercise, hypotheses: readonly Hypothesis[], tensors: readonly Observed[]): number {
  const passes = hypotheses.map((hypothesis) => passUnder(exercise, hypothesis));
  let smallest = Number.POSITIVE_INFINITY;
  for (const [i, first] of passes.entries()) {
    for (const second of passes.slice(i + 1)) {
      const pairs = tensors.map((observed) => ({
        yours: predicted(first, exercise, observed),
        expected: predicted(second, exercise, observed),
        base: null,
      }));
      const gap = relativeError(pairs);
      smallest = Math.min(smallest, Number.isFinite(gap) ? gap : 0);
    }
  }
  return smallest;
}

/** Inputs from −2 to 2 and targets that the loss is defined for, with two decimals so that they can be copied by hand. */
export function randomBatch(plan: Plan, attempt: number): Data {
  const draw = (i: number) => uniform(attempt, 'audit', 0, i);
  const inputs = Float64Array.from({ length: rows * plan.input_size }, (_, i) => hundredths(4 * draw(i) - 2));
  return { rows, inputs, targets: randomTargets(plan, (i) => uniform(attempt, 'audit', 1, i)) };
}

const hundredths = (value: number) => Math.round(100 * value) / 100;

function randomTargets({ loss, output_size: size }: Plan, draw: (i: number) => number): Float64Array {
  const domain = loss.entry.target_domain;
  switch (domain.kind) {
    case 'label':
      return Float64Array.from({ length: rows }, (_, row) => Math.floor(size * draw(row)));
    case 'values':
      return Float64Array.from(
        { length: rows * size },
        (_, i) => domain.values[Math.floor(domain.values.length * draw(i))],
      );
    case 'distribution':
      return Float64Array.from({ length: rows * size }, (_, i) => {
        const label = Math.floor(size * draw(Math.floor(i / size)));
        return i % size === label ? 1 : 0;
      });
    case 'interval': {
      const minimum = Math.max(domain.minimum, -2);
      const maximum = Math.min(domain.maximum, 2);
      return Float64Array.from({ length: rows * size }, (_, i) => hundredths(minimum + (maximum - minimum) * draw(i)));
    }
  }
}
