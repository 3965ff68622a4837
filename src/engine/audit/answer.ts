/** The whole answer to an audit, from plain data to plain data: what a thread can be asked for. */
import type { Data } from '../backend.ts';
import type { NetworkDefinition } from '../definition.ts';
import type { ParameterProblem } from '../parameters.ts';
import { plan } from '../plan.ts';
import type { Values } from '../reference/pass.ts';
import { type Audit, type AuditOptions, audit } from './audit.ts';
import type { Exercise, Hypothesis } from './hypotheses.ts';
import { readObservations, type SentLayers } from './observations.ts';
import { type TellingBatch, tellingBatch } from './telling-apart.ts';

export interface AuditRequest extends Pick<Exercise, 'kind' | 'learning_rate'> {
  /** In float64, without dropout. */
  readonly definition: NetworkDefinition;
  readonly values: Values;
  readonly data: Data;
  readonly layers: SentLayers;
}

export interface AuditAnswer {
  /** Null when something does not fit. */
  readonly result: Audit | null;
  readonly problems: readonly ParameterProblem[];
  /** Whether something looks alike on this data. */
  readonly is_ambiguous: boolean;
  /** A batch on which what looks alike here differs; null where there is nothing to tell apart, or no such batch. */
  readonly telling: TellingBatch | null;
}

/** Best candidates; more would not be read. */
export const mostCandidates = 5;

export function answerAudit(request: AuditRequest, options: AuditOptions = {}): AuditAnswer {
  const { definition, layers, ...rest } = request;
  const exercise: Exercise = { plan: plan(definition), ...rest };
  const { result = null, problems = [] } = audit(exercise, layers, options);
  const hypotheses = result === null ? [] : alike(result);
  const is_ambiguous = hypotheses.length > 1;
  return { result, problems, is_ambiguous, telling: is_ambiguous ? tellingOf(exercise, layers, hypotheses) : null };
}

/** What looks alike: the candidates; or the truth, or the bug that was found, and what may hide beside it. */
function alike({ verdict, candidates, not_revealed }: Audit): readonly Hypothesis[] {
  if (candidates.length > 1) return candidates.slice(0, mostCandidates).map(({ hypothesis }) => hypothesis);
  if (not_revealed.length === 0 || verdict === 'no_match') return [];
  const base = candidates[0]?.hypothesis ?? [];
  return [base, ...not_revealed.map(({ hypothesis }) => [...base, ...hypothesis])];
}

function tellingOf(exercise: Exercise, layers: SentLayers, hypotheses: readonly Hypothesis[]): TellingBatch | null {
  const { plan, data, kind } = exercise;
  const { readings } = readObservations({ plan, rows: data.rows, kind, layers });
  return tellingBatch(exercise, hypotheses, readings[0].tensors);
}
