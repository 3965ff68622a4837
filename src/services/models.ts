/** The trained models of jobs: read from checkpoints, and what is asked of them. */
import type { Plan } from '../engine/backend.ts';
import type { NetworkDefinition, Parameters } from '../engine/definition.ts';
import { toWire } from '../engine/parameters.ts';
import { plan } from '../engine/plan.ts';
import { notFound, ProblemError } from '../errors.ts';
import type { CheckpointRecord, JobRecord, Store } from '../store/store.ts';
import { parametersSha256 } from '../training/bytes.ts';
import { type Checkpoint, decodeCheckpoint, modelOf } from '../training/checkpoint.ts';
import type { RunResult } from '../training/request.ts';
import { allowedActions, isTerminal } from '../training/states.ts';
import { stateOf } from './job-transitions.ts';

export interface JobModel {
  readonly job: JobRecord;
  readonly definition: NetworkDefinition;
  readonly plan: Plan;
  readonly model: RunResult;
}

/** A model, and of its job what never changes. */
export interface TrainedModelOf extends Omit<JobModel, 'job'> {
  readonly job: Pick<JobRecord, 'id' | 'request'>;
}

interface Cached {
  readonly model: RunResult;
  found: TrainedModelOf | null;
}

/** 160 MB as float64. */
const cachedValues = 20_000_000;

export class Models {
  readonly #store: Store;
  readonly #cached: number;
  /** By blob and form, the least recently used first. */
  readonly #cache = new Map<string, Cached>();
  /** Of jobs that have ended the keys of their models, which stay the newest until the jobs are deleted. */
  readonly #final = new Map<string, string>();
  #deletions = 0;

  /** @param cached how many values the models that are kept may have together; the newest is kept however large */
  constructor(store: Store, cached = cachedValues) {
    this.#store = store;
    this.#cached = cached;
  }

  /**
   * The model of a job: what it would end with now, or the parameters of exactly the given step.
   * @throws {ProblemError} `not_found` when there is no such job or checkpoint, `wrong_state` when it has none yet
   */
  async of(job_id: string, step?: number): Promise<JobModel> {
    const job = await this.#store.jobs.get(job_id);
    if (job === undefined) throw notFound('job', job_id);
    const kept = await this.#store.checkpoints.list(job_id);
    const record = step === undefined ? kept[0] : kept.find((checkpoint) => checkpoint.step === step);
    if (record === undefined) throw step === undefined ? nothingYet(job) : noSuchStep(step, kept);
    const definition = job.network as NetworkDefinition;
    return { job, definition, plan: plan(definition), model: (await this.#read(record, step !== undefined)).model };
  }

  /**
   * As `of` without a step. Of the job only what never changes, so it is read once for each checkpoint, and once it has
   * ended nothing is read at all.
   */
  async newest(job_id: string): Promise<TrainedModelOf> {
    const final = this.#final.get(job_id);
    const known = final === undefined ? undefined : this.#recall(final)?.found;
    if (known) return known;
    const deletions = this.#deletions;
    const record = await this.#store.checkpoints.newest(job_id);
    if (record === undefined) return this.of(job_id);
    const cached = await this.#read(record, false);
    if (cached.found === null) {
      const { job, ...found } = await this.of(job_id);
      cached.found = { job: { id: job.id, request: job.request }, ...found };
      if (isTerminal(stateOf(job)) && deletions === this.#deletions) this.#final.set(job_id, keyOf(record, false));
    }
    return cached.found;
  }

  /** The job has been deleted. */
  forget(job_id: string): void {
    this.#deletions += 1;
    this.#final.delete(job_id);
  }

  /** The start of another job; `undefined` when there is no such job or checkpoint. */
  async startFrom(job_id: string, step: number | undefined): Promise<{ wire: Parameters; step: number } | undefined> {
    const kept = await this.#store.checkpoints.list(job_id);
    if (kept.length === 0 || (step !== undefined && !kept.some((record) => record.step === step))) return undefined;
    const { plan: planned, model } = await this.of(job_id, step);
    return { wire: toWire(planned, model.parameters, model.statistics), step: model.step };
  }

  async #read(record: CheckpointRecord, exact: boolean): Promise<Cached> {
    const key = keyOf(record, exact);
    const known = this.#recall(key);
    if (known !== undefined) return known;
    const bytes = await this.#store.blobs.get(record.blob_key);
    if (bytes === undefined)
      throw new ProblemError('unavailable', 'The checkpoint is being replaced.', { retry_after: 1 });
    const checkpoint = decodeCheckpoint(bytes);
    const model = exact ? modelAt(checkpoint) : modelOf(checkpoint);
    const cached: Cached = { model, found: null };
    this.#cache.set(key, cached);
    this.#shrink();
    return cached;
  }

  #recall(key: string): Cached | undefined {
    const known = this.#cache.get(key);
    if (known === undefined) return undefined;
    this.#cache.delete(key);
    this.#cache.set(key, known);
    return known;
  }

  #shrink(): void {
    let values = 0;
    for (const [key, { model, found }] of [...this.#cache].reverse()) {
      values += model.parameters.length;
      if (values <= this.#cached || values <= model.parameters.length) continue;
      this.#cache.delete(key);
      if (found !== null) this.#final.delete(found.job.id);
    }
  }
}

const keyOf = ({ blob_key }: CheckpointRecord, exact: boolean): string => `${blob_key} ${exact}`;

/** The parameters of the checkpoint's own step, whatever the best ones were. */
function modelAt(checkpoint: Checkpoint): RunResult {
  const { state, cursor, preprocessing, target_kind } = checkpoint;
  const { parameters, statistics } = state;
  const parameters_sha256 = parametersSha256({ parameters, statistics });
  const { step, epoch, monitor } = cursor;
  return { parameters, statistics, preprocessing, target_kind, parameters_sha256, step, epoch, best: monitor.best };
}

function nothingYet(job: JobRecord): ProblemError {
  const state = stateOf(job);
  const detail = `The job is ${state} and has no checkpoint yet, so it has no parameters.`;
  return new ProblemError('wrong_state', detail, { current_state: state, allowed_actions: allowedActions(state) });
}

function noSuchStep(step: number, kept: readonly CheckpointRecord[]): ProblemError {
  const steps = kept.map((record) => record.step).join(', ');
  return new ProblemError(
    'not_found',
    `There is no checkpoint of step ${step}; there are those of: ${steps || 'none'}.`,
  );
}
