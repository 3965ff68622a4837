/** All that a job says for itself, and where two jobs that should be the same differ. */
import { isDeepStrictEqual } from 'node:util';
import type { Answer, Client } from './client.ts';

/** What must be the same whenever and wherever a job is trained, with and without kills. */
export interface Outcome {
  readonly job: Readonly<Record<string, Answer>>;
  readonly steps: readonly Answer[];
  readonly epochs: readonly Answer[];
  /** The statistics of the layers over time. */
  readonly layers: Answer;
}

const comparedFields = [
  'state',
  'stop_reason',
  'error',
  'parameters_sha256',
  'run_sha256',
  'latest',
  'best',
  'backend',
];

export async function outcomeOf(client: Client, id: string): Promise<Outcome> {
  const job = await client.get(`/v1/jobs/${id}`);
  const compared = Object.fromEntries(comparedFields.map((field) => [field, job[field]]));
  const [steps, epochs] = [await client.history(id, 'step'), await client.history(id, 'epoch')];
  const { job_id: _, ...layers } = await client.get(`/v1/jobs/${id}/layers`);
  return { job: { ...compared, step: job.progress.step, epoch: job.progress.epoch }, steps, epochs, layers };
}

/** Where two answers differ first, and how; null: nowhere. */
export function firstDifference(want: unknown, found: unknown, path: string): string | null {
  if (isDeepStrictEqual(want, found)) return null;
  const both = [want, found];
  if (both.some((value) => typeof value !== 'object' || value === null))
    return `${path}: ${both.map((value) => JSON.stringify(value)).join(' became ')}`;
  const keys = new Set(both.flatMap((value) => Object.keys(value as object)));
  const [before, after] = both as Record<string, unknown>[];
  for (const key of keys) {
    const inside = firstDifference(before![key], after![key], `${path}/${key}`);
    if (inside !== null) return inside;
  }
  return path;
}
