/** From a job's record to what the wire shows of it. */
import { toTimestamp } from '../schemas/common.ts';
import type { JobSummary, JobView } from '../schemas/job-view.ts';
import type { JobRecord, LearningRateRecord, TransitionRecord } from '../store/store.ts';
import { allowedActions, isTerminal } from '../training/states.ts';
import type { KeptRequest } from './job-request.ts';
import type { LiveProgress } from './job-run.ts';
import { stateOf } from './job-transitions.ts';
import { roundingsOf } from './learning-rate-changes.ts';

const timeOf = (milliseconds: number | null): string | null =>
  milliseconds === null ? null : toTimestamp(milliseconds);

export function urlsOf(id: string): JobSummary['urls'] {
  const self = `/v1/jobs/${id}`;
  return {
    self,
    loss_history: `${self}/loss-history`,
    parameters: `${self}/parameters`,
    layers: `${self}/layers`,
    checkpoints: `${self}/checkpoints`,
    events: `${self}/events`,
    predict: `${self}/predict`,
    evaluate: `${self}/evaluate`,
    diagnosis: `${self}/diagnosis`,
    webhooks: `${self}/webhooks`,
  };
}

function progressOf(job: JobRecord, now: number): JobSummary['progress'] {
  const { epoch, epochs, step, steps, samples_per_second } = job;
  const fraction = steps === 0 ? 0 : step / steps;
  const { data } = job.request as KeptRequest;
  const samplesLeft = (1 - fraction) * epochs * data.rows;
  const isMoving = stateOf(job) === 'running' && samples_per_second !== null && samples_per_second > 0;
  const eta = isMoving ? Math.min(now + (1000 * samplesLeft) / samples_per_second, 8.64e15) : null;
  return { epoch, epochs, step, steps, fraction, samples_per_second, eta: timeOf(eta) };
}

/** @param live how far the attempt under way is, which is newer than the record */
export function summaryOf(record: JobRecord, live: LiveProgress | null, now: number): JobSummary {
  const job: JobRecord = live === null || isTerminal(stateOf(record)) ? record : { ...record, ...live };
  const { simulate_bug, forked_from } = job.request as KeptRequest;
  return {
    id: job.id,
    state: stateOf(job),
    stop_reason: job.stop_reason as JobSummary['stop_reason'],
    network_id: job.network_id,
    dataset_id: job.dataset_id,
    external_id: job.external_id,
    metadata: { ...job.metadata },
    priority: job.priority,
    progress: progressOf(job, now),
    latest: job.latest as JobSummary['latest'],
    best: job.best as JobSummary['best'],
    error: job.error as JobSummary['error'],
    warnings: ((job.warnings ?? []) as JobSummary['warnings']).map((known) => ({
      ...known,
      level: known.level ?? 'warning',
    })),
    parent: forked_from ?? null,
    simulate_bug: simulate_bug ?? null,
    backend: job.backend,
    threads: job.threads,
    run_sha256: job.run_sha256,
    parameters_sha256: job.parameters_sha256,
    attempt: job.attempt,
    created_at: toTimestamp(job.created_at),
    started_at: timeOf(job.started_at),
    updated_at: toTimestamp(job.updated_at),
    finished_at: timeOf(job.finished_at),
    allowed_actions: allowedActions(stateOf(job)),
    urls: urlsOf(job.id),
  };
}

export interface Surroundings {
  readonly transitions: readonly TransitionRecord[];
  readonly changes: readonly LearningRateRecord[];
  readonly live: LiveProgress | null;
  readonly now: number;
}

export function viewOf(job: JobRecord, { transitions, changes, live, now }: Surroundings): JobView {
  return {
    ...summaryOf(job, live, now),
    network: job.network as JobView['network'],
    request: job.request as JobView['request'],
    learning_rate_changes: changes.map(({ learning_rate, first_step, requested_at }) => ({
      learning_rate,
      first_step,
      requested_at: toTimestamp(requested_at),
    })),
    rounding_changes: roundingsOf(job)
      .slice(1)
      .map((span) => ({ ...span })),
    transitions: transitions.map(({ state, at, reason }) => ({
      state: stateOf({ state }),
      at: toTimestamp(at),
      reason,
    })),
    test: job.test as JobView['test'],
  };
}
