/** `GET /v1/jobs/{id}/diagnosis`: why a job failed, or why it learned badly, and what mends it. */
import type { CheckpointRecord, JobRecord } from '../store/store.ts';
import { frameCount } from '../training/post-mortem/cost.ts';
import type { DiagnosisRequest } from '../training/post-mortem/diagnose.ts';
import { namesOf } from '../training/states.ts';
import { runWarnings } from '../training/warnings.ts';
import { digestOf } from './digest.ts';
import { bugMark } from './job-request.ts';
import type { Tagged } from './jobs.ts';
import {
  bytesOf,
  checkpointUpTo,
  divergenceOf,
  type EndedJob,
  endedJob,
  keptAnswer,
  type PostMortemContext,
  recordedLosses,
  requestOf,
} from './post-mortems.ts';

/** Steps for which each fix is tried. */
const trialSteps = 500;

export async function diagnosis(context: PostMortemContext, id: string): Promise<Tagged<string>> {
  const ended = await endedJob(context, id);
  const { job } = ended;
  const text = isNumerical(job)
    ? await keptAnswer(context, id, 'diagnosis', 'diagnose', () => requestFor(context, ended))
    : JSON.stringify(otherFailure(job));
  const { state, stop_reason, warnings } = job;
  const head = { job_id: id, state, stop_reason, ...bugMark(job), warnings: warnings ?? [] };
  const content = `${JSON.stringify(head).slice(0, -1)},${text.slice(1)}`;
  return { content, etag: digestOf([id, content]) };
}

/** A job that failed, but not by its numbers. */
const isNumerical = (job: JobRecord): boolean => job.state !== 'failed' || divergenceOf(job) !== null;

async function requestFor(context: PostMortemContext, ended: EndedJob): Promise<DiagnosisRequest> {
  const { job, checkpoints, last_step: lastStep } = ended;
  const failure = divergenceOf(job);
  const { losses } = await recordedLosses(context, job.id, 1);
  const warnings = codesOf(job);
  const good = failure === null ? null : await lastGood(context, ended, losses[0]);
  const [newest] = checkpoints;
  const start = startOf(context, ended, lastStep);
  return {
    job_id: job.id,
    request: await requestOf(context, ended, start?.step ?? 0),
    failure,
    end: newest === undefined ? null : await bytesOf(context, newest),
    replay: start === undefined ? null : await replayOf(context, ended, lastStep, start),
    good: good && { step: good.step, epoch: good.epoch, checkpoint: await bytesOf(context, good) },
    warnings,
    suspicious: warnings.filter((code) => suspiciousWarnings.has(code)),
    trial_steps: trialSteps,
    trial_work: context.limits.max_replay_work,
  };
}

/** Warnings that say that a layer computes badly. What the loss does is looked at again. */
const suspiciousWarnings: ReadonlySet<string> = new Set(
  namesOf(runWarnings).filter((code) => runWarnings[code].kind === 'layer'),
);

const codesOf = ({ warnings }: JobRecord): string[] => [
  ...new Set(((warnings ?? []) as readonly { readonly code: string }[]).map(({ code }) => code)),
];

/** From far enough before the end for all frames, or from as far as may be replayed; undefined: not even the last step. */
function startOf(
  { limits }: PostMortemContext,
  ended: EndedJob,
  lastStep: number,
): CheckpointRecord | null | undefined {
  if (lastStep === 0) return undefined;
  const affordable = (from: number) => (lastStep - from) * ended.step_cost <= limits.max_replay_work;
  const wanted = [checkpointUpTo(ended, Math.max(0, lastStep - frameCount)), checkpointUpTo(ended, lastStep - 1)];
  return wanted.find((record) => affordable(record?.step ?? 0));
}

async function replayOf(
  context: PostMortemContext,
  { job }: EndedJob,
  lastStep: number,
  start: CheckpointRecord | null,
): Promise<DiagnosisRequest['replay']> {
  const recorded = await recordedLosses(context, job.id, lastStep);
  return { checkpoint: start && (await bytesOf(context, start)), recorded };
}

/** A loss up to so many times the lowest one is as good, given that batches differ. */
const asGood = 2;

/** The newest checkpoint whose next loss was about the lowest and no worse than the first; null: only the start was. */
async function lastGood(
  context: PostMortemContext,
  { job, checkpoints }: EndedJob,
  first: number,
): Promise<CheckpointRecord | null> {
  const seen: { readonly record: CheckpointRecord; readonly loss: number }[] = [];
  for (const record of checkpoints) {
    const { losses } = await recordedLosses(context, job.id, record.step + 1, record.step + 1);
    if (losses.length > 0 && losses[0] <= first && record.step > 0) seen.push({ record, loss: losses[0] });
  }
  const lowest = Math.min(...seen.map(({ loss }) => loss));
  return seen.find(({ loss }) => loss <= asGood * lowest)?.record ?? null;
}

function otherFailure({ error }: JobRecord) {
  const { code, message } = error as { readonly code: string; readonly message: string };
  const cause = { code, explanation: message, evidence: {} };
  return {
    verdict: 'failed',
    summary: `The job did not fail by its numbers. ${message}`,
    failure: null,
    cause,
    other_causes: [],
    float64: null,
    growth: null,
    curvature: null,
    layers: [],
    frames: [],
    control: null,
    fixes: [],
    replay: null,
  };
}
