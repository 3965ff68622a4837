/** The audit of somebody's backpropagation: is it right, and if not, which known bug gives exactly these numbers? */
import type { ParameterProblem } from '../parameters.ts';
import type { Pass } from '../reference/pass.ts';
import {
  type BugForm,
  type Exercise,
  type Hypothesis,
  pairsOf,
  passUnder,
  predicted,
  singleBugs,
} from './hypotheses.ts';
import { findNonFinite, type NonFinite } from './non-finite.ts';
import { type NotRevealed, whyNotRevealed } from './not-revealed.ts';
import { type Observed, partOf, type Reading, readObservations, type SentLayers } from './observations.ts';
import { precisionOf, type SentPrecision } from './precision.ts';
import { type Comparison, compare, noiseUnder, relativeError } from './tolerance.ts';

/** Where yours and the truth part first: forward for activations, else from the last layer back, weights first. */
export interface FirstDifference {
  readonly layer: number;
  readonly tensor: Observed['tensor'];
  readonly relative_error: number;
  /** Of the entry that is farthest outside its tolerance. */
  readonly index: readonly number[];
  readonly yours: number;
  readonly expected: number;
}

export interface Candidate {
  readonly hypothesis: Hypothesis;
  readonly relative_error: number;
}

export interface Audit {
  readonly verdict: 'correct' | 'bug_found' | 'no_match';
  /** Distance from the truth. */
  readonly relative_error: number;
  readonly precision: SentPrecision;
  readonly first_difference: FirstDifference | null;
  /** The hypotheses that give these numbers, best first; a bug stands there once, in its best form. */
  readonly candidates: readonly Candidate[];
  /** Bugs that would not show on this data: beside right numbers, or beside the bug that was found. */
  readonly not_revealed: readonly NotRevealed[];
  /** Of the numbers that were sent; null when all are finite. */
  readonly non_finite: NonFinite | null;
  /** Whether bugs were tried two at a time. */
  readonly pairs_tried: boolean;
  readonly notes: readonly string[];
}

export interface AuditOptions {
  /** Whether pairs are tried where no single bug fits; they take far longer. */
  readonly pairs?: boolean;
}

/** A hypothesis farther off than this is not looked at closely: no precision in use is that coarse. */
const farOff = 0.5;
/** Multiply-adds that pairs may cost; a single bug costs a pass. */
const pairBudget = 1e8;

/** Multiply-adds of one forward and backward pass, near enough. */
export const passCost = ({ plan, data }: Exercise): number => 3 * data.rows * plan.parameter_count;

/**
 * Audits what a client sent. First the truth, then every single bug, then pairs if no single bug fits.
 * A bug is named only if every tensor agrees with it and some tensor disagrees with the truth.
 */
export function audit(
  exercise: Exercise,
  layers: SentLayers,
  options: AuditOptions = {},
):
  | { readonly result: Audit; readonly problems?: never }
  | { readonly result?: never; readonly problems: readonly ParameterProblem[] } {
  const { plan, data, kind } = exercise;
  const { readings, problems } = readObservations({ plan, rows: data.rows, kind, layers });
  if (problems.length > 0) return { problems };
  const precision = precisionOf(readings[0].tensors.map(({ values }) => values));
  const truth = passUnder(exercise, []);
  const judges = readings.map((reading) => new Judge(exercise, reading, precision, truth));
  const right = judges.find((judge) => judge.isTrue());
  if (right !== undefined) return { result: right.correct() };
  const found = firstWithCandidates(judges, exercise, options);
  return { result: found.judge.wrong(found) };
}

interface Found {
  readonly judge: Judge;
  readonly candidates: readonly Candidate[];
  readonly pairs_tried: boolean;
}

function firstWithCandidates(judges: readonly Judge[], exercise: Exercise, { pairs = true }: AuditOptions): Found {
  const singles = singleBugs(exercise);
  const stages = [singles, pairsOf(singles)];
  const affordable = stages.filter((stage, i) => i === 0 || (pairs && stage.length * passCost(exercise) <= pairBudget));
  for (const [stage, hypotheses] of affordable.entries()) {
    for (const judge of judges) {
      const candidates = judge.candidates(hypotheses);
      if (candidates.length > 0) return { judge, candidates, pairs_tried: stage > 0 };
    }
  }
  return { judge: judges[0], candidates: [], pairs_tried: affordable.length > 1 };
}

const isForm =
  (known: BugForm) =>
  ({ bug, variant }: BugForm): boolean =>
    bug === known.bug && variant === known.variant;

/** One reading of the client's numbers, held against hypotheses. */
class Judge {
  readonly #exercise: Exercise;
  readonly #reading: Reading;
  readonly #precision: SentPrecision;
  readonly #truth: Pass;
  readonly #comparisons: readonly Comparison[];

