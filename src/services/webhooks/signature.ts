/** Signatures by the Standard Webhooks specification 1.0 (standardwebhooks.com), symmetric scheme `v1`. */
import { createHmac } from 'node:crypto';

export interface SignedMessage {
  /** Names the message: equal on every attempt, so that a receiver recognises a repetition. */
  readonly id: string;
  /** When this attempt is made, in milliseconds; sent in seconds. */
  readonly at: number;
  readonly body: string;
}

/** `webhook-signature` is HMAC-SHA-256 over `id.timestamp.body`, with the bytes that stand in base64 behind `whsec_`. */
export function signedHeaders({ id, at, body }: SignedMessage, secret: string): Record<string, string> {
  const timestamp = String(Math.floor(at / 1000));
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
  const signature = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64');
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': `v1,${signature}` };
}
