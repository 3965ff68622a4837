/** `GET /v1/jobs/{id}/steps/{n}`: any step of a job that has ended. */
import { ProblemError } from '../errors.ts';
import type { StepQuery } from '../schemas/step.ts';
import { digestOf } from './digest.ts';
import { bugMark } from './job-request.ts';
import type { Tagged } from './jobs.ts';
import {
  bytesOf,
  checkpointUpTo,
  endedJob,
  keptAnswer,
  type PostMortemContext,
  recordedLosses,
  refuseOverlong,
  requestOf,
} from './post-mortems.ts';

/** @param derivation Markdown to be followed by hand, instead of JSON */
export async function explainStep(
  context: PostMortemContext,
  id: string,
  step: number,
  { include }: StepQuery,
  derivation: boolean,
): Promise<Tagged<string>> {
  const ended = await endedJob(context, id);
  const { job, last_step } = ended;
  if (step < 1 || step > last_step) {
    const detail = last_step === 0 ? 'The job has no steps.' : `There is no step ${step}; there are 1 to ${last_step}.`;
    throw new ProblemError('not_found', detail);
  }
  const start = checkpointUpTo(ended, step - 1);
  const asked = derivation ? [] : [...new Set(include)].sort();
  const name = `step-${step}-${derivation ? 'markdown' : ['json', ...asked].join('-')}`;
  const text = await keptAnswer(context, id, name, 'explain_step', async () => {
    refuseOverlong(context.limits, step - (start?.step ?? 0), ended, start?.step ?? 0);
    return {
      request: await requestOf(context, ended, start?.step ?? 0),
      checkpoint: start && (await bytesOf(context, start)),
      recorded: await recordedLosses(context, id, step),
      step,
      include: asked,
      derivation,
    };
  });
  const head = JSON.stringify({ job_id: id, ...bugMark(job) });
  const content = derivation ? text : `${head.slice(0, -1)},${text.slice(1)}`;
  return { content, etag: digestOf([id, name, content]) };
}
