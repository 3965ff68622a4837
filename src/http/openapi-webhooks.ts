/** The `webhooks` of the OpenAPI document: what this service sends to others, by the table of events. */
import { thresholdEvent, webhookEvents, webhookMessage } from '../schemas/webhook.ts';
import { componentPrefix } from './components.ts';

const header = (name: string, description: string) => ({
  name,
  in: 'header',
  required: true,
  description,
  schema: { type: 'string' },
});

/** By the Standard Webhooks specification. */
const headers = [
  header('webhook-id', 'Names the message, equal on every attempt: whoever has seen it can pass over a repetition.'),
  header('webhook-timestamp', 'When this attempt is made, in seconds since 1970; refuse what is older than 5 minutes.'),
  header(
    'webhook-signature',
    '`v1,` and the base64 of HMAC-SHA-256 over `id.timestamp.body`, by the bytes that stand in base64 behind `whsec_`.',
  ),
];

const responses = {
  '2XX': { description: 'Received. The rest of the answer is not read.' },
  '410': { description: 'Nothing more is sent to this webhook.' },
  default: {
    description:
      'Not received, redirects included: sent again after 5 s, 20 s, 80 s and so on, up to 6 h, ten times altogether.',
  },
};

/** `job.state` → the operation of the receiver. */
export function describeWebhooks(): Record<string, unknown> {
  const schema = { $ref: `${componentPrefix}${webhookMessage.meta()?.id}` };
  return Object.fromEntries(
    Object.entries({ ...webhookEvents, ...thresholdEvent }).map(([name, description]) => {
      const post = {
        operationId: `receive_${name}`.replace(/_(\w)/g, (_match, letter: string) => letter.toUpperCase()),
        tags: ['jobs'],
        summary: `A job’s event ${name}`,
        description,
        parameters: headers,
        requestBody: { required: true, content: { 'application/json': { schema } } },
        responses,
        security: [],
      };
      return [`job.${name}`, { post }];
    }),
  );
}
