/** The diagnosis of a job that has ended: replayed to its end under instruments, examined, and mended on trial. */
import { resolveOptimizer } from '../../engine/optimizers.ts';
import { decodeCheckpoint } from '../checkpoint.ts';
import { applyPatch } from '../json-patch.ts';
import type { DivergedError, FlatParameters, RunRequest } from '../request.ts';
import { type CreateBackend, Run } from '../run.ts';
import type { Case, Curvature, Fix, TriedFix } from './case.ts';
import { shown } from './case.ts';
import { type Cause, findCauses, hasLearned, type Judged, learnsBadly, mostlySaturated, rankFixes } from './causes.ts';
import { frameCount, referenceFactor, stepCost } from './cost.ts';
import { largestCurvature, rateBound } from './curvature.ts';
import { dataFacts, type LayerFacts, layerFacts } from './facts.ts';
import { candidateFixes, candidatesOf, lastResort, sentenceOf } from './fixes.ts';
import { affordableFrames, type Frame, type Growth, growthOf, recordFrames } from './frames.ts';
import { judgementOf } from './judgement.ts';
import { type RecordedLosses, Replay, type ReplayReport } from './replay.ts';
import { absMax, exactPlan, sampleOf } from './sample.ts';
import { type Bar, hasSucceeded, type Trial, tryOut } from './trial.ts';
import { type Verdict, verdicts } from './verdicts.ts';
import { wireText } from './wire-text.ts';
import { auditRun } from './wrong-gradient.ts';

export interface DiagnosisRequest {
  readonly job_id: string;
  readonly request: RunRequest;
  /** Null for a job that did not diverge. */
  readonly failure: DivergedError | null;
  /** The newest checkpoint; null when there is none. */
  readonly end: Uint8Array | null;
  /** Where the replay of the last steps begins; null when none is near enough. */
  readonly replay: { readonly checkpoint: Uint8Array | null; readonly recorded: RecordedLosses } | null;
  /** The last checkpoint at which the loss was no worse than at the start; null: the initial parameters. */
  readonly good: { readonly step: number; readonly epoch: number; readonly checkpoint: Uint8Array } | null;
  /** Codes of the warnings of the job. */
  readonly warnings: readonly string[];
  /** Those of them that make a job suspicious. */
  readonly suspicious: readonly string[];
  /** Steps of each trial. */
  readonly trial_steps: number;
  /** Multiply-adds that all trials may take together. */
  readonly trial_work: number;
}

/** Where exactly it happened. */
export interface Failure extends DivergedError {
  readonly learning_rate: number;
  /** 0-based unit of the layer, where one can be named. */
  readonly unit: number | null;
  /** 0-based row of the data whose value it was, where it was that of one row. */
  readonly row: number | null;
}

export interface Diagnosis {
  readonly verdict: Verdict;
  readonly summary: string;
  readonly failure: Failure | null;
  /** The most important one; null for a healthy job. */
  readonly cause: Cause | null;
  readonly other_causes: readonly Cause[];
  /** Whether the wider data type would have helped; null where it was not a question. */
  readonly float64: (Trial & { readonly sentence: string }) | null;
  readonly growth: Growth | null;
  readonly curvature: Curvature | null;
  readonly layers: readonly LayerFacts[];
  readonly frames: readonly Frame[];
  /** The job as it is, after as many steps; null for one that has failed. */
  readonly control: Trial | null;
  readonly fixes: readonly TriedFix[];
  readonly replay: ReplayReport | null;
}

/** Multiply-adds of the estimate of the curvature, of about sixty gradients in float64. */
const curvatureWork = 5e8;
const curvatureGradients = 60;

/**
 * The diagnosis as JSON. The same request gives the same bytes.
 * @throws {ReplayError | CheckpointError}
 */
export function diagnose(asked: DiagnosisRequest, create?: CreateBackend): string {
  return wireText(new Examination(asked, create).diagnosis());
}

class Examination {
  readonly #asked: DiagnosisRequest;
  readonly #create: CreateBackend | undefined;
  /** The job without the changes of the rate that were asked for under way: a fork has none. */
  readonly #request: RunRequest;
  /** The run before its first step. */
  readonly #start: Run;
  readonly #good: FlatParameters | null;

  constructor(asked: DiagnosisRequest, create: CreateBackend | undefined) {
    this.#asked = asked;
    this.#create = create;
    this.#request = { ...asked.request, statistics: undefined, learning_rate_changes: undefined };
    this.#start = new Run(this.#request, null, create);
    this.#good = asked.good === null ? null : decodeCheckpoint(asked.good.checkpoint).state;
  }

