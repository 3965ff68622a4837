import { z } from 'zod';
import { answerCreation, creationHeaders, creationResponseHeaders } from '../src/http/creation.ts';
import { sendPage } from '../src/http/pages.ts';
import { idParams, listQuery, queryFlag } from '../src/schemas/common.ts';
import { networkExamples, networkInput, networkList, networkPreview, networkView } from '../src/schemas/network.ts';
import { describeNetwork } from '../src/services/networks.ts';
import type { Routes } from './plugin.ts';

const tags = ['networks'];
const params = idParams('network', 'net');
const example = {
  id: 'net_0198c5d2-7a3e-7bc1-9f00-5d3c1c0a8e21',
  ...describeNetwork(networkInput.parse(networkExamples.seed)),
  created_at: '2026-01-31T12:00:00.000Z',
};
const { id: _id, created_at: _at, ...preview } = example;

export const networkRoutes: Routes = async (app, { services }) => {
  app.post(
    '/v1/networks',
    {
      schema: {
        operationId: 'createNetwork',
        tags,
        summary: 'Define a network',
        description:
          'Checks a definition and keeps it; it never changes afterwards. Any activation × loss pair that is mathematically defined works. `warnings` lists what is allowed but probably not meant, each with a JSON Patch that mends it.',
        querystring: z.strictObject({
          validate_only: queryFlag
            .optional()
            .meta({ description: 'Check the definition and answer 200 without storing anything.' }),
        }),
        headers: creationHeaders,
        body: networkInput,
        examples: networkExamples,
        response: { 200: networkPreview, 201: networkView },
        responseDocs: {
          200: {
            description: 'The definition is valid; nothing was stored (`validate_only`).',
            examples: { seed: preview },
          },
          201: {
            description: 'The network was stored.',
            headers: creationResponseHeaders,
            examples: { seed: example },
          },
        },
        errors: ['limit_exceeded', 'idempotency_key_reused'],
      },
    },
    async (request, reply) => {
      if (request.query.validate_only) return reply.code(200).send(services.networks.preview(request.body));
      const created = await services.networks.create(request.body, request.headers['idempotency-key']);
      return answerCreation(reply, '/v1/networks', created).send(created.body) as never;
    },
  );

  app.get(
    '/v1/networks',
    {
      schema: {
        operationId: 'listNetworks',
        tags,
        summary: 'List networks',
        description: 'A page of networks, newest first.',
        querystring: listQuery,
        response: { 200: networkList },
        responseDocs: {
          200: {
            headers: { Link: 'The next page, with `rel="next"`; absent on the last.' },
            examples: { page: { data: [example], has_more: false } },
          },
        },
      },
    },
    async (request, reply) => sendPage(request, reply, await services.networks.list(request.query)),
  );

  app.get(
    '/v1/networks/:id',
    {
      schema: {
        operationId: 'getNetwork',
        tags,
        summary: 'Read a network',
        description: 'The definition as it was given, with its sizes, parameter counts and warnings.',
        params,
        response: { 200: networkView },
        responseDocs: { 200: { examples: { seed: example } } },
      },
    },
    async (request) => services.networks.get(request.params.id),
  );

  app.delete(
    '/v1/networks/:id',
    {
      schema: {
        operationId: 'deleteNetwork',
        tags,
        summary: 'Delete a network',
        description: 'Removes the definition. Jobs keep their own copy of it and go on.',
        params,
        response: { 204: z.null().meta({ description: 'It is gone.' }) },
      },
    },
    async (request, reply) => {
      await services.networks.remove(request.params.id);
      return reply.code(204).send(null);
    },
  );
};
