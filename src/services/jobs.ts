/** Jobs as the routes use them: created, shown, moved, read and asked. */
import type { Limits } from '../config.ts';
import type { Data } from '../engine/backend.ts';
import type { NetworkDefinition } from '../engine/definition.ts';
import { ProblemError } from '../errors.ts';
import { toTimestamp, type WirePage } from '../schemas/common.ts';
import type { WireEvent } from '../schemas/events.ts';
import type { HistoryQuery, LossHistory } from '../schemas/history.ts';
import type { JobInput } from '../schemas/job.ts';
import type { JobPatch } from '../schemas/job-patch.ts';
import {
  type CheckpointList,
  type JobListQuery,
  type JobPreview,
  type JobSummary,
  type JobView,
  metadataFilter,
} from '../schemas/job-view.ts';
import type { LayerStatistics } from '../schemas/layers.ts';
import type { EvaluateInput, Evaluation } from '../schemas/prediction.ts';
import type { StepQuery } from '../schemas/step.ts';
import type { WebhookList } from '../schemas/webhook.ts';
import { endlessRoom, type Room } from '../store/room.ts';
import type { JobRecord, Store } from '../store/store.ts';
import type { RunHandle, RunHandlers, TrainingPool } from '../training/pool.ts';
import { createPostMortems } from '../training/post-mortem/thread.ts';
import type { LearningRateChange } from '../training/request.ts';
import { isTerminal, type JobAction } from '../training/states.ts';
import { diagnosis } from './diagnoses.ts';
import { digestOf } from './digest.ts';
import { followJob, type StreamItem, waitForJob, wireEvent } from './event-stream.ts';
import { JobFeed } from './feed.ts';
import { applyFix } from './forks.ts';
import { readHistory } from './history.ts';
import { type Housekeeping, startHousekeeping } from './housekeeping.ts';
import type { CreatedAnswer } from './idempotency.ts';
import { type ActionOptions, actOn, removeJob, requireJob } from './job-actions.ts';
import { type CreationOptions, createJob, putJob } from './job-creation.ts';
import { patchJob } from './job-patch.ts';
import { previewJob } from './job-preview.ts';
import { type KeptRequest, runRequest } from './job-request.ts';
import { type DatasetSource, readArrays } from './job-sources.ts';
import { acceptsOtherRounding, stateOf } from './job-transitions.ts';
import { summaryOf, urlsOf, viewOf } from './job-view.ts';
import { readLayers } from './layer-frames.ts';
import type { Log } from './log.ts';
import { Models } from './models.ts';
import { narrowInputs } from './narrow-inputs.ts';
import { parametersJson } from './parameters.ts';
import { evaluate, predict } from './predictions.ts';
import { Scheduler } from './scheduler.ts';
import { explainStep } from './step-explanations.ts';
import type { WebhookPolicy } from './webhooks/admission.ts';
import { Outbox } from './webhooks/outbox.ts';
import { createSend } from './webhooks/send.ts';
import { webhooksOf } from './webhooks/view.ts';
import { WrittenTexts } from './written-texts.ts';

export interface JobsContext {
  readonly store: Store;
  readonly pool: TrainingPool;
  readonly datasets: DatasetSource;
  readonly limits: Limits;
  readonly log: Log;
  /** Whether there is room on the disk. */
  readonly room?: Room;
  readonly storage_retry_ms?: number | undefined;
  readonly webhooks?: WebhookPolicy;
  readonly now?: () => number;
}

/** Content that never changes again has an entity tag; as long as it may change, there is none. */
export interface Tagged<Content> {
  readonly content: Content;
  readonly etag: string | null;
}

