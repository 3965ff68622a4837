/** The pool of worker threads, as the services see it. */
import type { FloatArray } from '../engine/backend.ts';
import type { CompiledCode } from '../engine/wasm/modules.ts';
import type { Judgement } from './evaluation.ts';
import { FreeCores } from './free-cores.ts';
import { InferenceThread } from './inference-thread.ts';
import { JoinedPredictions } from './joined-predictions.ts';
import { type Lendable, Lending } from './lending.ts';
import { NearModels } from './near-models.ts';
import { PoolRun } from './pool-run.ts';
import {
  type CheckpointReport,
  defaultRunSettings,
  type EvaluateRequest,
  type FromWorker,
  type InferenceModel,
  type PredictRequest,
  type Progress,
  type RunEnd,
  type RunSettings,
} from './protocol.ts';
import type { CodedError, RunRequest } from './request.ts';
import { compilerHere } from './revectorize.ts';
import { Thread, type ThreadOptions } from './thread.ts';

/**
 * What the owner of a run does with its reports. They arrive one at a time and in order: the next one waits until the promise
 * of the last is settled, and the worker waits when too many are outstanding. A handler that rejects ends the run as `undelivered`.
 */
export interface RunHandlers {
  onProgress(progress: Progress): void | Promise<void>;
  onCheckpoint(checkpoint: ArrivingCheckpoint): void | Promise<void>;
}

export interface ArrivingCheckpoint extends CheckpointReport {
  /**
   * The file as encoded by checkpoint.ts, with magic, version and SHA-256, as it comes from the worker: to be read once, and
   * not after the handler has settled. A piece belongs to who reads it. Reading fails when the worker ends before the last.
   */
  readonly file: AsyncIterable<Uint8Array<ArrayBuffer>>;
}

/** How a run ended, seen from the main thread. */
export type RunOutcome =
  | RunEnd
  /** The worker died; it has been replaced. `step`: the last one known to be done. */
  | {
      readonly kind: 'crashed';
      readonly error: CodedError & { readonly code: 'worker_crashed' | 'out_of_memory' };
      readonly step: number;
      /** The pool has ended it, because it did not answer a request in time: no fault of the job. */
      readonly unanswered?: true;
    }
  /** A handler rejected; everything it had accepted before stays valid and the run can go on from its last accepted checkpoint. */
  | { readonly kind: 'undelivered'; readonly error: unknown };

/** One run in the pool. Every call is idempotent and safe after the end; the outcome says what came of it. */
export interface RunHandle {
  pause(): void;
  stop(): void;
  cancel(): void;
  /** Takes effect at the next step, and is reported as a note with that step. */
  changeLearningRate(learningRate: number): void;
  /** Gives the thread the memory of reports back that nobody reads any more, so that it need not ask the system for more. */
  reuse(memories: readonly ArrayBuffer[]): void;
  /** Steps done, read from shared memory. */
  readonly step: number;
  /** Never rejects. Settles after the last handler has. */
  readonly finished: Promise<RunOutcome>;
}

export interface PoolOptions {
  /** Number of training threads. */
  readonly workers: number;
  /** Threads that may carry out one step together, when they are idle; default: all. */
  readonly threads_per_run?: number;
  /** Cores on which threads may help each other; default: those that other processes leave idle at the time. */
  readonly cores?: number;
  /**
   * A worker that has not answered a request within this time is terminated, in milliseconds. Its run ends as `crashed`,
   * or as `cancelled` when that was the request. Long enough for the slowest step: a worker answers after each. While it
   * prepares its data, it is given the time that it needs to pause or stop.
   */
  readonly escalation_ms?: number;
  /** Heap limit of one worker in MiB; beyond it the worker dies with `out_of_memory`. */
  readonly max_heap_mb?: number;
  readonly settings?: Partial<RunSettings>;
  /** Start no thread before `warmUp` or the first run. */
  readonly cold?: boolean;
  /** The module of every thread; another one in tests. */
  readonly entry?: URL;
}

