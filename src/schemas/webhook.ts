/** Webhooks: what a client asks for, what its receiver is sent, and how the deliveries stand. */
import { z } from 'zod';
import { isWebhookSecret } from '../config.ts';
import { names, timestamp } from './common.ts';
import type { CheckParams } from './issues.ts';

/** The events that a webhook can be told of, by the names that they have among a job's events. */
export const webhookEvents = {
  state: 'The job is in another state; `reason` says why, for a job that has ended its `stop_reason`.',
  diverged: 'A number has left the finite range; `message` says where.',
  warning: 'Something about the run looks wrong; `code` and `detail` say what.',
  learning_rate_changed: 'A changed learning rate has taken effect.',
  learning_rate_reduced: 'A plateau has reduced the learning rate.',
} as const;

/** Sent for `threshold`, without being asked for in `events`. */
export const thresholdEvent = {
  threshold_reached: 'The watched series has gone beyond its threshold for the first time.',
} as const;

const longestUrl = 2_000;

const webhookUrl = z.string().superRefine((text, context) => {
  // Its own words, without the text: a URL may contain a secret.
  const params: CheckParams = { code: 'wrong_format' };
  const fault = urlFault(text);
  if (fault !== null) context.addIssue({ code: 'custom', params, message: `url ${fault}.` });
});

function urlFault(text: string): string | null {
  if (text.length > longestUrl) return `must have at most ${longestUrl} characters`;
  if (!URL.canParse(text)) return 'must be a URL';
  const { protocol, username, password, hash } = new URL(text);
  if (protocol !== 'https:' && protocol !== 'http:') return 'must begin with https:// or http://';
  if (username !== '' || password !== '') return 'must not contain a user name or a password';
  return hash === '' ? null : 'must not have a fragment';
}

const webhookSecret = z.string().superRefine((text, context) => {
  if (isWebhookSecret(text)) return;
  const params: CheckParams = { code: 'wrong_format' };
  context.addIssue({ code: 'custom', params, message: 'secret must be whsec_ and 24 to 64 bytes in base64.' });
});

export const webhookThreshold = z
  .strictObject({
    monitor: z.string().min(1).max(100).meta({ description: 'A series that is measured after every epoch.' }),
    below: z.number().optional(),
    above: z.number().optional(),
  })
  .superRefine(({ below, above }, context) => {
    if ((below === undefined) !== (above === undefined)) return;
    const isMissing = below === undefined;
    const params: CheckParams = { code: isMissing ? 'required' : 'not_allowed', allowed: ['below', 'above'] };
    const message = `${isMissing ? 'One of below and above must' : 'Only one of below and above can'} be given.`;
    context.addIssue({ code: 'custom', path: [isMissing ? 'below' : 'above'], params, message });
  })
  .meta({
    id: 'WebhookThreshold',
    description: 'Tells once, as `threshold_reached`, when the series is below or above this value.',
    examples: [{ monitor: 'loss', below: 0.1 }],
  });

export type WebhookThreshold = z.output<typeof webhookThreshold>;

const common = {
  events: z
    .array(z.enum(names(webhookEvents)))
    .max(names(webhookEvents).length)
    .default(['state'])
    .meta({
      description: Object.entries(webhookEvents)
        .map(([name, text]) => `\`${name}\`: ${text}`)
        .join(' '),
    }),
};

export const webhookInput = z
  .strictObject({
    url: webhookUrl.meta({
      description:
        'Where to POST to, by http or https; addresses that are not public are refused, redirects not followed.',
      examples: ['https://example.com/hooks/trainyard'],
    }),
    secret: webhookSecret.optional().meta({
      description:
        '`whsec_` and base64: signs every message, and is never shown. Default: that of the service, if it has one.',
    }),
    events: common.events,
    threshold: webhookThreshold.optional(),
  })
  .meta({
    id: 'Webhook',
    description: 'Whom to tell of a job’s events, signed by the Standard Webhooks convention.',
    examples: [
      {
        url: 'https://example.com/hooks/trainyard',
        secret: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
        threshold: { monitor: 'validation_loss', below: 0.1 },
      },
    ],
  });

/** The body of every message. */
export const webhookMessage = z
  .strictObject({
    type: z.string().meta({ description: '`job.` and the type of the event.' }),
    timestamp: timestamp.meta({ description: 'When it happened.' }),
    data: z
      .looseObject({
        job_id: z.string(),
        job_url: z.string().meta({ description: 'The path of the job at this service.' }),
        external_id: z.string().nullable(),
        event_id: z.int().meta({ description: 'As in the job’s events; rises with every event of a job.' }),
      })
      .meta({ description: 'Besides these, the fields of the event.' }),
  })
  .meta({
    id: 'WebhookMessage',
    description: 'What a receiver is sent: an event of a job.',
    examples: [
      {
        type: 'job.state',
        timestamp: '2026-01-31T12:00:00.101Z',
        data: {
          state: 'succeeded',
          reason: 'completed',
          job_id: 'job_0198c5d2-7a3e-7bc1-9f00-5d3c1c0a8e21',
          external_id: null,
          event_id: 5,
          job_url: '/v1/jobs/job_0198c5d2-7a3e-7bc1-9f00-5d3c1c0a8e21',
        },
      },
    ],
  });

export type WebhookMessage = z.output<typeof webhookMessage>;

const delivery = z
  .strictObject({
    id: z.string().meta({ description: 'The header `webhook-id`, equal on every attempt.' }),
    event_id: z.int(),
    state: z.enum(['pending', 'delivered', 'failed']),
    attempts: z.int(),
    next_attempt_at: timestamp.nullable(),
    last_attempt_at: timestamp.nullable(),
    status: z.int().nullable().meta({ description: 'What the receiver answered last.' }),
    error: z.string().nullable(),
  })
  .meta({ id: 'WebhookDelivery', description: 'One event on its way to one webhook.' });

const webhookView = z
  .strictObject({
    number: z.int().meta({ description: '1, 2, 3, … within the job.' }),
    url: z.string(),
    events: z.array(z.string()),
    threshold: webhookThreshold.nullable(),
    disabled_at: timestamp.nullable().meta({ description: 'When its receiver answered 410: nothing more is sent.' }),
    deliveries: z.array(delivery).meta({ description: 'The newest, newest first.' }),
  })
  .meta({ id: 'WebhookView', description: 'A webhook of a job and how its deliveries stand; never its secret.' });

export const webhookList = z
  .strictObject({ data: z.array(webhookView) })
  .meta({ id: 'WebhookList', description: 'The webhooks of a job in the order in which they were given.' });

export type WebhookList = z.output<typeof webhookList>;

export const webhookListExample: WebhookList = {
  data: [
    {
      number: 1,
      url: 'https://example.com/hooks/trainyard',
      events: ['state', 'threshold_reached'],
      threshold: { monitor: 'loss', below: 0.1 },
      disabled_at: null,
      deliveries: [
        {
          id: 'msg_0198c5d2-7a3e-7bc1-9f00-5d3c1c0a8e21_2_1',
          event_id: 2,
          state: 'pending',
          attempts: 1,
          next_attempt_at: '2026-01-31T12:00:05.600Z',
          last_attempt_at: '2026-01-31T12:00:00.012Z',
          status: 503,
          error: 'the receiver answered 503',
        },
        {
          id: 'msg_0198c5d2-7a3e-7bc1-9f00-5d3c1c0a8e21_1_1',
          event_id: 1,
          state: 'delivered',
          attempts: 1,
          next_attempt_at: null,
          last_attempt_at: '2026-01-31T12:00:00.009Z',
          status: 204,
          error: null,
        },
      ],
    },
  ],
};
