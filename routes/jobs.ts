import { z } from 'zod';
import { waitPreference } from '../src/http/negotiation.ts';
import { sendPage } from '../src/http/pages.ts';
import { idParams } from '../src/schemas/common.ts';
import { externalId, jobExamples, jobInput } from '../src/schemas/job.ts';
import { answers } from '../src/schemas/job-answers.ts';
import { jobList, jobListQuery, jobView } from '../src/schemas/job-view.ts';
import { jobActions, namesOf } from '../src/training/states.ts';
import type { Routes } from './plugin.ts';

const tags = ['jobs'];
const params = idParams('job', 'job');

const creationHeaders = z.looseObject({
  'idempotency-key': z.string().min(1).max(255).optional().meta({
    description: 'A key of your own: the same request with the same key creates one job, however often it is sent.',
  }),
  prefer: z
    .string()
    .optional()
    .meta({
      description: '`wait=30`: answer when the job has ended, or after so many seconds.',
      examples: ['wait=30'],
    }),
});

export const jobRoutes: Routes = async (app, { services, config }) => {
  app.post(
    '/v1/jobs',
    {
      schema: {
        operationId: 'createJob',
        tags,
        summary: 'Train a network',
        description:
          'Checks everything, stores the job and queues it; a worker trains it as soon as one is free. Network and data are ids or come inline. With `Prefer: wait=30` the answer comes when the job has ended, if that is in time. Equal requests train to equal bytes. `PUT /v1/jobs/by-external-id/{key}` takes the same body and creates at most one job under a key of your own: 201, then 200 with the same job, or 422 when the job under that key trains something else.',
        headers: creationHeaders,
        body: jobInput,
        examples: jobExamples,
        response: { 201: jobView },
        responseDocs: {
          201: {
            description: 'The job is stored and will be trained, whatever happens to the service.',
            examples: answers.job,
            headers: {
              Location: 'The path of the new job.',
              'Preference-Applied': 'The seconds that were waited at most.',
              'Idempotency-Replayed': '`true` when the job had been created by an earlier request with this key.',
            },
          },
        },
        errors: ['limit_exceeded', 'idempotency_key_reused', 'too_many_requests'],
      },
    },
    async (request, reply) => {
      const created = await services.jobs.create(request.body, request.headers['idempotency-key']);
      const seconds = waitPreference(request);
      reply.code(201).type('application/json').header('location', `/v1/jobs/${created.id}`);
      if (created.replayed) reply.header('idempotency-replayed', 'true');
      if (seconds === undefined) return reply.send(created.body as never);
      reply.header('preference-applied', `wait=${Math.min(seconds, config.limits.max_wait_seconds)}`);
      return reply.send(await services.jobs.wait(created.id, seconds));
    },
  );

  // Told in the description of createJob: as a path of its own, OpenAPI cannot tell it from /v1/jobs/{id}/pause.
  app.put(
    '/v1/jobs/by-external-id/:key',
    {
      schema: {
        hide: true,
        params: z.object({ key: externalId }),
        body: jobInput,
        response: { 200: jobView, 201: jobView },
      },
    },
    async (request, reply) => {
      const { id, replayed } = await services.jobs.put(request.params.key, request.body);
      const job = await services.jobs.get(id);
      return replayed ? reply.code(200).send(job) : reply.code(201).header('location', job.urls.self).send(job);
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

  for (const action of namesOf(jobActions)) {
    app.post(
      `/v1/jobs/:id/${action}`,
      {
        schema: {
          operationId: `${action}Job`,
          tags,
          summary: `${action[0].toUpperCase()}${action.slice(1)} a job`,
          description: `${jobActions[action].description} Asking again changes nothing; a state in which it is not possible answers 409 with \`allowed_actions\`.`,
          params,
          response: { 200: jobView },
          responseDocs: { 200: { examples: answers.job } },
          errors: ['wrong_state'],
        },
      },
      async (request) => services.jobs.act(request.params.id, action),
    );
  }
};