export interface TrainingPool {
  readonly workers: number;
  /** Training threads without a run. A thread is free again when its run has `finished`. */
  readonly idle: number;
  /**
   * Starts a run in an idle thread.
   * @param checkpoint the bytes of the checkpoint to go on from
   * @throws {Error} when no thread is idle, or the pool is closing: the queue is the caller's
   */
  run(request: RunRequest, handlers: RunHandlers, checkpoint?: Uint8Array | null): RunHandle;
  /**
   * rows × output_size in inference mode, in the client's units; computed in a thread reserved for it, so that it is
   * answered while every worker trains, or at once for a few rows of a small model that a thread has compiled.
   * Rejects with a coded error when the model does not fit or the thread dies.
   */
  predict(request: PredictRequest): Promise<FloatArray>;
  /** Loss and metrics over rows; computed where `predict` would be. */
  evaluate(request: EvaluateRequest): Promise<Judgement>;
  /** Saves every run at its next step (each ends as `released`) and ends the threads; resolves within 10 s. */
  close(): Promise<void>;
}

/** A pool as its owner sees it. */
export interface ThreadPool extends TrainingPool {
  /**
   * Starts the threads that have not been started yet, so that no run waits for one. Resolves when they are up and it is known
   * what the machine can do.
   */
  warmUp(): Promise<void>;
}

const trainingEntry = new URL('./worker.ts', import.meta.url);
const inferenceEntry = new URL('./inference-worker.ts', import.meta.url);
const defaultEscalationMs = 5_000;
/** Training yields to the API: half of the way to the lowest priority. */
const trainingNiceness = 10;
/** Large questions yield to small ones and to the API. */
const bulkNiceness = 5;
/** Multiply-adds of a small question: about a millisecond. */
const smallWork = 1 << 22;
/** The first question of a network compiles it: this long for a layer as for so many parameters that are laid out, 4 ms. */
const layerWork = 400_000;
/** Of a network that is soon ready to answer: 20 ms. */
const smallStart = 2_000_000;
/** How long a closing pool waits for its runs before it terminates what is left. */
const closingMs = 8_000;

/** Starts the threads at once unless it is to be `cold`. */
export function createPool(options: PoolOptions): ThreadPool {
  return new Pool(options);
}

interface Place extends Lendable {
  /**
   * Null before it is needed, and after a thread that died before it came to life: starting it again at once could go on
   * for ever.
   */
  thread: Thread | null;
  /** The thread has reported that it is up. */
  online: boolean;
  run: PoolRun | null;
}

class Pool implements ThreadPool {
  readonly #options: PoolOptions;
  readonly #places: readonly Place[];
  readonly #lending: Lending;
  /** Small questions have a thread of their own, so that none waits behind a large one. */
  readonly #quick: InferenceThread;
  /** Small questions about networks that take long to compile, so that none waits for another model's first answer. */
  readonly #slowToStart: InferenceThread;
  readonly #bulk: InferenceThread;
  readonly #joined: JoinedPredictions;
  readonly #near: NearModels;
  readonly #warm = Promise.withResolvers<void>();
  #closing: Promise<void> | null = null;

