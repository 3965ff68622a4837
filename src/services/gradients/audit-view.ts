/** An audit as an answer in plain words. */
import { type Audit, audit, type Candidate } from '../../engine/audit/audit.ts';
import type { Exercise, Hypothesis } from '../../engine/audit/hypotheses.ts';
import {
  type ObservedKind,
  observedKinds,
  readObservations,
  type SentLayers,
} from '../../engine/audit/observations.ts';
import { tellingBatch } from '../../engine/audit/telling-apart.ts';
import { noiseMargin } from '../../engine/audit/tolerance.ts';
import { type Bug, bugs } from '../../engine/reference/bugs.ts';
import { type Problem, refuse } from '../../errors.ts';
import { toWire } from '../../schemas/common.ts';
import { rowsOf } from '../../schemas/data.ts';
import type { BugReport, GradientAuditInput, GradientAuditView } from '../../schemas/gradients.ts';
import type { Admitted } from './exercise.ts';

const noTellingBatch =
  'No batch was found on which the candidates differ in what was sent: send the other tensors, too.';

/** Best candidates; more would not be read. */
const mostCandidates = 5;

export function auditView(
  { yours }: GradientAuditInput,
  admit: (asked: Pick<Exercise, 'kind' | 'learning_rate'>) => Admitted,
): GradientAuditView {
  const kind = observedKinds.find((name) => yours[name] !== undefined) ?? 'gradients';
  const { exercise, notes } = admit({ kind, learning_rate: yours.learning_rate ?? null });
  const layers: SentLayers = kind === 'activations' ? (yours.activations ?? []) : (yours[kind]?.layers ?? []);
  const { result, problems } = audit(exercise, layers);
  if (result === undefined) {
    refuse(problems.map(({ path, expected, found }) => shapeProblem(kind, path, expected, found)));
    throw new TypeError('an audit without result has problems');
  }
  const candidates = result.candidates.slice(0, mostCandidates);
  const reports = candidates.map(reportOf);
  const { first_difference: first } = result;
  const telling = reports.length > 1 ? tellingData(exercise, layers, candidates) : null;
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
    telling_data: telling,
    not_revealed: result.not_revealed.map((hypothesis) => ({
      bug: nameOf(hypothesis),
      reason:
        exercise.data.rows === 1
          ? 'With one row a sum over the rows, their mean and the last of them are the same.'
          : 'It would give the same numbers in the tensors that were sent, on this data and at this precision.',
    })),
    notes: [
      ...notes,
      ...result.notes,
      ...limitsOf(result, exercise),
      ...(reports.length > 1 && telling === null ? [noTellingBatch] : []),
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

function tellingData(exercise: Exercise, layers: SentLayers, candidates: readonly Candidate[]) {
  const { plan, data, kind } = exercise;
  // Activations have the rows of the batch; gradients of any batch have the same shapes.
  if (kind === 'activations') return null;
  const { readings } = readObservations({ plan, rows: data.rows, kind, layers });
  const hypotheses = candidates.map(({ hypothesis }) => hypothesis);
  const batch = tellingBatch(exercise, hypotheses, readings[0].tensors);
  if (batch === null) return null;
  const { inputs, targets, rows } = batch.data;
  return { inputs: rowsOf(inputs, plan.input_size), targets: rowsOf(targets, targets.length / rows), gap: batch.gap };
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
