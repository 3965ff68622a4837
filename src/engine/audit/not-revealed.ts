/** Why a bug does not show in the numbers that were sent. */
import type { Pass } from '../reference/pass.ts';
import { type Exercise, type Hypothesis, passUnder, predicted } from './hypotheses.ts';
import type { Observed } from './observations.ts';
import { relativeError } from './tolerance.ts';

export interface NotRevealed {
  readonly hypothesis: Hypothesis;
  readonly reason: string;
}

/** Bugs of which a single row shows nothing: they are about sums and means over the rows. */
const aboutRows: readonly string[] = [
  'sum_instead_of_mean',
  'mean_applied_twice',
  'bias_not_averaged',
  'bias_not_summed',
  'softmax_over_batch_axis',
];

/**
 * @param base the calculus that the bug would come on top of: none, or the bug that was found
 * @param together both of them
 */
export function whyNotRevealed(
  exercise: Exercise,
  sent: readonly Observed[],
  base: Hypothesis,
  together: Hypothesis,
): string {
  const [without, with_] = [base, together].map((hypothesis) => passUnder(exercise, hypothesis));
  const added = together.find(({ bug }) => !base.some((known) => known.bug === bug))?.bug;
  const dead = deadLayer(without);
  const elsewhere = exercise.kind === 'activations' ? null : changedElsewhere(without, with_, exercise, sent);
  const here = distance(without, with_, exercise, sent);
  if (exercise.data.rows === 1 && added !== undefined && aboutRows.includes(added))
    return 'With one row a sum over the rows, their mean and the last of them are the same.';
  if (here > 0)
    return `It changes these numbers by ${Number(here.toPrecision(2))} of their size, less than their precision shows.`;
  if (elsewhere !== null) return `It changes only what was not sent: ${elsewhere}.`;
  if (dead !== null) return `Layer ${dead} is 0 for every row of this data, so that nothing below it has a gradient.`;
  if (exercise.kind === 'activations') return 'It is in the backward pass, and activations come before it.';
  return 'On this data it gives exactly the same numbers.';
}

/** How far the sent tensors lie apart; 0 where they are the same to the last bit. */
function distance(one: Pass, other: Pass, exercise: Exercise, sent: readonly Observed[]): number {
  const pairs = sent.map((observed) => ({
    yours: predicted(one, exercise, observed),
    expected: predicted(other, exercise, observed),
    base: null,
  }));
  return relativeError(pairs);
}

/** The first layer whose gradient the bug changes, of those that were not sent. */
function changedElsewhere(one: Pass, other: Pass, { plan }: Exercise, sent: readonly Observed[]): string | null {
  const layers = plan.layers.filter(({ number }) => sent.every(({ layer }) => layer !== number));
  const changed = layers.find(({ weights: { offset, length }, biases }) => {
    const end = offset + length + (biases?.length ?? 0);
    for (let i = offset; i < end; i++) if (!Object.is(one.gradients[i], other.gradients[i])) return true;
    return false;
  });
  if (changed !== undefined) return `the gradients of layer ${changed.number}`;
  const partial = plan.layers.find(({ number, biases }) => {
    const hasBiases = sent.some(({ layer, tensor }) => layer === number && tensor === 'biases');
    if (biases === null || hasBiases) return false;
    const { offset, length } = biases;
    for (let i = offset; i < offset + length; i++) if (!Object.is(one.gradients[i], other.gradients[i])) return true;
    return false;
  });
  return partial === undefined ? null : `the biases of layer ${partial.number}`;
}

/** The number of a layer all of whose outputs are 0, if there is one. */
function deadLayer({ layers }: Pass): number | null {
  const dead = layers.find(({ activations }) => activations.every((value) => value === 0));
  return dead?.layer.number ?? null;
}
