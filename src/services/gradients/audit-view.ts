/** An audit as an answer in plain words. */
import { type AuditAnswer, mostCandidates } from '../../engine/audit/answer.ts';
import type { Audit, Candidate } from '../../engine/audit/audit.ts';
import type { Exercise, Hypothesis } from '../../engine/audit/hypotheses.ts';
import { type NonFinite, nonFiniteCauses } from '../../engine/audit/non-finite.ts';
import { type ObservedKind, observedKinds, type SentLayers } from '../../engine/audit/observations.ts';
import type { TellingBatch } from '../../engine/audit/telling-apart.ts';
import { noiseMargin } from '../../engine/audit/tolerance.ts';
import { type Bug, bugs } from '../../engine/reference/bugs.ts';
import { type Problem, refuse } from '../../errors.ts';
import { toWire } from '../../schemas/common.ts';
import { rowsOf } from '../../schemas/data.ts';
import type { BugReport, GradientAuditInput, GradientAuditView } from '../../schemas/gradients.ts';
import type { Admitted } from './exercise.ts';

const noTellingBatch =
  'No batch was found on which these differ in what was sent: send the other tensors, too, or other parameters.';

/** What the client sent, in the engine's words. */
export function observedOf({ yours }: GradientAuditInput) {
  const kind = observedKinds.find((name) => yours[name] !== undefined) ?? 'gradients';
  const layers: SentLayers = kind === 'activations' ? (yours.activations ?? []) : (yours[kind]?.layers ?? []);
  return { kind, layers, learning_rate: yours.learning_rate ?? null };
}

export function auditView(
  { result, problems, is_ambiguous, telling }: AuditAnswer,
  { exercise, notes }: Pick<Admitted, 'exercise' | 'notes'>,
): GradientAuditView {
  if (result === null) {
    refuse(problems.map(({ path, expected, found }) => shapeProblem(exercise.kind, path, expected, found)));
    throw new TypeError('an audit without result has problems');
  }
  const candidates = result.candidates.slice(0, mostCandidates);
  const reports = candidates.map(reportOf);
  const { first_difference: first } = result;
  return {
    verdict: result.verdict,
    relative_error: toWire(result.relative_error),
    threshold: thresholdText(result),
    precision: { ...result.precision },
    first_difference: first && {
      ...first,
      index: [...first.index],
      relative_error: toWire(first.relative_error),
      yours: toWire(first.yours),
      expected: toWire(first.expected),
    },
    match: reports[0] ?? null,
    candidates: reports,
    indistinguishable: reports.length > 1,
    telling_data: telling && tellingView(telling, exercise),
    non_finite: result.non_finite && nonFiniteView(result.non_finite),
    not_revealed: result.not_revealed.map(({ hypothesis, reason }) => ({
      bug: nameOf(hypothesis),
      reason,
    })),
    notes: [
      ...notes,
      ...result.notes,
      ...limitsOf(result, exercise),
      ...(is_ambiguous && telling === null ? [noTellingBatch] : []),
    ],
  };
}

function shapeProblem(kind: ObservedKind, path: string, expected: string, found: string): Problem {
  const place = kind === 'activations' ? path.replace('/layers', '') : path;
  const detail = `The network needs ${expected}, but this is ${found}.`;
  return { pointer: `/yours/${kind}${place}`, code: 'shape_mismatch', detail };
}

const nameOf = (hypothesis: Hypothesis) => hypothesis.map(({ bug }) => bug).join(' + ');

function reportOf({ hypothesis, relative_error }: Candidate): BugReport {
  const described = hypothesis.map(({ bug, variant }) => {
    const { computes, usual_line, mending }: Bug = bugs[bug];
    return { bug, variant, explanation: computes, usual_line, fix: mending };
  });
  const sentence = ({ explanation, usual_line }: (typeof described)[number]) =>
    `Your code computes ${explanation}. The usual line is: ${usual_line}`;
  return {
    bugs: described,
    bug: nameOf(hypothesis),
    explanation: described.map(sentence).join(' And: '),
    fix: described.map(({ fix }) => fix).join(' And: '),
    relative_error: toWire(relative_error),
  };
}

function thresholdText({ precision: { kind, significant_digits: digits, decimals } }: Audit): string {
  const noise = `${noiseMargin} times what ${kind === 'float64' ? 'float64' : 'float32'} rounding does to each tensor here`;
  if (kind !== 'rounded') return `Equal within ${noise}.`;
  return `Equal within half a unit of digit ${digits} or of decimal ${decimals}, plus ${noise}.`;
}

function tellingView({ data, gap, apart }: TellingBatch, { plan }: Exercise) {
  const { inputs, targets, rows } = data;
  return {
    inputs: rowsOf(inputs, plan.input_size),
    targets: rowsOf(targets, targets.length / rows),
    gap,
    tells_apart: apart.map((hypothesis) => (hypothesis.length === 0 ? 'correct' : nameOf(hypothesis))),
  };
}

function nonFiniteView({ count, first, causes }: NonFinite): GradientAuditView['non_finite'] {
  return {
    count,
    first: { ...first, index: [...first.index], value: toWire(first.value) },
    causes: causes.map(({ cause, detail }) => {
      const { explanation, fix } = nonFiniteCauses[cause];
      return { cause, explanation, detail, fix };
    }),
  };
}

/** What was not looked at. */
function limitsOf({ verdict, pairs_tried }: Audit, { learning_rate: rate }: Exercise): string[] {
  const notes: string[] = [];
  if (verdict === 'no_match' && !pairs_tried)
    notes.push('Only single bugs were tried: pairs take too long for a network of this size.');
  if (verdict === 'no_match' && rate === null)
    notes.push('weights_updated_before_backward was not tried: it needs yours.learning_rate.');
  return notes;
}
