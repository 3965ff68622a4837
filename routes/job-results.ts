import { z } from 'zod';
import { answerSignal, eventStreamType, lastEventId, sendEvents } from '../src/http/event-stream.ts';
import { preferredType, sendText } from '../src/http/negotiation.ts';
import { sendPage } from '../src/http/pages.ts';
import { idParams } from '../src/schemas/common.ts';
import { eventList, eventQuery, eventStreamExample } from '../src/schemas/events.ts';
import { historyQuery, lossHistory } from '../src/schemas/history.ts';
import { answers } from '../src/schemas/job-answers.ts';
import { checkpointList } from '../src/schemas/job-view.ts';
import { layerStatistics, layersQuery } from '../src/schemas/layers.ts';
import { parametersQuery, parametersView } from '../src/schemas/parameters.ts';
import { evaluateExamples, evaluateInput, evaluation } from '../src/schemas/prediction.ts';
import { historyTexts, sentEvents } from '../src/services/representations.ts';
import type { Routes } from './plugin.ts';

const tags = ['jobs'];
const params = idParams('job', 'job');
const json = 'application/json';
const fixed = { ETag: 'Once the job has ended: the same tag is the same bytes.' };

export const jobResultRoutes: Routes = async (app, { services }) => {
  app.get(
    '/v1/jobs/:id/loss-history',
    {
      schema: {
        operationId: 'getLossHistory',
        tags,
        summary: 'Read the loss history',
        description:
          'The curve by epoch or step, column by column. Long histories are sampled: of every bucket the smallest and the largest loss are kept, besides the first, the last and every point that is not finite, so that the same call gives the same answer. The `loss` of an epoch is the mean over its samples of the batch losses, each measured before its update. As JSON, CSV or NDJSON by `Accept`.',
        params,
        querystring: historyQuery,
        response: { 200: lossHistory },
        responseDocs: {
          200: {
            examples: answers.history,
            headers: fixed,
            media: {
              'text/csv': 'epoch,step,loss,learning_rate\n1,1,0.693,0.05\n',
              'application/x-ndjson': '{"epoch":1,"step":1,"loss":0.693,"learning_rate":0.05}\n',
            },
          },
        },
        errors: ['not_acceptable'],
      },
    },
    async (request, reply) => {
      const type = preferredType(request, [json, 'text/csv', 'application/x-ndjson']);
      const { content, etag } = await services.jobs.history(request.params.id, request.query);
      return sendText(request, reply, { type, text: () => historyTexts[type](content), etag }) as never;
    },
  );

  app.get(
    '/v1/jobs/:id/parameters',
    {
      schema: {
        operationId: 'getParameters',
        tags,
        summary: 'Read the parameters',
        description:
          'The model that the job has ended with, or would end with now; with `step` those of a checkpoint. Weights are `weights[unit][input]`.',
        params,
        querystring: parametersQuery,
        response: { 200: parametersView },
        responseDocs: { 200: { examples: answers.parameters, headers: fixed } },
        errors: ['wrong_state'],
      },
    },
    async (request, reply) => {
      const { content, etag } = await services.jobs.parameters(request.params.id, request.query);
      return sendText(request, reply, { type: json, text: () => content, etag }) as never;
    },
  );

  app.get(
    '/v1/jobs/:id/layers',
    {
      schema: {
        operationId: 'getLayerStatistics',
        tags,
        summary: 'Read the statistics of the layers over time',
        description:
          'Weights, gradients, updates and activations of every layer in a few numbers each, at sampled steps: at most 200, dense at first, chosen by their numbers alone, so that an interrupted job has the same ones. Gradients and activations come from the first `rows` rows of the batch. How many steps are looked at is bounded by what looking costs: by estimate 0.8 % of training and 15 ms, so that a short job of a large network may have none. Empty when the job was created with `"statistics": false`.',
        params,
        querystring: layersQuery,
        response: { 200: layerStatistics },
        responseDocs: { 200: { examples: answers.layers, headers: fixed } },
      },
    },
    async (request, reply) => {
      const { content, etag } = await services.jobs.layers(request.params.id, request.query);
      return sendText(request, reply, { type: json, text: () => JSON.stringify(content), etag }) as never;
    },
  );

  app.get(
    '/v1/jobs/:id/checkpoints',
    {
      schema: {
        operationId: 'listCheckpoints',
        tags,
        summary: 'List checkpoints',
        description:
          'The points from which the job can go on and at which its parameters can be read, newest first. Kept are the newest two, that of the best epoch if one was taken there, those of `checkpoint.every_epochs` (evenly spread when they are more than 64), and the first of every doubling of the steps.',
        params,
        response: { 200: checkpointList },
        responseDocs: { 200: { examples: answers.checkpoints } },
      },
    },
    async (request) => services.jobs.checkpoints(request.params.id),
  );

  app.get(
    '/v1/jobs/:id/events',
    {
      schema: {
        operationId: 'listEvents',
        tags,
        summary: 'Read or follow the events',
        description:
          'A page, oldest first; or, with `Accept: text/event-stream`, all events as they happen. Events with an `id` are kept: a client that comes back with `Last-Event-ID` gets every one that it missed. `progress` is a snapshot without an id. The stream ends with `end`.',
        headers: z.looseObject({
          'last-event-id': z.string().optional().meta({ description: 'In a stream: the last event already seen.' }),
        }),
        params,
        querystring: eventQuery,
        response: { 200: eventList },
        responseDocs: {
          200: {
            examples: answers.events,
            headers: { Link: 'The next page, with `rel="next"`.' },
            media: { [eventStreamType]: eventStreamExample },
          },
        },
        errors: ['not_acceptable', 'too_many_requests'],
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      const isStream = preferredType(request, [json, eventStreamType]) === eventStreamType && request.method === 'GET';
      if (!isStream) return sendPage(request, reply, await services.jobs.events(id, request.query));
      const after = lastEventId(request) ?? request.query.after;
      const items = await services.jobs.follow(id, after, answerSignal(reply));
      return sendEvents(request, reply, sentEvents(items)) as never;
    },
  );

  app.post(
    '/v1/jobs/:id/evaluate',
    {
      schema: {
        operationId: 'evaluate',
        tags,
        summary: 'Evaluate',
        description: 'Loss, metrics and confusion matrix of the trained network on rows whose truth is known.',
        params,
        body: evaluateInput,
        examples: evaluateExamples,
        response: { 200: evaluation },
        responseDocs: { 200: { examples: answers.evaluation } },
        errors: ['wrong_state'],
      },
    },
    async (request) => services.jobs.evaluate(request.params.id, request.body),
  );
};
