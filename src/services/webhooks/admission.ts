/** Whether the webhooks of a job can be served, before the job is stored. */
import type { Limits } from '../../config.ts';
import type { Problem } from '../../errors.ts';
import type { JobInput } from '../../schemas/job.ts';
import type { NewWebhook } from '../../store/store.ts';
import { over } from '../networks.ts';
import { isPlainlyPrivate } from './addresses.ts';

/** How the operator wants webhooks to be sent. */
export interface WebhookPolicy {
  readonly allowPrivate: boolean;
  /** Signs for webhooks that bring no secret of their own. */
  readonly secret?: string | undefined;
}

/** What is wrong with them besides their form. The names of hosts are looked at when something is sent. */
export function webhookProblems({ webhooks }: JobInput, policy: WebhookPolicy, limits: Limits): Problem[] {
  return [
    ...over(limits, 'max_webhooks', webhooks.length, '/webhooks', 'The job has', 'webhooks'),
    ...webhooks.flatMap(({ url, secret }, i): Problem[] => [
      ...(policy.allowPrivate || !isPlainlyPrivate(new URL(url)) ? [] : [privateHost(i)]),
      ...(secret === undefined && policy.secret === undefined ? [noSecret(i)] : []),
    ]),
  ];
}

const privateHost = (i: number): Problem => ({
  pointer: `/webhooks/${i}/url`,
  code: 'not_allowed',
  detail: 'The host is not on the public internet; this service does not send webhooks there.',
});

const noSecret = (i: number): Problem => ({
  pointer: `/webhooks/${i}/secret`,
  code: 'required',
  detail: 'A secret must be given, because this service has none of its own to sign with (WEBHOOK_SECRET).',
});

/** As they are kept. */
export function newWebhooks({ webhooks }: JobInput, policy: WebhookPolicy): NewWebhook[] {
  return webhooks.map(({ url, secret, events, threshold }, i) => ({
    number: i + 1,
    url,
    secret: secret ?? (policy.secret as string),
    events: threshold === undefined ? events : [...events, 'threshold_reached'],
    threshold: threshold ?? null,
  }));
}
