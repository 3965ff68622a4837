/**
 * The causes: one table, in the order in which they are believed. A cause is named when the numbers show it and, where
 * it can be undone, when undoing it has helped: every fix has been tried before.
 */
import type { Case, LossCourse, TriedFix } from './case.ts';
import { percent, shown } from './case.ts';
import type { FixKind } from './fixes.ts';
import type { Trial } from './trial.ts';

/** What shows a cause. */
export interface Finding {
  /** In plain words, with the numbers. */
  readonly explanation: string;
  readonly evidence: Readonly<Record<string, number | string>>;
}

export interface Cause extends Finding {
  readonly code: string;
}

/** The case with what the trials have shown. */
export interface Judged extends Case {
  readonly fixes: readonly TriedFix[];
  /** The job as it is, from the same start; null for a job that has failed. */
  readonly control: Trial | null;
}

interface CauseEntry {
  readonly description: string;
  /** Kinds of fixes that mend it, the best first. */
  readonly mended_by: readonly FixKind[];
  find(judged: Judged): Finding | null;
}

/** The fix of these kinds that helps most. */
function helping({ fixes }: Judged, ...kinds: readonly FixKind[]): TriedFix | null {
  const able = fixes.filter(({ kind, succeeded }) => succeeded && kinds.includes(kind as FixKind));
  return able.toSorted((a, b) => a.tried.loss - b.tried.loss)[0] ?? null;
}

/** Whether the loss on a sample of the training rows, or the outcome, says that learning did not succeed. */
export function learnsBadly({ failure, course, request }: Case): boolean {
  if (failure !== null) return true;
  if (course.steps < leastSteps || !Number.isFinite(course.first)) return false;
  // What goes on from a trained model has little left to gain; it must not lose.
  const allowed = request.initial_parameters === undefined ? leastDecrease : mostIncrease;
  return !(course.last < allowed * course.first) && !hasLearned(course);
}

/** Whether no more than this part of what a network that knows nothing has to learn is left. */
export const hasLearned = ({ last, naive }: LossCourse, left = littleLeft): boolean => last < left * naive;

/** Shorter runs are not judged by their loss. */
const leastSteps = 20;
const leastDecrease = 0.99;
const mostIncrease = 1.05;
const littleLeft = 0.1;

/** Inputs of this size are as scaled as they need to be. */
const scaledSize = 10;
/** Inputs of this size are to blame also where the rate would be too high for scaled ones. */
const largeInputs = 100;
/** Squares of larger values are near the end of float32 (3.4e38) once a few are multiplied. */
const hugeSize = 1e6;
const largeTargets = 1e3;
/** Larger than any initializer's default gives. */
const largeStart = 50;
/** Share of a layer's activations. */
export const mostlySaturated = 0.9;
const vanishing = 1e-6;

/** Nothing had been updated when it failed, so that no learning rate can have done it. */
const failedAtOnce = ({ failure }: Case): boolean => failure?.step === 1 && failure.quantity !== 'parameters';

const boundText = ({ curvature, learning_rate: rate }: Case): string => {
  const bound = curvature?.learning_rate_bound ?? null;
  if (curvature === null || bound === null || !(rate > bound)) return '';
  return ` The largest curvature of the loss is ${shown(curvature.largest)}, so that rates above ${shown(bound)} are unstable; this one is ${shown(rate / bound)} times that.`;
};

const boundEvidence = ({ curvature, learning_rate }: Case): Finding['evidence'] => ({
  learning_rate,
  ...(curvature === null ? {} : { largest_curvature: curvature.largest }),
  ...(curvature?.learning_rate_bound == null ? {} : { learning_rate_bound: curvature.learning_rate_bound }),
});

const aboveBound = ({ curvature, learning_rate }: Case): boolean =>
  curvature?.learning_rate_bound != null && learning_rate > curvature.learning_rate_bound;

