/** One attempt at a job: from the claim to the end of its run in the pool, with everything that has to be kept on the way. */
import { isDeepStrictEqual } from 'node:util';
import type { NetworkDefinition } from '../engine/definition.ts';
import { free } from '../engine/free.ts';
import { plan } from '../engine/plan.ts';
import type { JobChange, JobProgress, JobRecord, NewEvent, PointChunk, Store } from '../store/store.ts';
import { checkpointKey } from '../store/store.ts';
import type { ArrivingCheckpoint, RunHandle, RunOutcome, TrainingPool } from '../training/pool.ts';
import type { Progress } from '../training/protocol.ts';
import type { Best, Cursor, LearningRateChange, RoundingSpan, RunNote } from '../training/request.ts';
import { roundingsUpTo } from '../training/rounding.ts';
import type { JobAction } from '../training/states.ts';
import type { JobFeed } from './feed.ts';
import { storedChunks } from './history-levels.ts';
import { HistoryTail } from './history-tail.ts';
import type { KeptRequest } from './job-request.ts';
import { applyEvent, stateOf } from './job-transitions.ts';
import { frameChunks, framesUpTo } from './layer-frames.ts';
import {
  effectiveChanges,
  effectOf,
  nameOf,
  roundingsOf,
  stepsOfPending,
  withEffect,
} from './learning-rate-changes.ts';
import { droppedSteps } from './retention.ts';
import { roundingsHere } from './run-digest.ts';
import { warningsUpTo, wireWarning, withWarnings } from './run-warnings.ts';
import { afterCrash, type Crashed, type Settlement, settlement } from './settlement.ts';
import { Thresholds } from './webhooks/thresholds.ts';
import { type WireSeries, wireBest, wireSeries } from './wire-values.ts';

export interface RunContext {
  readonly store: Store;
  readonly pool: TrainingPool;
  readonly feed: JobFeed;
  readonly now: () => number;
  /** Reads the job's numbers and hands its run to the pool. */
  start(
    job: JobRecord,
    handlers: Pick<JobRun, 'onProgress' | 'onCheckpoint'>,
    checkpoint: Uint8Array | null,
    changes: readonly LearningRateChange[],
  ): Promise<RunHandle>;
}

/** How far an attempt is, newer than what its record says. */
export type LiveProgress = Pick<
  JobProgress,
  'epoch' | 'epochs' | 'step' | 'steps' | 'samples_per_second' | 'latest' | 'best' | 'backend' | 'threads' | 'warnings'
>;

/** A checkpoint whose blob is stored, and what its record needs. */
interface KeptCheckpoint extends Pick<JobChange, 'checkpoints' | 'drop_checkpoints'> {
  readonly best: JobProgress['best'];
  readonly event: NewEvent;
}

/** Whether the end of the attempt follows. */
const isLast = ({ reason }: Pick<ArrivingCheckpoint, 'reason'>) => reason !== 'periodic' && reason !== 'epoch';

/** The attempt has been replaced: nothing that it reports may be kept. */
class LostLease extends Error {}

export class JobRun {
  readonly job: JobRecord;
  /** Points that are reported but not stored yet. */
  readonly tail = new HistoryTail();
  /** Null until the first report. */
  live: LiveProgress | null = null;
  /** Whether the storage has kept something that was trained in this attempt. */
  hasSaved = false;
  readonly #context: RunContext;
  readonly #every: number | undefined;
  #handle: RunHandle | null = null;
  #wish: Exclude<JobAction, 'resume'> | null = null;
  #notes: NewEvent[] = [];
  #thresholds = new Thresholds([]);
  /** Number of the newest change of the learning rate that the worker knows. */
  #passedRate = 0;
  #roundings: readonly RoundingSpan[];
  /** Changes that the worker has not named the step of. */
  readonly #unansweredRates: number[] = [];
  /** The attempt's last checkpoint, as long as nothing but its blob is stored. */
  #last: KeptCheckpoint | null = null;

  constructor(job: JobRecord, every_epochs: number | undefined, context: RunContext) {
    this.job = job;
    this.#roundings = roundingsOf(job);
    this.#every = every_epochs;
    this.#context = context;
  }