export interface Jobs {
  create(input: JobInput, options?: CreationOptions): Promise<CreatedAnswer>;
  /** What a job would become, without storing it. */
  preview(input: JobInput): Promise<JobPreview>;
  /** Creates the job of a client's own key, or finds it. */
  put(external_id: string, input: JobInput): Promise<CreatedAnswer>;
  get(id: string): Promise<JobView>;
  list(query: JobListQuery): Promise<WirePage<JobSummary>>;
  act(id: string, action: JobAction, options?: ActionOptions): Promise<JobView>;
  /** Changes labels and learning rate. */
  patch(id: string, patch: JobPatch): Promise<JobView>;
  remove(id: string): Promise<void>;
  /** Waits until the job has ended or is paused, at most so long. */
  wait(id: string, seconds: number): Promise<JobView>;
  history(id: string, query: HistoryQuery): Promise<Tagged<LossHistory>>;
  /** JSON text in pieces. */
  parameters(
    id: string,
    query: { readonly step?: number | undefined; readonly layer?: number | undefined },
  ): Promise<Tagged<string | Iterable<string>>>;
  /** Statistics of the layers at the sampled steps. */
  layers(id: string, query: { readonly layer?: number | undefined }): Promise<Tagged<LayerStatistics>>;
  checkpoints(id: string): Promise<CheckpointList>;
  /** Those of the job, and how their deliveries stand. */
  webhooks(id: string): Promise<WebhookList>;
  events(id: string, page: { readonly after: number; readonly limit: number }): Promise<WirePage<WireEvent>>;
  /** What happens from here on; ends with the job, the service, or the abort. */
  follow(id: string, after: number, abort: AbortSignal): Promise<AsyncGenerator<StreamItem>>;
  /** JSON text. */
  predict(id: string, inputs: readonly unknown[]): Promise<string>;
  evaluate(id: string, input: EvaluateInput): Promise<Evaluation>;
  /** A step of a job that has ended: JSON text, or the worked derivation as Markdown. */
  explainStep(id: string, step: number, query: StepQuery, derivation: boolean): Promise<Tagged<string>>;
  /** What is wrong with a job that has ended, and what mends it: JSON text. */
  diagnosis(id: string): Promise<Tagged<string>>;
  /** Creates the job again with a fix of its diagnosis. */
  applyFix(id: string, body: { readonly fix: string }, key: string | undefined): Promise<CreatedAnswer>;
  /** Takes up what was left behind, and begins to train. */
  start(): Promise<void>;
  /** Saves every run and ends the pool; the store stays open. */
  close(): Promise<void>;
}

/** Parameters of larger networks are written anew for everybody who asks, piece by piece: 20 characters a number. */
const sharedNumbers = 200_000;
const sharedCharacters = 16e6;

const publicOnly: WebhookPolicy = { allowPrivate: false };

