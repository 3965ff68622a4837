/** Whether the gradients that a run used are right: audited on its first batches, without being told what was put in. */
import { audit, type Candidate, passCost } from '../../engine/audit/audit.ts';
import { toWire } from '../../engine/parameters.ts';
import { type Bug, bugs } from '../../engine/reference/bugs.ts';
import { gather } from '../prepare.ts';
import type { RunRequest } from '../request.ts';
import { type CreateBackend, Run } from '../run.ts';
import { rulesOf } from './instruments.ts';
import { exactPlan, sampleGradients, withoutDropout } from './sample.ts';

export interface NamedBug {
  readonly bug: string;
  readonly variant: string;
  readonly computes: string;
  readonly usual_line: string;
  readonly mending: string;
}

export interface GradientVerdict {
  readonly verdict: 'correct' | 'bug_found' | 'no_match';
  /** Distance of the first audited gradients from the truth. */
  readonly relative_error: number;
  /** Batches that were audited. */
  readonly batches: number;
  /** Where the first difference was seen; 1-based. */
  readonly layer: number | null;
  readonly tensor: string | null;
  /** What explains every batch, best first; the bugs of the first candidate stand together. */
  readonly candidates: readonly (readonly NamedBug[])[];
}

const auditedBatches = 5;
/** Multiply-adds of one audit: about sixty passes. */
const auditBudget = 3e8;
const auditPasses = 60;

const nameOf = ({ hypothesis }: Candidate): string => hypothesis.map(({ bug }) => bug).join(' + ');

interface BatchAudit {
  readonly error: number;
  readonly verdict: GradientVerdict['verdict'];
  readonly first: { readonly layer: number; readonly tensor: string } | null;
  readonly candidates: readonly Candidate[];
}

/** The first batch of the run, and others of the same size. */
function batchesOf({ next, prepared }: Run): Uint32Array[] {
  const size = next.rows.length;
  const others = Array.from({ length: auditedBatches - 1 }, (_, i) => prepared.rows.subarray(i * size, (i + 1) * size));
  return [next.rows, ...others.filter((rows) => rows.length === size)];
}

/** Null when the gradients of no batch can be audited. */
export function auditRun(request: RunRequest, create?: CreateBackend): GradientVerdict | null {
  const run = new Run(request, null, create);
  const audits = batchesOf(run).flatMap((rows) => auditBatch(run, request, rows) ?? []);
  return audits.length === 0 ? null : verdictOf(audits);
}

/** Audits what the run computes for a batch with its initial parameters. */
function auditBatch(run: Run, request: RunRequest, rows: Uint32Array): BatchAudit | null {
  const { plan, prepared, next } = run;
  const affordable = Math.floor(auditBudget / (auditPasses * 3 * plan.parameter_count));
  const data = gather(prepared.data, rows.subarray(0, Math.max(2, affordable)), plan);
  const { state } = run.checkpoint();
  const rules = rulesOf(request, plan, next.learning_rate);
  const { pass } = sampleGradients(withoutDropout(plan), state, data, rules);
  // Of a dead network all gradients are 0, whatever the code.
  if (pass.gradients.every((g) => g === 0)) return null;
  const values = { parameters: Float64Array.from(state.parameters), statistics: Float64Array.from(state.statistics) };
  const exercise = {
    plan: exactPlan(plan),
    values,
    data,
    kind: 'gradients',
    learning_rate: next.learning_rate,
  } as const;
  if (passCost(exercise) * auditPasses > 4 * auditBudget) return null;
  const { result } = audit(exercise, toWire(plan, pass.gradients).layers);
  // What is not finite cannot be audited.
  if (result === undefined) return null;
  const { relative_error: error, verdict, first_difference: first, candidates } = result;
  return { error, verdict, first, candidates };
}

function verdictOf(audits: readonly BatchAudit[]): GradientVerdict {
  const wrong = audits.filter(({ verdict }) => verdict !== 'correct');
  const [shown] = wrong.length > 0 ? wrong : audits;
  const common = shown.candidates.filter((candidate) =>
    wrong.every(({ candidates }) => candidates.some((other) => nameOf(other) === nameOf(candidate))),
  );
  return {
    verdict: wrong.length === 0 ? 'correct' : common.length > 0 ? 'bug_found' : 'no_match',
    relative_error: shown.error,
    batches: audits.length,
    layer: shown.first?.layer ?? null,
    tensor: shown.first?.tensor ?? null,
    candidates: common.slice(0, 5).map(({ hypothesis }) =>
      hypothesis.map(({ bug, variant }) => {
        const { computes, usual_line, mending }: Bug = bugs[bug];
        return { bug, variant, computes, usual_line, mending };
      }),
    ),
  };
}
