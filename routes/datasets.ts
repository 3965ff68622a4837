import type { Readable } from 'node:stream';
import { z } from 'zod';
import { answerCreation, creationHeaders, creationResponseHeaders } from '../src/http/creation.ts';
import { sendPage } from '../src/http/pages.ts';
import { idParams, listQuery } from '../src/schemas/common.ts';
import {
  datasetList,
  datasetListExamples,
  datasetProfile,
  datasetRows,
  datasetView,
  generateExamples,
  generateInput,
  rowsQuery,
  uploadExamples,
  uploadQuery,
} from '../src/schemas/dataset.ts';
import { uploadMediaTypes } from '../src/services/datasets.ts';
import type { Routes } from './plugin.ts';

const tags = ['datasets'];
const params = idParams('data set', 'ds');
const nextPage = { Link: 'The next page, with `rel="next"`; absent on the last.' };

/** The upload has a scope of its own, in which bodies of every media type are streams. */
const uploadRoutes: Routes = async (app, { services }) => {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser([...uploadMediaTypes], async (_request: unknown, body: Readable) => body);
  app.post(
    '/v1/datasets',
    {
      schema: {
        operationId: 'createDataset',
        tags,
        summary: 'Upload a data set',
        description:
          'Streams the body to disk and reads it in a thread of its own. CSV (RFC 4180, with a header row; `,` `;` tab or `|`), NDJSON, JSON `{"inputs": [[…]], "targets": […]}`, `.npy` (the last column is the target) or `.npz` (`inputs`/`X` and `targets`/`y`). Text columns become one feature for each text; a text target becomes classes. Whatever is wrong is named by row and column, and nothing is stored.',
        querystring: uploadQuery,
        headers: creationHeaders,
        consumes: [...uploadMediaTypes],
        body: z.unknown().meta({ description: 'The data in the format that `Content-Type` names.' }),
        examples: uploadExamples,
        response: { 201: datasetView },
        responseDocs: { 201: { description: 'The data set was stored.', headers: creationResponseHeaders } },
        errors: ['limit_exceeded', 'idempotency_key_reused'],
      },
    },
    async (request, reply) => {
      const { headers, body, query } = request;
      const type = headers['content-type'] ?? '';
      const created = await services.datasets.create(body as Readable, type, query, headers['idempotency-key']);
      return answerCreation(reply, '/v1/datasets', created).send(created.body) as never;
    },
  );
};

export const datasetRoutes: Routes = async (app, context) => {
  const { services } = context;
  await app.register(uploadRoutes, context);

  app.post(
    '/v1/datasets/generate',
    {
      schema: {
        operationId: 'generateDataset',
        tags,
        summary: 'Draw a toy data set',
        description: 'The same kind, options and seed give the same numbers on every machine.',
        headers: creationHeaders,
        body: generateInput,
        examples: generateExamples,
        response: { 201: datasetView },
        responseDocs: { 201: { description: 'The data set was stored.', headers: creationResponseHeaders } },
        errors: ['limit_exceeded', 'idempotency_key_reused'],
      },
    },
    async (request, reply) => {
      const created = await services.datasets.generate(request.body, request.headers['idempotency-key']);
      return answerCreation(reply, '/v1/datasets', created).send(created.body) as never;
    },
  );

  app.get(
    '/v1/datasets',
    {
      schema: {
        operationId: 'listDatasets',
        tags,
        summary: 'List data sets',
        description: 'A page of data sets, newest first, without their columns.',
        querystring: listQuery,
        response: { 200: datasetList },
        responseDocs: { 200: { headers: nextPage, examples: datasetListExamples } },
      },
    },
    async (request, reply) => sendPage(request, reply, await services.datasets.list(request.query)),
  );

  app.get(
    '/v1/datasets/:id',
    {
      schema: {
        operationId: 'getDataset',
        tags,
        summary: 'Read what is known about a data set',
        description: 'Its columns with their statistics, its classes and warnings.',
        params,
        response: { 200: datasetView },
      },
    },
    async (request) => services.datasets.get(request.params.id),
  );

  app.get(
    '/v1/datasets/:id/profile',
    {
      schema: {
        operationId: 'getDatasetProfile',
        tags,
        summary: 'Read the profile of a data set',
        description: 'Columns, classes with their imbalance, and the features as a network sees them.',
        params,
        response: { 200: datasetProfile },
      },
    },
    async (request) => services.datasets.profile(request.params.id),
  );

  app.get(
    '/v1/datasets/:id/rows',
    {
      schema: {
        operationId: 'listDatasetRows',
        tags,
        summary: 'Read rows of a data set',
        description: 'A page of rows in the client’s own columns, in the order of the file.',
        params,
        querystring: rowsQuery,
        response: { 200: datasetRows },
        responseDocs: { 200: { headers: nextPage } },
      },
    },
    async (request, reply) => {
      const rows = await services.datasets.rows(request.params.id, request.query);
      sendPage(request, reply, rows);
      return rows;
    },
  );

  app.delete(
    '/v1/datasets/:id',
    {
      schema: {
        operationId: 'deleteDataset',
        tags,
        summary: 'Delete a data set',
        description: 'Refused with 409 while a job that is not finished was made with it.',
        params,
        response: { 204: z.null().meta({ description: 'It is gone.' }) },
        errors: ['in_use'],
      },
    },
    async (request, reply) => {
      await services.datasets.remove(request.params.id);
      return reply.code(204).send(null);
    },
  );
};
