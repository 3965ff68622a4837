/** What the client's code may have computed: the right calculus, or the calculus with known bugs put in. */
import type { Data, FloatArray, Plan } from '../backend.ts';
import { backwardPass } from '../reference/backward.ts';
import { type Bug, type BugName, bugNames, bugs, simulatedRules } from '../reference/bugs.ts';
import { literalSlope } from '../reference/literal-output.ts';
import type { Pass, Values } from '../reference/pass.ts';
import { correctRules, type PassRules } from '../reference/rules.ts';
import type { Observed, ObservedKind } from './observations.ts';
import { partOf } from './observations.ts';

/** A bug in one of its forms. */
export interface BugForm {
  readonly bug: BugName;
  readonly variant: string;
}

/** None: the truth. */
export type Hypothesis = readonly BugForm[];

/** What is audited besides the numbers of the client. */
export interface Exercise {
  /** In float64, without dropout. */
  readonly plan: Plan;
  readonly values: Values;
  readonly data: Data;
  readonly kind: ObservedKind;
  /** Needed for `parameters_after`, and for bugs that depend on it. */
  readonly learning_rate: number | null;
}

/** Every single bug that can be made in this network, in each of its forms. */
export function singleBugs({ plan, learning_rate: rate }: Exercise): readonly Hypothesis[] {
  return bugNames.flatMap((bug) => {
    const { applies, variants, needs_learning_rate: needsRate }: Bug = bugs[bug];
    if (applies(plan) !== null || (needsRate && rate === null)) return [];
    return Object.keys(variants).map((variant) => [{ bug, variant }]);
  });
}

/** Every two different bugs of the given ones. */
export function pairsOf(singles: readonly Hypothesis[]): readonly Hypothesis[] {
  return singles.flatMap((first, i) =>
    singles.slice(i + 1).flatMap((second) => (first[0].bug === second[0].bug ? [] : [[...first, ...second]])),
  );
}

/** One pass under a hypothesis. */
export function passUnder(exercise: Exercise, hypothesis: Hypothesis): Pass {
  const { plan, values, data } = exercise;
  const rules = simulatedRules(hypothesis, plan, exercise.learning_rate ?? 0);
  return backwardPass(plan, values, data, undefined, rules).pass;
}

/** The same in float32, every value rounded first: how much the numbers depend on the precision. */
export function singlePrecision(exercise: Exercise): Exercise {
  const { plan, values } = exercise;
  const rounded = {
    parameters: Float32Array.from(values.parameters),
    statistics: Float32Array.from(values.statistics),
  };
  return { ...exercise, plan: { ...plan, precision: 'float32' }, values: rounded };
}

/** Right, but as the textbook has it: dLoss/da first, then through the activation, without the joined forms. */
const literalRules: PassRules = {
  ...correctRules,
  outputDelta(context) {
    literalSlope(context);
    correctRules.throughActivation(context);
  },
};

/** A right pass in that form; null where dLoss/da is of log-probabilities, which have no such textbook form. */
export function literalPass({ plan, values, data }: Exercise): Pass | null {
  const { entry } = plan.layers[plan.layers.length - 1].activation;
  if (entry.kind === 'rowwise' && entry.outputs === 'log_probabilities') return null;
  return backwardPass(plan, values, data, undefined, literalRules).pass;
}

/** What a pass says about a tensor: p − η·g in the space of parameters. */
export function predicted(pass: Pass, { kind, learning_rate: rate }: Exercise, observed: Observed): FloatArray {
  if (kind === 'activations') return pass.layers[observed.layer - 1].activations;
  const gradients = partOf(pass.gradients, observed);
  if (kind === 'gradients') return gradients;
  const parameters = partOf(pass.parameters, observed);
  return Float64Array.from(gradients, (g, i) => parameters[i] - (rate ?? 0) * g);
}