  constructor(exercise: Exercise, reading: Reading, precision: SentPrecision, truth: Pass) {
    this.#exercise = exercise;
    this.#reading = reading;
    this.#precision = precision;
    this.#truth = truth;
    this.#comparisons = this.#compare([], truth);
  }

  isTrue(): boolean {
    return this.#comparisons.every(({ excess }) => excess <= 1);
  }

  correct(): Audit {
    return {
      ...this.#common(),
      verdict: 'correct',
      first_difference: null,
      candidates: [],
      not_revealed: this.#hiddenBeside([]),
      pairs_tried: false,
    };
  }

  wrong({ candidates, pairs_tried }: Found): Audit {
    const verdict = candidates.length > 0 ? 'bug_found' : 'no_match';
    const first_difference = this.#firstDifference();
    // Beside one bug another may hide; beside two nobody looks for a third.
    const [best] = candidates;
    const not_revealed = best?.hypothesis.length === 1 ? this.#hiddenBeside(best.hypothesis) : [];
    return { ...this.#common(), verdict, first_difference, candidates, not_revealed, pairs_tried };
  }

  /** The hypotheses that give these numbers, nearest first and otherwise in the order they came in. */
  candidates(hypotheses: readonly Hypothesis[]): readonly Candidate[] {
    const matching = hypotheses.flatMap((hypothesis): Candidate[] => {
      const pass = passUnder(this.#exercise, hypothesis);
      const error = this.#errorOf(this.#comparisonsWith(pass));
      if (!(error <= farOff) && !this.#isTiny(pass)) return [];
      const matches = this.#compare(hypothesis, pass).every(({ excess }) => excess <= 1);
      return matches ? [{ hypothesis, relative_error: error }] : [];
    });
    const named = new Map<string, Candidate>();
    for (const candidate of matching.toSorted((a, b) => this.#order(a, b))) {
      const name = candidate.hypothesis.map(({ bug }) => bug).join(' ');
      if (!named.has(name)) named.set(name, candidate);
    }
    return [...named.values()];
  }

  /** The single bugs that could be there as well, because the numbers would be the same. */
  #hiddenBeside(base: Hypothesis): readonly NotRevealed[] {
    const singles = singleBugs(this.#exercise);
    const known = base[0];
    const together = known === undefined ? singles : pairsOf(singles).filter((pair) => pair.some(isForm(known)));
    return this.candidates(together).map(({ hypothesis }) => ({
      hypothesis: hypothesis.filter(({ bug }) => bug !== known?.bug),
      reason: whyNotRevealed(this.#exercise, this.#reading.tensors, base, hypothesis),
    }));
  }

  /** Errors below the noise of float32 or of rounding say nothing: the table's order decides. */
  #order(a: Candidate, b: Candidate): number {
    const floor = this.#precision.kind === 'float64' ? 1e-12 : 1e-6;
    const clear = (error: number) => (error <= floor ? 0 : error);
    return clear(a.relative_error) - clear(b.relative_error);
  }

  /** All zero, or nearly: then relative errors mean nothing, and the tolerances have to judge. */
  #isTiny(pass: Pass): boolean {
    return this.#reading.tensors.every((observed) =>
      predicted(pass, this.#exercise, observed).every((value) => Math.abs(value) < 1e-6),
    );
  }

  #comparisonsWith(pass: Pass): readonly Pick<Comparison, 'observed' | 'expected'>[] {
    return this.#reading.tensors.map((observed) => ({
      observed,
      expected: predicted(pass, this.#exercise, observed),
    }));
  }

  #compare(hypothesis: Hypothesis, pass: Pass): readonly Comparison[] {
    const noise = noiseUnder(this.#exercise, hypothesis, pass, this.#reading, this.#precision);
    return this.#comparisonsWith(pass).map(({ observed, expected }, i) =>
      compare(observed, expected, noise[i], this.#precision),
    );
  }

  #errorOf(comparisons: readonly Pick<Comparison, 'observed' | 'expected'>[]): number {
    const moved = this.#exercise.kind === 'parameters_after';
    return relativeError(
      comparisons.map(({ observed, expected }) => ({
        yours: observed.values,
        expected,
        base: moved ? partOf(this.#truth.parameters, observed) : null,
      })),
    );
  }

  #firstDifference(): FirstDifference | null {
    const first = this.#comparisons.find(({ excess }) => excess > 1);
    if (first === undefined) return null;
    const { observed, expected, worst } = first;
    return {
      layer: observed.layer,
      tensor: observed.tensor,
      relative_error: this.#errorOf([first]),
      index: observed.shape.length === 1 ? [worst] : [Math.floor(worst / observed.shape[1]), worst % observed.shape[1]],
      yours: observed.values[worst],
      expected: expected[worst],
    };
  }

  #common() {
    return {
      relative_error: this.#errorOf(this.#comparisons),
      precision: this.#precision,
      non_finite: findNonFinite(this.#reading.tensors, this.#truth, this.#precision),
      notes: this.#reading.notes,
    };
  }
}