  diagnosis(): Diagnosis {
    const examined = this.#examine();
    const verdict = verdictOf(examined, this.#asked);
    if (verdict === 'healthy') return healthy(examined);
    const { frames, last, report } = this.#lastSteps();
    const curved: Case = {
      ...examined,
      learning_rate: last?.learning_rate ?? examined.learning_rate,
      curvature: this.#curvature(),
    };
    const judged = this.#tryFixes(curved);
    const [cause, ...other_causes] = findCauses(judged);
    const fixes = rankFixes(judged, cause);
    const wider = fixes.find(({ id }) => id === 'float64');
    const failure = failureOf(curved);
    return {
      verdict,
      summary: summaryOf(verdict, failure, cause, fixes),
      failure,
      cause,
      other_causes,
      float64: wider === undefined ? null : { ...wider.tried, sentence: `In ${wider.sentence}.` },
      growth: growthOf(frames),
      curvature: curved.curvature,
      layers: curved.layers,
      frames,
      control: judged.control,
      fixes,
      replay: report,
    };
  }

  /** What can be seen without training. */
  #examine(): Case {
    const { failure, end, warnings } = this.#asked;
    const { plan, prepared } = this.#start;
    const begin = this.#start.checkpoint().state;
    const last = end === null ? null : decodeCheckpoint(end);
    const model = last?.state ?? begin;
    const { data, loss, naive } = judgementOf(this.#request, prepared, plan);
    const course = { first: loss(begin), last: loss(model), naive: naive(), steps: last?.cursor.step ?? 0 };
    return {
      request: this.#request,
      plan,
      failure,
      learning_rate: Number(resolveOptimizer(this.#request.optimizer).options.learning_rate),
      data: dataFacts(prepared, plan),
      layers: layerFacts(plan, model, data),
      start_abs_max: absMax(begin.parameters),
      curvature: null,
      gradients: this.#request.simulate_bug === undefined ? null : auditRun(this.#request, this.#create),
      course,
      warnings,
    };
  }

  #lastSteps() {
    const { replay: from, request, failure, end } = this.#asked;
    const lastStep = failure?.step ?? (end === null ? 0 : decodeCheckpoint(end).cursor.step);
    if (from === null) return { frames: [], last: null, report: null };
    const replay = new Replay({ ...from, request }, this.#create);
    const frames = affordableFrames(replay.run.plan, request.batch_size);
    replay.to(Math.max(replay.run.cursor.step, lastStep - frames));
    return { ...recordFrames(replay, request, lastStep), report: replay.report };
  }

  /** At the last good state, on as many rows as can be afforded. */
  #curvature(): Curvature | null {
    const { prepared } = this.#start;
    const plan = exactPlan(this.#start.plan);
    const affordable = Math.floor(curvatureWork / (curvatureGradients * stepCost(plan, 1)));
    const data = sampleOf(prepared, plan, Math.min(1024, Math.max(1, affordable)));
    const values = this.#good ?? this.#start.checkpoint().state;
    const largest = largestCurvature(plan, values, data);
    if (largest === null) return null;
    const learning_rate_bound = rateBound(this.#request.optimizer, largest);
    return { step: this.#asked.good?.step ?? 0, rows: data.rows, largest, learning_rate_bound };
  }

  #tryFixes(examined: Case): Judged {
    const candidates = withRightGradients(examined, candidateFixes(examined));
    const steps = this.#trialSteps(examined, candidates.length + 2);
    const control =
      examined.failure === null ? tryOut(this.#from({ patch: [], from_start: false }), steps, this.#create) : null;
    const bar = { loss_at_start: examined.course.first, loss: control?.loss ?? null };
    const attempt = (fix: Fix): TriedFix | null => this.#attempt(fix, steps, bar);
    const fixes = candidates.flatMap((fix) => attempt(fix) ?? []);
    const helped = fixes.some((fix) => fix.succeeded);
    const more = helped ? [] : withRightGradients(examined, candidatesOf(lastResort, examined));
    return { ...examined, control, fixes: [...fixes, ...more.flatMap((fix) => attempt(fix) ?? [])] };
  }

  /** As many as asked for, and more where it took more to fail, as far as the work allows. */
  #trialSteps({ failure, plan, request }: Case, trials: number): number {
    const toFailure = failure === null ? 0 : failure.step - (this.#asked.good?.step ?? 0) + frameCount;
    const wanted = Math.max(this.#asked.trial_steps, toFailure);
    // The bug itself is only in the reference.
    const counted = request.simulate_bug === undefined ? trials : trials + referenceFactor;
    const affordable = Math.floor(this.#asked.trial_work / (counted * stepCost(plan, request.batch_size)));
    return Math.max(1, Math.min(wanted, affordable));
  }

  #attempt({ from_start, ...fix }: Fix, steps: number, bar: Bar): TriedFix | null {
    const from_step = from_start ? 0 : (this.#asked.good?.step ?? 0);
    const patch = from_step === 0 ? fix.patch : [...fix.patch, ...this.#forkPatch()];
    const tried = tryUnlessRefused(() => tryOut(this.#from({ ...fix, from_start }), steps, this.#create));
    if (tried === null) return null;
    return {
      ...fix,
      patch,
      from_step,
      tried,
      succeeded: hasSucceeded(tried, bar),
      sentence: sentenceOf(fix.title, tried),
    };
  }

  /** What a fork from the last good checkpoint says besides its fix. */
  #forkPatch() {
    const { job_id, good } = this.#asked;
    const { step } = good!;
    return [
      { op: 'add', path: '/initial_parameters', value: { job_id, step } },
      { op: 'add', path: '/epochs', value: this.#epochsLeft() },
    ] as const;
  }

  /** Of a fork from the last good checkpoint. */
  #epochsLeft(): number {
    const { good, request } = this.#asked;
    return Math.max(1, request.epochs - (good?.epoch ?? 0));
  }

  #from({ patch, from_start }: Pick<Fix, 'patch' | 'from_start'>): RunRequest {
    const changed = applyPatch(this.#request, patch);
    if (from_start || this.#good === null) return changed;
    const { parameters, statistics } = this.#good;
    return { ...changed, epochs: this.#epochsLeft(), initial_parameters: { parameters, statistics } };
  }
}

/** Not every combination of changes can be trained; what cannot is no fix. */
function tryUnlessRefused(trial: () => Trial): Trial | null {
  try {
    return trial();
  } catch (thrown) {
    if (thrown instanceof RangeError) return null;
    throw thrown;
  }
}

/** With wrong gradients nothing else can be judged: every other fix is tried with right ones. */
function withRightGradients({ request, gradients }: Case, candidates: readonly Fix[]): Fix[] {
  if (request.simulate_bug === undefined || gradients === null || gradients.verdict === 'correct')
    return [...candidates];
  const right = candidates.find(({ kind }) => kind === 'correct_gradients');
  return candidates.map((fix) =>
    fix.kind === 'correct_gradients'
      ? { ...fix, from_start: true }
      : {
          ...fix,
          id: `correct_gradients_and_${fix.id}`,
          title: `right gradients and ${fix.title}`,
          patch: [...(right?.patch ?? [{ op: 'remove', path: '/simulate_bug' } as const]), ...fix.patch],
          from_start: true,
        },
  );
}

/** Of what a network that knows nothing has to learn. */
const half = 0.5;

function verdictOf(examined: Case, { suspicious }: DiagnosisRequest): Verdict {
  const { failure, gradients, layers, data, course } = examined;
  if (failure !== null) return 'failed';
  const isWrong = gradients !== null && gradients.verdict !== 'correct';
  const isDead = layers.some(({ dead_fraction }) => dead_fraction === 1);
  const isFull = layers.slice(0, -1).some(({ saturated_fraction }) => (saturated_fraction ?? 0) > mostlySaturated);
  // What has not kept the network from learning is worth its warning, and no more.
  const isHampered = (isFull && !hasLearned(course)) || (suspicious.length > 0 && !hasLearned(course, half));
  const isBad = isWrong || isDead || data.unreachable_targets > 0 || isHampered || learnsBadly(examined);
  return isBad ? 'suspicious' : 'healthy';
}

function healthy({ layers, course }: Case): Diagnosis {
  const fell = course.steps === 0 ? '' : ` The loss went from ${shown(course.first)} to ${shown(course.last)}.`;
  return {
    verdict: 'healthy',
    summary: `${verdicts.healthy}${fell}`,
    failure: null,
    cause: null,
    other_causes: [],
    float64: null,
    growth: null,
    curvature: null,
    layers,
    frames: [],
    control: null,
    fixes: [],
    replay: null,
  };
}

function failureOf({ failure, learning_rate }: Case): Failure | null {
  if (failure === null) return null;
  const { quantity, index, rows } = failure;
  const ofBatch = quantity === 'pre_activation' || quantity === 'activation';
  return {
    ...failure,
    learning_rate,
    unit: index === undefined ? null : ((ofBatch ? index[1] : index[0]) ?? null),
    row: ofBatch && index !== undefined ? (rows[index[0]] ?? null) : null,
  };
}

function summaryOf(verdict: Verdict, failure: Failure | null, cause: Cause, fixes: readonly TriedFix[]): string {
  const best = fixes.find(({ succeeded }) => succeeded);
  const said = best !== undefined && cause.explanation.includes(best.sentence);
  const helped =
    best === undefined ? ' Nothing that was tried helped.' : ` What helped most when tried: ${best.sentence}.`;
  const place =
    failure === null
      ? verdicts[verdict]
      : `At step ${failure.step} (epoch ${failure.epoch}, batch ${failure.batch}) the ${failure.quantity.replace('_', '-')}${failure.layer === undefined ? '' : ` of layer ${failure.layer}`} became ${failure.value}.`;
  return `${place} ${cause.explanation}${said ? '' : helped}`;
}