  /** Passes on what a client wants; the job's record says it already. */
  obey(action: Exclude<JobAction, 'resume'>): void {
    this.#wish = action;
    this.#handle?.[action]();
  }

  /** Runs to the end of this attempt and settles it. Rejects only when the storage fails. */
  async carryOut(): Promise<void> {
    const { bytes, step } = await this.#newestCheckpoint();
    await this.#settleRoundings(step);
    const changes = await this.#settleLearningRates(step);
    this.#thresholds = new Thresholds(await this.#context.store.webhooks.list(this.job.id));
    const handle = await this.#context.start(this.job, this, bytes, changes);
    this.#handle = handle;
    try {
      await this.#recallWish();
      await this.passLearningRates();
    } catch (error) {
      // Its worker must be free before the attempt is given back.
      handle.cancel();
      await handle.finished;
      throw error;
    }
    await this.#settle(await handle.finished);
  }

  get #named() {
    return { ...this.job, roundings: this.#roundings };
  }

  /** What a client asked for before this attempt could hear it, or before the service was restarted. */
  async #recallWish(): Promise<void> {
    const job = await this.#context.store.jobs.get(this.job.id);
    if (job === undefined || job.attempt !== this.job.attempt) return this.obey('cancel');
    const wishes = { pausing: 'pause', cancelling: 'cancel' } as const;
    const state = stateOf(job);
    const wish = state in wishes ? wishes[state as keyof typeof wishes] : job.control === 'stop' ? 'stop' : this.#wish;
    if (wish !== null) this.obey(wish);
  }

  /** Hands changes of the learning rate that the worker has not heard of to it. It answers with the step of each. */
  async passLearningRates(): Promise<void> {
    if (this.#handle === null) return;
    for (const { number, learning_rate } of await this.#context.store.jobs.learningRates(this.job.id)) {
      if (number <= this.#passedRate) continue;
      this.#passedRate = number;
      this.#unansweredRates.push(number);
      this.#handle.changeLearningRate(learning_rate);
    }
  }

  /** What was to come behind the checkpoint is forgotten: a run at its beginning rounds as this machine does. */
  async #settleRoundings(step: number): Promise<void> {
    const known = roundingsOf(this.job);
    const kept = step === 0 ? roundingsHere(this.job.request as KeptRequest) : roundingsUpTo(known, step);
    if (!isDeepStrictEqual(kept, known)) await this.#keepRoundings(kept, []);
  }

  /** With other rounding it is another run, and its name says so before anybody sees what was trained. */
  async #keepRoundings(roundings: readonly RoundingSpan[], events: readonly NewEvent[]): Promise<void> {
    this.#roundings = roundings;
    const records = await this.#context.store.jobs.learningRates(this.job.id);
    await this.#keep({ set: { roundings, run_sha256: nameOf(this.#named, records) }, events });
  }

  async #keepRoundingChanges(notes: Progress['notes']): Promise<void> {
    for (const note of notes) {
      if (note.type !== 'rounding_changed') continue;
      const { type, roundings, ...data } = note;
      await this.#keepRoundings(roundings, [{ type, data }]);
    }
  }

  /** What waited for this attempt takes effect with its first step. */
  async #settleLearningRates(step: number): Promise<LearningRateChange[]> {
    const records = await this.#context.store.jobs.learningRates(this.job.id);
    this.#passedRate = records.at(-1)?.number ?? 0;
    const effects = stepsOfPending(records, step);
    if (effects.length > 0) await this.#keep(effectOf(this.#named, records, effects));
    return effectiveChanges(withEffect(records, effects));
  }

  /** Before anybody sees what was trained with a new rate, its step is kept: after a crash it changes there again. */
  async #keepLearningRates(notes: Progress['notes']): Promise<void> {
    const effects = notes.flatMap((note) => {
      const number = note.type === 'learning_rate_changed' ? this.#unansweredRates.shift() : undefined;
      return note.type === 'learning_rate_changed' && number !== undefined ? [{ number, first_step: note.step }] : [];
    });
    if (effects.length === 0) return;
    const records = await this.#context.store.jobs.learningRates(this.job.id);
    await this.#keep(effectOf(this.#named, records, effects));
  }

  async #newestCheckpoint(): Promise<{ readonly bytes: Uint8Array | null; readonly step: number }> {
    const { store } = this.#context;
    const [newest] = await store.checkpoints.list(this.job.id);
    if (newest === undefined) return { bytes: null, step: 0 };
    // A file that is gone is as good as a damaged one: the worker says so, and the one before it is tried.
    return { bytes: (await store.blobs.get(newest.blob_key)) ?? new Uint8Array(0), step: newest.step };
  }

  onProgress = async (progress: Progress): Promise<void> => {
    await this.#keepRoundingChanges(progress.notes);
    await this.#keepLearningRates(progress.notes);
    this.tail.add(progress);
    const notes = progress.notes.filter(({ type }) => !keptAtOnce.has(type));
    this.#notes.push(...notes.map(eventOf));
    this.#notes.push(...this.#thresholds.reachedIn(progress.epochs));
    this.live = liveProgress(progress, this.live ?? this.job);
    this.#context.feed.signal(this.job.id, 'progress');
  };

  onCheckpoint = async (report: ArrivingCheckpoint): Promise<void> => {
    const { store } = this.#context;
    const { id, attempt } = this.job;
    const blob_key = checkpointKey(id, attempt, report.step);
    const { content, trailer } = watchTrailer(report.file, 32);
    const size = await store.blobs.put(blob_key, content);
    const sha256 = Buffer.from(trailer()).toString('hex');
    const record = { step: report.step, epoch: report.epoch, kind: report.reason, blob_key, sha256, size };
    const stored = await store.checkpoints.list(id);
    const kept: KeptCheckpoint = {
      best: wireBest(report.best),
      checkpoints: [record],
      drop_checkpoints: droppedSteps(stored, report, { every_epochs: this.#every, best_step: report.best?.step }),
      event: { type: 'checkpoint', data: { step: report.step, epoch: report.epoch, reason: report.reason } },
    };
    // What comes with the end of the attempt is stored with it: one commit less to wait for.
    if (isLast(report)) this.#last = kept;
    else await this.#keepCheckpoint(kept);
  };

  async #keepCheckpoint({ best, event, ...kept }: KeptCheckpoint): Promise<void> {
    await this.#keep({
      set: { ...this.live, best },
      points: this.#points(),
      ...kept,
      events: [...this.#notes, event],
    });
    this.hasSaved = true;
    this.#handle?.reuse(this.tail.clear());
    this.#notes = [];
  }

  /** Writes as this attempt, unless it has been replaced. */
  async #keep(change: Omit<JobChange, 'id' | 'at' | 'from' | 'attempt' | 'to'>): Promise<void> {
    const { store, feed, now } = this.#context;
    const { id, attempt } = this.job;
    const from = ['running', 'pausing', 'cancelling'];
    const changed = await store.jobs.change({ id, attempt, at: now(), from, ...change });
    if (changed === undefined) throw new LostLease(`attempt ${attempt} of ${id} has been replaced`);
    feed.signal(id, 'events');
  }

  #points(): PointChunk[] {
    const { steps, epochs } = this.live ?? this.job;
    const losses = storedChunks(this.tail.chunks(), (resolution) => (resolution === 'step' ? steps : epochs));
    return [...losses, ...frameChunks(this.tail.frames)];
  }

  async #settle(outcome: RunOutcome): Promise<void> {
    if (outcome.kind === 'undelivered' && outcome.error instanceof LostLease) return;
    if (outcome.kind === 'undelivered') throw outcome.error;
    if (outcome.kind === 'error' && outcome.error.code === 'checkpoint_damaged') return this.#fallBack();
    const { store, now, feed } = this.#context;
    const settled: Settlement =
      outcome.kind === 'crashed' ? await this.#crash(outcome) : settlement(outcome, modelOf(this.job));
    // What was measured after the last checkpoint is kept only when the run has ended; else it is going to be measured again.
    const isEnd = outcome.kind === 'succeeded' || outcome.kind === 'failed';
    const last = this.#last;
    const keepsAll = isEnd || last !== null;
    await applyEvent(store, this.job, settled.event, {
      at: now(),
      reason: settled.reason,
      set: { ...(keepsAll ? this.live : {}), ...(last && { best: last.best }), ...settled.set },
      points: keepsAll ? this.#points() : [],
      checkpoints: last?.checkpoints,
      drop_checkpoints: last?.drop_checkpoints,
      events: [...(keepsAll ? this.#notes : []), ...(last === null ? [] : [last.event]), ...(settled.events ?? [])],
    });
    feed.signal(this.job.id, 'events');
  }

  async #crash(outcome: Crashed) {
    const known = (await this.#context.store.jobs.get(this.job.id)) ?? this.job;
    return afterCrash(known, outcome);
  }

  /** The newest checkpoint cannot be read: the job goes on from the one before it, or from the start. */
  async #fallBack(): Promise<void> {
    const { store, now, feed } = this.#context;
    const [, previous] = await store.checkpoints.list(this.job.id);
    const { step, epoch } = previous ?? { step: 0, epoch: 0 };
    await applyEvent(store, this.job, 'crash', {
      at: now(),
      reason: 'checkpoint_damaged',
      rewind: { step, points: { step, epoch, ...(await framesUpTo(store, this.job.id, step)) } },
      set: { step, epoch, warnings: warningsUpTo(this.job.warnings, step) },
    });
    feed.signal(this.job.id, 'events');
  }
}

