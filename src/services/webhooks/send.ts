/** One attempt to deliver a webhook: a POST to a checked address, without redirects, and without reading the answer. */
import { isIP } from 'node:net';
import { addressFor, DeliveryError, hostOf, type Resolve, resolveHost } from './addresses.ts';

// Imported as ES modules they would bring `fetch` and WebSocket with them: 20 ms and 3 MB at every start.
const http = process.getBuiltinModule('node:http');
const https = process.getBuiltinModule('node:https');

export interface WebhookRequest {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/**
 * Resolves with the status of a receiver that has accepted.
 * @throws {DeliveryError} in all other cases
 */
export type Send = (request: WebhookRequest, abort: AbortSignal) => Promise<number>;

export interface SendOptions {
  readonly allowPrivate: boolean;
  readonly timeoutMs?: number;
  readonly resolve?: Resolve;
}

/** From the look-up of the name to the status line. The specification recommends 15 to 30 s. */
const defaultTimeoutMs = 15_000;

export function createSend({ allowPrivate, timeoutMs = defaultTimeoutMs, resolve = resolveHost }: SendOptions): Send {
  return async (request, abort) => {
    const timeout = AbortSignal.timeout(timeoutMs);
    const signal = AbortSignal.any([abort, timeout]);
    try {
      const status = await Promise.race([post(request, { allowPrivate, resolve }, signal), aborted(signal)]);
      if (status >= 200 && status < 300) return status;
      const redirect = status >= 300 && status < 400 ? '; redirects are not followed' : '';
      throw new DeliveryError(`the receiver answered ${status}${redirect}`, status);
    } catch (error) {
      if (error instanceof DeliveryError) throw error;
      if (timeout.aborted) throw new DeliveryError(`no answer within ${timeoutMs / 1000} s`, null, { cause: error });
      throw new DeliveryError(`the connection failed: ${reasonOf(error as Error)}`, null, { cause: error });
    }
  };
}

/** What TLS finds wrong with a receiver, by Node's codes, in words for the owner of the webhook. */
const tlsFaults: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'the receiver’s certificate has expired',
  CERT_NOT_YET_VALID: 'the receiver’s certificate is not valid yet',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'the receiver’s certificate is signed by nobody but itself',
  SELF_SIGNED_CERT_IN_CHAIN: 'the authority of the receiver’s certificate is not trusted by this service',
  UNABLE_TO_GET_ISSUER_CERT: 'the authority of the receiver’s certificate is not trusted by this service',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'the authority of the receiver’s certificate is not trusted by this service',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'the authority of the receiver’s certificate is not trusted by this service',
  ERR_TLS_CERT_ALTNAME_INVALID: 'the receiver’s certificate is not for this host',
  EPROTO: 'the receiver does not speak TLS, or not as this service does',
};

function reasonOf({ code, message }: NodeJS.ErrnoException): string {
  if (code === undefined) return message;
  return Object.hasOwn(tlsFaults, code) ? `${tlsFaults[code]} (${code})` : code;
}

/** A look-up of a name cannot be aborted, so its end is not waited for. */
async function aborted(signal: AbortSignal): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  return promise;
}

async function post(
  { url: text, headers, body }: WebhookRequest,
  { allowPrivate, resolve }: Required<Pick<SendOptions, 'allowPrivate' | 'resolve'>>,
  signal: AbortSignal,
): Promise<number> {
  const url = new URL(text);
  const { address } = await addressFor(url, resolve, allowPrivate);
  signal.throwIfAborted();
  const { promise, resolve: settle, reject } = Promise.withResolvers<number>();
  const host = hostOf(url);
  const request = (url.protocol === 'https:' ? https : http).request({
    // The address that was checked; the name is only for the certificate and the Host header.
    host: address,
    port: url.port === '' ? undefined : url.port,
    servername: isIP(host) === 0 ? host : undefined,
    path: `${url.pathname}${url.search}`,
    method: 'POST',
    headers: { host: url.host, 'content-length': String(Buffer.byteLength(body)), ...headers },
    agent: false,
    signal,
  });
  request.once('response', (response) => {
    settle(response.statusCode ?? 0);
    response.destroy();
  });
  request.on('error', reject);
  request.end(body);
  return promise;
}
