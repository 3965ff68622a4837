import { z } from 'zod';
import { answerCreation, creationHeaders, creationResponseHeaders } from '../src/http/creation.ts';
import { preferencesOf, waitPreference } from '../src/http/negotiation.ts';
import { sendPage } from '../src/http/pages.ts';
import { idParams, queryFlag } from '../src/schemas/common.ts';
import { externalId, jobExamples, jobInput } from '../src/schemas/job.ts';
import { resumeExamples, resumeInput } from '../src/schemas/job-actions.ts';
import { answers } from '../src/schemas/job-answers.ts';
import { jobList, jobListQuery, jobPreview, jobView } from '../src/schemas/job-view.ts';
import { type JobAction, jobActions, namesOf } from '../src/training/states.ts';
import type { Routes } from './plugin.ts';

const tags = ['jobs'];
const params = idParams('job', 'job');

const jobCreationHeaders = creationHeaders.extend({
  prefer: z
    .string()
    .optional()
    .meta({
      description:
        '`wait=30`: answer when the job has ended, or after so many seconds. `reuse`: when a job of the same `run_sha256` has succeeded (and would end so again), or is waiting or running, answer 200 with that one instead of training the same once more; its labels, priority and limits on the queue stay its own. Not applied to a request with an `external_id`. Both can be given: `reuse, wait=30`.',
      examples: ['wait=30', 'reuse, wait=30'],
    }),
});

const jobResponseHeaders = {
  ...creationResponseHeaders,
  'Preference-Applied': '`reuse`, and the seconds that were waited at most.',
};

/** RFC 7240 §3: which of the preferences were honoured. */
function appliedPreferences(isReused: boolean, seconds: number | undefined, maximum: number): string {
  const wait = seconds === undefined ? [] : [`wait=${Math.min(seconds, maximum)}`];
  return [...(isReused ? ['reuse'] : []), ...wait].join(', ');
}

export const jobRoutes: Routes = async (app, { services, config }) => {
  app.post(
    '/v1/jobs',
    {
      schema: {
        operationId: 'createJob',
        tags,
        summary: 'Train a network',
        description:
          'Checks everything, stores the job and queues it; a worker trains it as soon as one is free. Network and data are ids or come inline. With `Prefer: wait=30` the answer comes when the job has ended, if that is in time. Equal requests train to equal bytes. `initial_parameters` with a `job_id`, and a `step` for any of its checkpoints, starts from the parameters of another job: a fork or a warm start.',
        headers: jobCreationHeaders,
        querystring: z.strictObject({
          validate_only: queryFlag.optional().meta({
            description: 'Check the job, say what looks wrong in it, and answer 200 without storing anything.',
          }),
        }),
        body: jobInput,
        examples: jobExamples,
        response: { 200: z.union([jobView, jobPreview]), 201: jobView },
        responseDocs: {
          200: {
            description:
              'An equal run was there already and is reused, as preferred; or the job is valid and nothing was stored (`validate_only`).',
            examples: { done: answers.job.done, preview: answers.preview },
            headers: jobResponseHeaders,
          },
          201: {
            description: 'The job is stored and will be trained, whatever happens to the service.',
            examples: answers.job,
            headers: jobResponseHeaders,
          },
        },
        errors: ['limit_exceeded', 'idempotency_key_reused', 'already_exists', 'too_many_requests'],
      },
    },
    async (request, reply) => {
      if (request.query.validate_only) return reply.code(200).send(await services.jobs.preview(request.body));
      const preferences = preferencesOf(request);
      const options = { key: request.headers['idempotency-key'], reuse: preferences.has('reuse') };
      const created = await services.jobs.create(request.body, options);
      answerCreation(reply, '/v1/jobs', created);
      const seconds = waitPreference(preferences);
      const applied = appliedPreferences(created.status === 200, seconds, config.limits.max_wait_seconds);
      if (applied !== '') reply.header('preference-applied', applied);
      if (seconds === undefined) return reply.send(created.body as never);
      return reply.send(await services.jobs.wait(created.id, seconds));
    },
  );

  app.put(
    '/v1/jobs/by-external-id/:key',
    {
      schema: {
        operationId: 'putJob',
        tags,
        summary: 'Train a network once',
        description:
          'Creates the job under a key of your own, or answers with the one that is there already: the same body can be sent as often as you like. 409 when the job under this key trains something else.',
        params: z.object({ key: externalId }),
        body: jobInput,
        examples: jobExamples,
        response: { 200: jobView, 201: jobView },
        responseDocs: {
          200: { description: 'The job was there already.', examples: answers.job },
          201: {
            description: 'The job is stored and will be trained, whatever happens to the service.',
            examples: answers.job,
            headers: { Location: creationResponseHeaders.Location },
          },
        },
        errors: ['limit_exceeded', 'already_exists', 'too_many_requests'],
      },
    },
    async (request, reply) => {
      const { id, status } = await services.jobs.put(request.params.key, request.body);
      const job = await services.jobs.get(id);
      return status === 200 ? reply.code(200).send(job) : reply.code(201).header('location', job.urls.self).send(job);
    },
  );

  app.get(
    '/v1/jobs',
    {
      schema: {
        operationId: 'listJobs',
        tags,
        summary: 'List jobs',
        description:
          'A page of jobs, newest first. `metadata[team]=a` keeps those with this label; several must all match.',
        querystring: jobListQuery,
        response: { 200: jobList },
        responseDocs: {
          200: { examples: answers.list, headers: { Link: 'The next page, with `rel="next"`; absent on the last.' } },
        },
      },
    },
    async (request, reply) => sendPage(request, reply, await services.jobs.list(request.query)),
  );

  app.get(
    '/v1/jobs/:id',
    {
      schema: {
        operationId: 'getJob',
        tags,
        summary: 'Read a job',
        description: 'State, progress, newest and best values, what can be done with it, and where its results are.',
        params,
        response: { 200: jobView },
        responseDocs: { 200: { examples: answers.job } },
      },
    },
    async (request) => services.jobs.get(request.params.id),
  );

  app.delete(
    '/v1/jobs/:id',
    {
      schema: {
        operationId: 'deleteJob',
        tags,
        summary: 'Delete a job',
        description: 'Removes a job that has ended, with its history, events and parameters.',
        params,
        response: { 204: z.null().meta({ description: 'It is gone.' }) },
        errors: ['wrong_state'],
      },
    },
    async (request, reply) => {
      await services.jobs.remove(request.params.id);
      return reply.code(204).send(null);
    },
  );

  const actionDocs = (action: JobAction) => ({
    operationId: `${action}Job`,
    tags,
    summary: `${action[0].toUpperCase()}${action.slice(1)} a job`,
    description: `${jobActions[action].description} Asking again changes nothing; a state in which it is not possible answers 409 with \`allowed_actions\`.`,
    params,
    response: { 200: jobView },
    responseDocs: { 200: { examples: answers.job } },
    errors: ['wrong_state'] as const,
  });

  app.post(
    '/v1/jobs/:id/resume',
    { schema: { ...actionDocs('resume'), body: resumeInput.optional(), examples: resumeExamples } },
    async ({ params: { id }, body }) =>
      services.jobs.act(id, 'resume', { acceptOtherRounding: body?.accept_other_rounding }),
  );

  for (const action of namesOf(jobActions).filter((name) => name !== 'resume')) {
    app.post(`/v1/jobs/:id/${action}`, { schema: actionDocs(action) }, async (request) =>
      services.jobs.act(request.params.id, action),
    );
  }
};