/** The pieces as they are, each freed when the next one is asked for; `trailer` are the last bytes that have passed. */
function watchTrailer(pieces: AsyncIterable<Uint8Array<ArrayBuffer>>, bytes: number) {
  let last = Buffer.alloc(0);
  async function* content() {
    for await (const piece of pieces) {
      last = Buffer.concat([last, piece.subarray(-bytes)]).subarray(-bytes);
      yield piece;
      free(piece);
    }
  }
  return { content: content(), trailer: () => last };
}

/** Notes that change the name of the run. */
const keptAtOnce: ReadonlySet<RunNote['type']> = new Set(['learning_rate_changed', 'rounding_changed']);

function eventOf(note: RunNote): NewEvent {
  const { type, ...data } = note.type === 'warning' ? wireWarning(note) : note;
  return { type, data };
}

/** What the outputs of a job's network are. */
function modelOf({ network, request }: JobRecord) {
  return {
    plan: plan(network as NetworkDefinition),
    classes: (request as KeptRequest).features?.classes ?? undefined,
  };
}

function liveProgress(
  { cursor, samples_per_second, steps, epochs, notes, best }: Progress,
  before: Pick<LiveProgress, 'latest' | 'backend' | 'threads' | 'warnings'>,
): LiveProgress {
  const { epoch, epochs: total, step, steps: allSteps } = cursor;
  const rate = Number.isFinite(samples_per_second) ? samples_per_second : null;
  return {
    epoch,
    epochs: total,
    step,
    steps: allSteps,
    samples_per_second: rate,
    latest: newestEpoch(epochs) ?? newestStep(steps, cursor) ?? before.latest,
    best: wireBest(best as Best | null),
    backend: notes.find((note) => note.type === 'backend_chosen')?.name ?? before.backend,
    warnings: withWarnings(before.warnings, notes),
    threads: notes.reduce(
      (most, note) => (note.type === 'threads_used' ? Math.max(most, note.threads) : most),
      before.threads ?? 1,
    ),
  };
}

/** The last values of a job: those of its newest epoch. */
type Latest = { readonly epoch: number; readonly step: number } & WireSeries;

function newestEpoch({ first_epoch, steps, series }: Progress['epochs']): Latest | null {
  const last = steps.length - 1;
  if (last < 0) return null;
  const measured = Object.entries(series).filter(([, values]) => values.length > last);
  const values = wireSeries(Object.fromEntries(measured.map(([name, column]) => [name, column[last]])));
  return { epoch: first_epoch + last, step: steps[last], ...values };
}

/** Within a long epoch the loss of the newest step stands in. */
function newestStep({ first_step, losses, learning_rates }: Progress['steps'], { epoch }: Cursor): Latest | null {
  const last = losses.length - 1;
  if (last < 0 || epoch > 0) return null;
  const values = wireSeries({ loss: losses[last], learning_rate: learning_rates.at(-1) as number });
  return { epoch: epoch + 1, step: first_step + last, ...values };
}
