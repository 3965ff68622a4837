/** Whether the service can take requests: what a load balancer asks. */
import { ProblemError } from '../errors.ts';
import type { Services } from './services.ts';

/** @throws {ProblemError} `unavailable` while the service starts or stops, or when its storage does not answer. */
export async function checkReadiness(services: Pick<Services, 'ready' | 'ping'>): Promise<void> {
  const retry = { retry_after: 5 };
  if (!services.ready()) throw new ProblemError('unavailable', 'The service is starting or stopping.', retry);
  await services.ping().catch((cause: unknown) => {
    throw new ProblemError('unavailable', 'The storage does not answer.', retry, { cause });
  });
}