export function createJobs(given: JobsContext): Jobs {
  const {
    store,
    pool,
    datasets,
    limits,
    log,
    room = endlessRoom,
    storage_retry_ms,
    webhooks = publicOnly,
    now = Date.now,
  } = given;
  const feed = new JobFeed();
  const models = new Models(store);
  const parameterTexts = new WrittenTexts(sharedCharacters);
  const scheduler = new Scheduler({ store, pool, feed, log, room, storage_retry_ms, now, start: startRun });
  const outbox = new Outbox({ store, feed, log, now, storage_retry_ms, send: createSend(webhooks) });
  const postMortems = createPostMortems();
  const context = { store, pool, datasets, limits, webhooks, models, feed, scheduler, postMortems, now };
  /** As long as a run is under way its rows stay, so that others on the same ones share them. */
  const rowsOf = new WeakMap<RunHandle, Data>();
  const live = (id: string) => scheduler.runOf(id)?.live ?? null;
  let streams = 0;
  let housekeeping: Housekeeping | undefined;

  async function startRun(
    job: JobRecord,
    handlers: RunHandlers,
    checkpoint: Uint8Array | null,
    changes: readonly LearningRateChange[],
  ): Promise<RunHandle> {
    const { network, request: kept } = job as JobRecord & { network: NetworkDefinition; request: KeptRequest };
    // Nothing here may hold the arrays themselves: the inputs are rounded where that makes them smaller.
    const request = await narrowInputs(runRequest(network, kept, await readArrays(store, datasets, job), changes));
    const accept_other_rounding = checkpoint !== null && (await acceptsOtherRounding(store, job.id));
    const handle = pool.run({ ...request, accept_other_rounding }, handlers, checkpoint);
    rowsOf.set(handle, request.data);
    return handle;
  }

  async function view(id: string): Promise<JobView> {
    // Before the record: a run that ends in between has left its last values there.
    const progress = live(id);
    const job = await requireJob(store, id);
    const [transitions, changes] = await Promise.all([store.jobs.transitions(id), store.jobs.learningRates(id)]);
    return viewOf(job, { transitions, changes, live: progress, now: now() });
  }

  async function* counted(items: AsyncGenerator<StreamItem>): AsyncGenerator<StreamItem> {
    streams += 1;
    try {
      yield* items;
    } finally {
      streams -= 1;
    }
  }

  return {
    async create(input, options = {}) {
      const created = await createJob(context, input, options);
      feed.signal(created.id, 'events');
      scheduler.wake();
      return created;
    },
    preview: (input) => previewJob(context, input),
    async put(external_id, input) {
      const created = await putJob(context, input, external_id);
      feed.signal(created.id, 'events');
      scheduler.wake();
      return created;
    },
    get: view,
    async list({ limit, after, state, network_id, dataset_id, ...rest }) {
      const page = await store.jobs.list({
        limit: Math.min(limit, limits.max_page_size),
        after,
        states: state === undefined ? undefined : [state],
        network_id,
        dataset_id,
        metadata: metadataFilter(rest),
      });
      return { data: page.data.map((job) => summaryOf(job, live(job.id), now())), has_more: page.has_more };
    },
    async act(id, action, options) {
      await actOn(context, id, action, options);
      return view(id);
    },
    async patch(id, patch) {
      await patchJob(context, id, patch);
      return view(id);
    },
    remove: (id) => removeJob(context, id),
    async wait(id, seconds) {
      await waitForJob(context, id, 1000 * Math.min(seconds, limits.max_wait_seconds));
      return view(id);
    },
    async history(id, query) {
      const tail = scheduler.runOf(id)?.tail;
      const job = await requireJob(store, id);
      const bounded = { ...query, max_points: Math.min(query.max_points, limits.max_history_points) };
      const content = await readHistory(store, job, tail, bounded);
      return { content, etag: isTerminal(stateOf(job)) ? digestOf([job.id, job.updated_at, bounded]) : null };
    },
    async parameters(id, { step, layer }) {
      const found = await models.of(id, step);
      const isFixed = step !== undefined || isTerminal(stateOf(found.job));
      const etag = isFixed ? digestOf([found.model.parameters_sha256, id, found.model.step, layer]) : null;
      const { parameters_sha256, step: at, epoch } = found.model;
      if (found.model.parameters.length > sharedNumbers) return { content: parametersJson(found, layer), etag };
      const key = JSON.stringify([id, parameters_sha256, at, epoch, layer]);
      return { content: await parameterTexts.get(key, () => parametersJson(found, layer)), etag };
    },
    async layers(id, { layer }) {
      // The frames before the store, as with the loss: what a checkpoint moves in between is then in both, not in none.
      const recent = [...(scheduler.runOf(id)?.tail.frames ?? [])];
      const job = await requireJob(store, id);
      const content = await readLayers(store, job, recent, layer);
      return { content, etag: isTerminal(stateOf(job)) ? digestOf([job.id, job.updated_at, { layer }]) : null };
    },
    async checkpoints(id) {
      await requireJob(store, id);
      const kept = await store.checkpoints.list(id);
      return {
        data: kept.map(({ step, epoch, kind, size, created_at }) => ({
          step,
          epoch,
          reason: kind,
          bytes: size,
          created_at: toTimestamp(created_at),
          parameters_url: `${urlsOf(id).parameters}?step=${step}`,
        })),
      };
    },
    async webhooks(id) {
      await requireJob(store, id);
      return webhooksOf(store, id);
    },
    async events(id, page) {
      await requireJob(store, id);
      const { data, has_more } = await store.events.list(id, page);
      return { data: data.map(wireEvent), has_more };
    },
    async follow(id, after, abort) {
      await requireJob(store, id);
      const { max_event_streams: value } = limits;
      if (streams >= value) {
        const limit = { name: 'max_event_streams', value };
        throw new ProblemError('too_many_requests', 'Too many event streams are open.', { limit, retry_after: 5 });
      }
      return counted(followJob({ store, feed, live }, id, after, AbortSignal.any([abort, feed.closed])));
    },
    predict: (id, inputs) => predict(context, id, inputs),
    evaluate: (id, input) => evaluate(context, id, input),
    explainStep: (id, step, query, derivation) => explainStep(context, id, step, query, derivation),
    diagnosis: (id) => diagnosis(context, id),
    async applyFix(id, body, key) {
      const created = await applyFix(context, id, body, key);
      if (!created.replayed) scheduler.wake();
      return created;
    },
    async start() {
      // Before anything is written: what it finds then is no work under way.
      housekeeping = startHousekeeping(store, log, now);
      await scheduler.start();
      outbox.start();
    },
    async close() {
      feed.close();
      await Promise.all([scheduler.close(), housekeeping?.close(), postMortems.close()]);
      // What the end of the runs has brought waits for the next start.
      await outbox.close();
    },
  };
}
