import { idParams } from '../src/schemas/common.ts';
import { webhookList, webhookListExample } from '../src/schemas/webhook.ts';
import type { Routes } from './plugin.ts';

export const jobWebhookRoutes: Routes = async (app, { services }) => {
  app.get(
    '/v1/jobs/:id/webhooks',
    {
      schema: {
        operationId: 'listWebhooks',
        tags: ['jobs'],
        summary: 'See how the webhooks stand',
        description:
          'The webhooks that the job was created with and their newest deliveries. A delivery that is not answered with 2xx is tried again after 5 s, 20 s, 80 s and so on, up to 6 h, ten times altogether; the next event waits for it. Deleting the job ends its deliveries.',
        params: idParams('job', 'job'),
        response: { 200: webhookList },
        responseDocs: { 200: { examples: { waiting: webhookListExample } } },
      },
    },
    async (request) => services.jobs.webhooks(request.params.id),
  );
};