export const causes = {
  wrong_gradient: {
    description: 'The gradients that the run used are not the derivative of its loss.',
    mended_by: ['correct_gradients'],
    find({ gradients }) {
      if (gradients === null || gradients.verdict === 'correct') return null;
      const [first, ...others] = gradients.candidates;
      const where = `layer ${gradients.layer}, ${gradients.tensor}`;
      const evidence = { relative_error: gradients.relative_error, batches: gradients.batches };
      if (first === undefined) {
        const explanation = `The gradients of the run are off by ${percent(gradients.relative_error)} (first in ${where}), and no known bug gives these numbers.`;
        return { explanation, evidence };
      }
      const named = first
        .map(
          ({ bug, computes, usual_line, mending }) =>
            `${bug}: ${computes}. The line that is usually wrong: ${usual_line}. Its mending: ${mending}.`,
        )
        .join(' And ');
      const alike =
        others.length === 0
          ? ''
          : ` On these batches ${others.map((bugs) => bugs.map(({ bug }) => bug).join(' + ')).join(', ')} would give the same numbers.`;
      const explanation = `The gradients of the run are off by ${percent(gradients.relative_error)} (first in ${where}). They are those of ${named}${alike}`;
      return { explanation, evidence: { ...evidence, bug: first.map(({ bug }) => bug).join(' + ') } };
    },
  },
  bad_input_values: {
    description: 'A few values are out of all proportion to the others of their column: sentinels, or broken rows.',
    mended_by: ['leave_out_rows', 'standardize_inputs'],
    find(judged) {
      const { outliers } = judged.data;
      if (outliers === null) return null;
      const { rows, column, largest, typical } = outliers;
      const hit = judged.failure === null || judged.failure.rows.some((row) => rows.includes(row));
      if (!hit && helping(judged, 'leave_out_rows') === null) return null;
      const listed = `${rows.slice(0, 5).join(', ')}${rows.length > 5 ? ', …' : ''}`;
      const explanation = `Column ${column} holds ${shown(largest)}, where ${shown(typical)} is usual. Rows with such values: ${listed} (${rows.length} in all).`;
      return { explanation, evidence: { rows: rows.length, first_row: rows[0], column, largest, typical } };
    },
  },
  bad_initial_parameters: {
    description: 'The parameters that training began with are too large.',
    mended_by: ['default_start'],
    find(judged) {
      const fix = helping(judged, 'default_start');
      if (fix === null || judged.start_abs_max <= largeStart) return null;
      const explanation = `The initial parameters reach ${shown(judged.start_abs_max)}; drawn as the layers' defaults do, they are mended: ${fix.sentence}.`;
      return { explanation, evidence: { start_abs_max: judged.start_abs_max, threshold: largeStart } };
    },
  },
  bad_targets: {
    description: 'The targets cannot be reached by the output, or are far from the size of its values.',
    mended_by: ['targets_in_range', 'linear_output', 'standardize_targets', 'standardize_both'],
    find(judged) {
      const { unreachable_targets: unreachable, target_rms: rms, target_abs_max: largest } = judged.data;
      const output = judged.plan.layers[judged.plan.layers.length - 1].activation;
      if (unreachable > 0) {
        const { minimum, maximum } = output.entry.range;
        const explanation = `${percent(unreachable)} of the targets are outside of what the output can give: ${output.name} gives values from ${minimum} to ${maximum}, and the targets reach ${shown(largest ?? 0)}.`;
        return { explanation, evidence: { unreachable_targets: unreachable, target_abs_max: largest ?? 0 } };
      }
      if (rms === null || rms <= largeTargets || judged.data.input_rms > rms) return null;
      const fix = helping(judged, 'standardize_targets', 'standardize_both');
      const wider = helping(judged, 'float64');
      if (fix === null || (wider !== null && rms <= hugeSize)) return null;
      const explanation = `The targets are as large as ${shown(largest ?? rms)}, where outputs begin near 0, so that errors and gradients are as large. Scaled they are learned: ${fix.sentence}.`;
      return { explanation, evidence: { target_rms: rms, target_abs_max: largest ?? rms, threshold: largeTargets } };
    },
  },
  dead_units: {
    description: 'A whole layer gives 0 on every row: nothing can be learned through it.',
    mended_by: ['standardize_inputs', 'learning_rate', 'leaky_relu', 'standardize_both'],
    find({ layers, failure }) {
      const dead = layers.filter(({ dead_fraction }) => dead_fraction === 1);
      if (failure !== null || dead.length === 0) return null;
      const numbers = dead.map(({ layer }) => layer).join(' and ');
      const explanation = `No unit of layer ${numbers} (${dead[0].activation}) is active on any row of the sample: the outputs no longer depend on the inputs, and no gradient passes.`;
      return { explanation, evidence: { layer: dead[0].layer, dead_fraction: 1, dead_layers: dead.length } };
    },
  },
  saturation: {
    description: 'Nearly all units of a layer are at an end of their range, where the derivative is nearly 0.',
    mended_by: ['standardize_inputs', 'standardize_both', 'default_start', 'learning_rate', 'hidden_relu'],
    find(judged) {
      const last = judged.plan.layers.length;
      const counts = judged.layers.filter(({ layer }) => layer < last || judged.plan.loss.entry.likelihood === null);
      const full = counts.find(({ saturated_fraction }) => (saturated_fraction ?? 0) > mostlySaturated);
      const isSeen = learnsBadly(judged) || !hasLearned(judged.course);
      if (judged.failure !== null || full === undefined || !isSeen) return null;
      const explanation = `${percent(full.saturated_fraction ?? 0)} of the activations of layer ${full.layer} (${full.activation}) are within 1 % of an end of their range: gradients hardly pass it.`;
      const evidence = {
        layer: full.layer,
        saturated_fraction: full.saturated_fraction ?? 0,
        threshold: mostlySaturated,
      };
      return { explanation, evidence };
    },
  },
  unscaled_inputs: {
    description: 'The inputs are so large that the rate, right for scaled ones, is too high for them.',
    mended_by: ['standardize_inputs', 'standardize_both', 'standardize_and_slow_down', 'learning_rate'],
    find(judged) {
      const { input_rms: rms, input_abs_max: largest } = judged.data;
      const slower = rms > largeInputs ? helping(judged, 'standardize_and_slow_down') : null;
      const fix = helping(judged, 'standardize_inputs', 'standardize_both') ?? slower;
      if (rms <= scaledSize || fix === null) return null;
      if (rms <= hugeSize && judged.failure !== null && helping(judged, 'float64') !== null) return null;
      const explanation = `The inputs are not scaled: they reach ${shown(largest)}. A unit with an input x has a curvature of about x², which decides how high a rate may be.${boundText(judged)} Scaled they are learned: ${fix.sentence}.`;
      return { explanation, evidence: { input_rms: rms, input_abs_max: largest, ...boundEvidence(judged) } };
    },
  },
  overflow: {
    description: 'The numbers do not fit the data type, and would in a wider one.',
    mended_by: ['float64', 'standardize_inputs', 'standardize_targets', 'standardize_both'],
    find(judged) {
      const fix = helping(judged, 'float64');
      if (fix === null) return null;
      const explanation = `The largest float32 is 3.4e38, and the numbers of this job go beyond it. In float64, whose largest is 1.8e308, nothing is wrong: ${fix.sentence}.`;
      return { explanation, evidence: { largest_float32: 3.4028234663852886e38, loss_in_float64: fix.tried.loss } };
    },
  },
  learning_rate_too_high: {
    description: 'The steps overshoot: each is larger than the curvature of the loss allows.',
    mended_by: ['learning_rate', 'constant_learning_rate', 'clip_gradients'],
    find(judged) {
      const fix = helping(judged, 'learning_rate', 'constant_learning_rate');
      if (failedAtOnce(judged) || (fix === null && !(judged.failure !== null && aboveBound(judged)))) return null;
      const tried = fix === null ? '' : ` What works: ${fix.sentence}.`;
      const explanation = `The learning rate ${shown(judged.learning_rate)} is too high.${boundText(judged)}${tried}`;
      return { explanation, evidence: boundEvidence(judged) };
    },
  },
  vanishing_gradients: {
    description: 'Hardly any gradient arrives in the first layers.',
    mended_by: ['hidden_relu', 'standardize_inputs', 'default_start'],
    find(judged) {
      const largest = Math.max(...judged.layers.map(({ gradient_rms }) => gradient_rms));
      const [first] = judged.layers;
      const isSeen = learnsBadly(judged) || judged.warnings.includes('vanishing_gradients');
      if (judged.failure !== null || !isSeen || !(first.gradient_rms < vanishing * largest)) return null;
      const explanation = `The gradient of layer 1 is ${shown(first.gradient_rms)} (root mean square), and ${shown(largest)} in the layer where it is largest.`;
      return {
        explanation,
        evidence: { gradient_rms: first.gradient_rms, largest_gradient_rms: largest, threshold: vanishing },
      };
    },
  },
  learning_rate_too_low: {
    description: 'The steps are so small that training hardly moves.',
    mended_by: ['higher_learning_rate'],
    find(judged) {
      const fix = helping(judged, 'higher_learning_rate');
      if (judged.failure !== null || fix === null || !learnsBadly(judged)) return null;
      const explanation = `The learning rate ${shown(judged.learning_rate)} is too low: a higher one brings more in as many steps: ${fix.sentence}.`;
      return { explanation, evidence: { learning_rate: judged.learning_rate } };
    },
  },
  loss_domain: {
    description: 'The loss itself is not finite at outputs that are.',
    mended_by: ['standardize_targets', 'standardize_both', 'all_together'],
    find({ failure, plan }) {
      if (failure?.quantity !== 'loss') return null;
      const explanation = `At step ${failure.step} every output was finite, but ${plan.loss.name} of them was ${failure.value}: the loss cannot be taken of outputs that far from the targets.`;
      return { explanation, evidence: { step: failure.step } };
    },
  },
  undetermined: {
    description: 'None of the known causes shows in the numbers.',
    mended_by: ['all_together', 'learning_rate', 'standardize_inputs', 'clip_gradients'],
    find: ({ failure }) => ({
      explanation:
        failure === null
          ? 'It learns badly or was warned of, and none of the known causes shows in the numbers: perhaps the inputs say nothing about the targets, or the targets belong to other rows.'
          : 'None of the known causes shows in the numbers; the frames before the end show what grew.',
      evidence: {},
    }),
  },
} as const satisfies Record<string, CauseEntry>;