  constructor(options: PoolOptions) {
    this.#options = options;
    this.#places = Array.from({ length: options.workers }, createPlace);
    const { cores } = options;
    const watched = new FreeCores();
    this.#lending = new Lending(this.#places, () => cores ?? watched.free);
    const small = this.#threadOptions(inferenceEntry, 0);
    this.#near = new NearModels(compilerHere);
    const compiled = (about: InferenceModel, code: CompiledCode) => void this.#near.learn(about, code);
    this.#quick = new InferenceThread(small, compiled);
    this.#slowToStart = new InferenceThread(small, compiled);
    this.#bulk = new InferenceThread(this.#threadOptions(inferenceEntry, bulkNiceness));
    this.#joined = new JoinedPredictions(async (model, asked) => {
      return (await this.#smallQuestions(model).ask(model, { name: 'predict', asked })) as FloatArray;
    });
    if (!options.cold) void this.warmUp();
  }

  warmUp(): Promise<void> {
    for (const place of this.#closing === null ? this.#places : []) place.thread ??= this.#startThread(place);
    return this.#warm.promise;
  }

  get workers(): number {
    return this.#places.length;
  }

  get idle(): number {
    return this.#closing === null ? this.#places.filter(({ run }) => run === null).length : 0;
  }

  run(request: RunRequest, handlers: RunHandlers, checkpoint: Uint8Array | null = null): RunHandle {
    const idle = this.#places.filter(({ run }) => run === null);
    const place = idle.find(({ membership }) => membership === null) ?? idle[0];
    if (place === undefined || this.#closing !== null) throw new Error('no worker thread is idle');
    const { escalation_ms = defaultEscalationMs } = this.#options;
    const settings = { ...defaultRunSettings, ...this.#options.settings };
    place.thread ??= this.#startThread(place);
    // A thread that helps elsewhere takes up the run as soon as it has left.
    place.membership?.recall();
    const helpers = Math.min(this.#options.threads_per_run ?? this.workers, this.workers) - 1;
    const { thread } = place;
    const run = new PoolRun({ thread, request, checkpoint, settings, helpers, handlers, escalation_ms });
    place.run = run;
    this.#openThreads();
    // Freed before anybody who awaits the end gets to see it.
    run.onFinished = () => {
      place.run = null;
      this.#lending.update();
    };
    this.#lending.update();
    return run;
  }

  async predict({ inputs, rows, ...model }: PredictRequest): Promise<FloatArray> {
    const near = this.#near.predict(model, { inputs, rows });
    if (near !== null) return near;
    if (isSmall(model, rows)) return this.#joined.ask(model, { inputs, rows });
    return (await this.#bulk.ask(model, { name: 'predict', asked: { inputs, rows } })) as FloatArray;
  }

  async evaluate({ data, metrics, ...model }: EvaluateRequest): Promise<Judgement> {
    const thread = isSmall(model, data.rows) ? this.#smallQuestions(model) : this.#bulk;
    return (await thread.ask(model, { name: 'evaluate', asked: { data, metrics } })) as Judgement;
  }

  #smallQuestions(model: InferenceModel): InferenceThread {
    return startsQuickly(model) ? this.#quick : this.#slowToStart;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#lending.close();
    const runs = this.#places.flatMap(({ run }) => run ?? []);
    for (const run of runs) run.release();
    const timer = Promise.withResolvers<void>();
    const timeout = setTimeout(timer.resolve, closingMs);
    await Promise.race([Promise.all(runs.map((run) => run.finished)), timer.promise]);
    clearTimeout(timeout);
    await Promise.all([
      ...this.#places.map(({ thread }) => thread?.terminate()),
      this.#quick.close(),
      this.#slowToStart.close(),
      this.#bulk.close(),
    ]);
  }

  #threadOptions(usualEntry: URL, niceness: number): ThreadOptions {
    const { entry = usualEntry, max_heap_mb } = this.#options;
    return { entry, max_heap_mb, niceness };
  }

  /** A thread that dies is replaced; its run hears of it and ends. */
  #startThread(place: Place): Thread {
    place.online = false;
    return new Thread(this.#threadOptions(trainingEntry, trainingNiceness), {
      onMessage: (message) => this.#receive(place, message),
      onExit: (error) => {
        const { run, online } = place;
        this.#lending.threadEnded(place);
        place.thread = online && this.#closing === null ? this.#startThread(place) : null;
        this.#openThreads();
        run?.end({ kind: 'crashed', error, step: run.step });
      },
    });
  }

  /**
   * Tells the threads how networks are compiled here. Not while one of them starts: finding it out sets flags that would
   * hold it up.
   */
  #openThreads(): void {
    const isNeeded = this.#closing === null || this.#places.some(({ run }) => run !== null);
    if (!isNeeded || this.#places.some(({ thread, online }) => thread !== null && !online)) return;
    const compiler = compilerHere();
    for (const { thread } of this.#places) thread?.open(compiler);
    if (this.#places.every(({ online }) => online)) this.#warm.resolve();
  }

  #receive(place: Place, message: FromWorker): void {
    if (message.type === 'online') {
      place.online = true;
      this.#openThreads();
    }
    if (message.type === 'progress' || message.type === 'checkpoint') place.run?.deliver(message);
    if (message.type === 'checkpoint_piece') place.run?.continueFile(message);
    this.#lending.receive(place, message);
    if (message.type === 'ended') place.run?.end(message.end);
  }
}

const createPlace = (): Place => ({ thread: null, online: false, run: null, crew: null, membership: null });

function isSmall({ network, model }: InferenceModel, rows: number): boolean {
  return rows * (model.parameters.length + network.input_size) <= smallWork;
}

function startsQuickly({ network, model }: InferenceModel): boolean {
  return network.layers.length * layerWork + model.parameters.length <= smallStart;
}
