import { Readable } from 'node:stream';
import { idParams } from '../src/schemas/common.ts';
import { answers } from '../src/schemas/job-answers.ts';
import { predictExamples, predictInput, prediction } from '../src/schemas/prediction.ts';
import { lineMediaTypes } from '../src/services/prediction-lines.ts';
import type { Routes } from './plugin.ts';

const json = 'application/json';
const [lines] = lineMediaTypes;

/** In this scope lines of JSON are a stream; JSON is parsed as everywhere. */
export const predictionRoutes: Routes = async (app, { services }) => {
  app.addContentTypeParser([...lineMediaTypes], async (_request: unknown, body: Readable) => body);
  app.post(
    '/v1/jobs/:id/predict',
    {
      schema: {
        operationId: 'predict',
        tags: ['jobs'],
        summary: 'Predict',
        description:
          'The outputs of the trained network for new rows; of a running job by its newest checkpoint. For very many rows send `application/x-ndjson`: one row a line, an object by column name or a list; the answer is one line a row, `{"outputs": […], "label": …}`, streamed while the body is still arriving. A row that is wrong ends it: before the first answer as a problem (of a short body that arrives in one piece, whichever row it is), later as a last line `{"error": {…}}` with the members of a problem, so a body is predicted in full when the last line has no `error`.',
        params: idParams('job', 'job'),
        body: predictInput,
        requestMedia: { [lines]: '{"petal_length_cm":1.4,"petal_width_cm":0.2}\n[5.1,1.8]\n' },
        examples: predictExamples,
        response: { 200: prediction },
        responseDocs: {
          200: {
            examples: answers.prediction,
            media: {
              [lines]: '{"outputs":[0.98,0.02],"label":"setosa"}\n{"outputs":[0.01,0.99],"label":"virginica"}\n',
            },
            headers: {
              'X-Model-Step': 'With lines: the step whose parameters were used.',
              'X-Parameters-Sha256': 'With lines: the hash of these parameters.',
            },
          },
        },
        errors: ['wrong_state'],
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      const body: unknown = request.body;
      if (body instanceof Readable) {
        const { step, parameters_sha256, pieces } = await services.linePredictions.predict(id, body);
        reply.type(lines).header('x-model-step', step).header('x-parameters-sha256', parameters_sha256);
        return reply.send(Readable.from(pieces) as never);
      }
      return reply.type(json).send((await services.jobs.predict(id, request.body.inputs)) as never);
    },
  );
};
