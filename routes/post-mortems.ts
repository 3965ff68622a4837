import { z } from 'zod';
import { preferredType, sendText } from '../src/http/negotiation.ts';
import { idParams } from '../src/schemas/common.ts';
import { stepQuery, stepView } from '../src/schemas/step.ts';
import { stepExamples } from '../src/schemas/step-answers.ts';
import type { Routes } from './plugin.ts';

const tags = ['jobs'];
const params = idParams('job', 'job');
const [json, markdown] = ['application/json', 'text/markdown'] as const;
const fixed = { ETag: 'The same tag is the same bytes.' };

const stepParams = params.extend({
  step: z.coerce
    .number<string>()
    .pipe(z.int().min(0))
    .meta({ description: 'Number of the step, from 1.', examples: [1] }),
});

export const postMortemRoutes: Routes = async (app, { services }) => {
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
        errors: ['wrong_state', 'limit_exceeded', 'not_acceptable', 'too_many_requests'],
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
