import { z } from 'zod';
import { answerCreation, creationHeaders, creationResponseHeaders } from '../src/http/creation.ts';
import { preferencesOf, preferredType, sendText, waitPreference } from '../src/http/negotiation.ts';
import { idParams } from '../src/schemas/common.ts';
import { applyInput, diagnosisView } from '../src/schemas/diagnosis.ts';
import { diagnosisExamples } from '../src/schemas/diagnosis-answers.ts';
import { answers } from '../src/schemas/job-answers.ts';
import { jobView } from '../src/schemas/job-view.ts';
import { stepQuery, stepView } from '../src/schemas/step.ts';
import { stepExamples } from '../src/schemas/step-answers.ts';
import type { Routes } from './plugin.ts';

const tags = ['jobs'];
const params = idParams('job', 'job');
const [json, markdown] = ['application/json', 'text/markdown'] as const;
const fixed = { ETag: 'The same tag is the same bytes.' };

const forkHeaders = creationHeaders.extend({
  prefer: z
    .string()
    .optional()
    .meta({
      description: '`wait=30`: answer when the new job has ended, or after so many seconds.',
      examples: ['wait=30'],
    }),
});

const forkResponseHeaders = {
  ...creationResponseHeaders,
  'Preference-Applied': 'The seconds that were waited at most.',
};

const stepParams = params.extend({
  step: z.coerce
    .number<string>()
    .pipe(z.int().min(0))
    .meta({ description: 'Number of the step, from 1.', examples: [1] }),
});

export const postMortemRoutes: Routes = async (app, { services, config }) => {
  app.get(
    '/v1/jobs/:id/diagnosis',
    {
      schema: {
        operationId: 'diagnoseJob',
        tags,
        summary: 'Diagnose a job',
        description:
          'Why a job failed, or learned badly: the first value that was not finite, the last 20 steps, how fast they grew, the cause with the numbers that show it, and fixes, best first. Every fix has been tried from the last good checkpoint, or from the start where it has to begin there, for 500 steps (fewer for large networks), with exactly the numbers that a fork would have. A healthy job says so. The same job has the same diagnosis; it is kept, so that the second request is quick.',
        params,
        response: { 200: diagnosisView },
        responseDocs: { 200: { examples: diagnosisExamples, headers: fixed } },
        errors: ['wrong_state', 'cannot_replay', 'too_many_requests'],
      },
    },
    async (request, reply) => {
      const { content, etag } = await services.jobs.diagnosis(request.params.id);
      return sendText(request, reply, { type: json, text: () => content, etag }) as never;
    },
  );

  app.post(
    '/v1/jobs/:id/diagnosis/apply',
    {
      schema: {
        operationId: 'applyFix',
        tags,
        summary: 'Fork a job with a fix',
        description:
          'Creates a new job: the old one with a fix of its diagnosis, from the checkpoint with which the fix was tried. `parent` links it to the old one. Its first steps are those of the trial, to the last bit.',
        headers: forkHeaders,
        params,
        body: applyInput,
        response: { 201: jobView },
        responseDocs: {
          201: {
            description: 'The new job is stored and will be trained.',
            examples: answers.job,
            headers: forkResponseHeaders,
          },
        },
        errors: ['wrong_state', 'cannot_replay', 'limit_exceeded', 'idempotency_key_reused', 'too_many_requests'],
      },
    },
    async (request, reply) => {
      const { params, body, headers } = request;
      const created = await services.jobs.applyFix(params.id, body, headers['idempotency-key']);
      const seconds = waitPreference(preferencesOf(request));
      answerCreation(reply, '/v1/jobs', created);
      if (seconds === undefined) return reply.send(created.body as never);
      reply.header('preference-applied', `wait=${Math.min(seconds, config.limits.max_wait_seconds)}`);
      return reply.send(await services.jobs.wait(created.id, seconds));
    },
  );

  app.get(
    '/v1/jobs/:id/steps/:step',
    {
      schema: {
        operationId: 'explainStep',
        tags,
        summary: 'Explain a step',
        description:
          'Replays a finished job from the nearest checkpoint to this step, bit for bit, and says what happened in it: the rows of the batch, loss, learning rate and clipping, and per layer pre-activations, activations, deltas, gradients and updates as statistics; `include` adds whole tensors under the names of `POST /v1/gradients`. With `Accept: text/markdown` a worked derivation with the numbers in it. The answer is kept, so that the second request is quick. A replay over the limit `max_replay_work` is refused with 422.',
        params: stepParams,
        querystring: stepQuery,
        response: { 200: stepView },
        responseDocs: {
          200: { examples: stepExamples, headers: fixed, media: { [markdown]: '# Step 1: epoch 1, batch 1\n' } },
        },
        errors: ['wrong_state', 'cannot_replay', 'limit_exceeded', 'not_acceptable', 'too_many_requests'],
      },
    },
    async (request, reply) => {
      const { id, step } = request.params;
      const type = preferredType(request, [json, markdown]);
      const { content, etag } = await services.jobs.explainStep(id, step, request.query, type === markdown);
      const sent = type === markdown ? `${markdown}; charset=utf-8` : type;
      return sendText(request, reply, { type: sent, text: () => content, etag }) as never;
    },
  );
};