export type CauseCode = keyof typeof causes;

/** The causes that the numbers show, the most important first; never empty. */
export function findCauses(judged: Judged): readonly Cause[] {
  const found = (Object.entries(causes) as [CauseCode, CauseEntry][]).flatMap(([code, entry]): Cause[] => {
    const finding = entry.find(judged);
    return finding === null ? [] : [{ code, ...finding }];
  });
  // With wrong gradients nothing else can be judged: every other fix was tried with right ones.
  if (found[0].code === 'wrong_gradient') return found.slice(0, 1);
  const known = found.filter(({ code }) => !inDefault.includes(code));
  return known.length > 0 ? known : found.slice(0, 1);
}

/** Named only when nothing else is. */
const inDefault: readonly string[] = ['loss_domain', 'undetermined'] satisfies CauseCode[];

/** Of two fixes that help about as much, the one that mends the cause is better. */
const aboutAsGood = 2;

/** Those that help before the others, of these the cause's own where they do not help much less, then the lowest loss. */
export function rankFixes(judged: Judged, cause: Cause): TriedFix[] {
  const { mended_by }: CauseEntry = causes[cause.code as CauseCode];
  const lowest = Math.min(...judged.fixes.map(({ succeeded, tried }) => (succeeded ? tried.loss : Infinity)));
  const rank = ({ kind, succeeded, tried }: TriedFix): number[] => {
    const place = mended_by.indexOf(kind as FixKind);
    const isPreferred = place >= 0 && tried.loss <= aboutAsGood * lowest;
    // Wrong gradients have to be mended whatever they have led to.
    const isNeeded = kind === 'correct_gradients' ? 0 : 1;
    const order = isPreferred ? place : mended_by.length;
    return [isNeeded, succeeded ? 0 : 1, tried.finite ? 0 : 1, order, tried.loss];
  };
  return judged.fixes.toSorted((a, b) => {
    const [left, right] = [rank(a), rank(b)];
    const at = left.findIndex((value, i) => value !== right[i]);
    return at < 0 ? 0 : left[at] < right[at] ? -1 : 1;
  });
}
