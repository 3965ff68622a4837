/** Changes of the learning rate under way: what has taken effect, where the rest takes effect, and the name of the run then. */
import type { NetworkDefinition } from '../engine/definition.ts';
import { plan } from '../engine/plan.ts';
import type { EffectiveRate, JobRecord, LearningRateRecord, NewEvent } from '../store/store.ts';
import type { LearningRateChange, RoundingSpan } from '../training/request.ts';
import type { KeptRequest } from './job-request.ts';
import { roundingsHere, runDigest } from './run-digest.ts';

const isEffective = (record: LearningRateRecord): record is LearningRateRecord & { first_step: number } =>
  record.first_step !== null;

/** The changes as a run takes them: one for each step, the newest, in order of their steps. */
export function effectiveChanges(records: readonly LearningRateRecord[]): LearningRateChange[] {
  const byStep = new Map(
    records.filter(isEffective).map(({ first_step, learning_rate }) => [first_step, { first_step, learning_rate }]),
  );
  return [...byStep.values()].sort((a, b) => a.first_step - b.first_step);
}

/**
 * The steps of wishes that wait, for a run that is going to begin behind `step`: its next one, but never before a change
 * that is in effect already and is going to be trained again.
 */
export function stepsOfPending(records: readonly LearningRateRecord[], step: number): EffectiveRate[] {
  const first_step = Math.max(step + 1, ...records.filter(isEffective).map((record) => record.first_step));
  return records.filter((record) => !isEffective(record)).map(({ number }) => ({ number, first_step }));
}

/** The records once these have taken effect. */
export function withEffect(
  records: readonly LearningRateRecord[],
  effects: readonly EffectiveRate[],
): readonly LearningRateRecord[] {
  const steps = new Map(effects.map(({ number, first_step }) => [number, first_step]));
  return records.map((record) => ({ ...record, first_step: steps.get(record.number) ?? record.first_step }));
}

/** A job, of which all but the changes under way is known. */
export type Named = Pick<JobRecord, 'network' | 'request' | 'roundings'>;

/** The name of a job's run, with what has been changed under way. */
export function nameOf(job: Named, records: readonly LearningRateRecord[]): string {
  const definition = job.network as NetworkDefinition;
  const request = job.request as KeptRequest;
  return runDigest(definition, plan(definition), request, effectiveChanges(records), roundingsOf(job));
}

/** How the steps of a job round their multiply-adds, as far as it has come. */
export function roundingsOf({ roundings, request }: Pick<Named, 'roundings' | 'request'>): readonly RoundingSpan[] {
  return (roundings as readonly RoundingSpan[] | null) ?? roundingsHere(request as KeptRequest);
}

/** What is written when changes take effect: their steps, the events that say so, and the name that the run has from then on. */
export function effectOf(job: Named, records: readonly LearningRateRecord[], effects: readonly EffectiveRate[]) {
  const after = withEffect(records, effects);
  const events = effects.map(({ number, first_step }): NewEvent => {
    const learning_rate = records.find((record) => record.number === number)?.learning_rate;
    return { type: 'learning_rate_changed', data: { step: first_step, learning_rate } };
  });
  return { effective_rates: effects, events, set: { run_sha256: nameOf(job, after) } };
}
