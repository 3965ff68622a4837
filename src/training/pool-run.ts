/** One run in a thread, from the side of the main thread: its handle, its reports on their way to the handlers, its end. */
import { memoriesOf } from '../engine/wasm/data-memory.ts';
import { ArrivingFile } from './arriving-file.ts';
import type { FilePiece } from './checkpoint.ts';
import type { RunHandle, RunHandlers, RunOutcome } from './pool.ts';
import {
  control,
  createControl,
  type FromWorker,
  hasBegun,
  type RequestName,
  type RunSettings,
  raiseRequest,
  reportedSteps,
  requests,
} from './protocol.ts';
import type { RunRequest } from './request.ts';
import type { Thread } from './thread.ts';

export interface RunStart {
  readonly thread: Thread;
  readonly request: RunRequest;
  readonly checkpoint: Uint8Array | null;
  readonly settings: RunSettings;
  /** How many other threads may help with a step. */
  readonly helpers: number;
  readonly handlers: RunHandlers;
  readonly escalation_ms: number;
}

export class PoolRun implements RunHandle {
  /** Called just before `finished` settles. */
  onFinished: () => void = () => {};
  readonly #thread: Thread;
  readonly #handlers: RunHandlers;
  readonly #escalationMs: number;
  readonly #control = createControl();
  readonly #finished = Promise.withResolvers<RunOutcome>();
  /** Settled when every report so far has been dealt with. */
  #delivered: Promise<void> = Promise.resolve();
  #outstanding = 0;
  /** Of the checkpoint that was reported last. */
  #file = new ArrivingFile();
  #rejection: { readonly error: unknown } | null = null;
  #ended = false;
  /** The end that was reported by a thread that is being terminated. */
  #lateAnswer: RunOutcome | null = null;
  #isUnanswered = false;
  #escalation: NodeJS.Timeout | null = null;

  constructor({ thread, request, checkpoint, settings, helpers, handlers, escalation_ms }: RunStart) {
    this.#thread = thread;
    this.#handlers = handlers;
    this.#escalationMs = escalation_ms;
    const memories = memoriesOf(request.data);
    thread.post({ type: 'run', request, memories, checkpoint, settings, helpers, control: this.#control });
  }

  get finished(): Promise<RunOutcome> {
    return this.#finished.promise;
  }

  get step(): number {
    return reportedSteps(this.#control);
  }

  pause(): void {
    this.#ask('pause');
  }

  stop(): void {
    this.#ask('stop');
  }

  cancel(): void {
    this.#ask('cancel');
  }

  release(): void {
    this.#ask('release');
  }

  changeLearningRate(learning_rate: number): void {
    if (this.#ended) return;
    // The message first: whoever sees the request must find it.
    this.#thread.post({ type: 'change_learning_rate', learning_rate });
    raiseRequest(this.#control, 'read_messages');
  }

  reuse(memories: readonly ArrayBuffer[]): void {
    if (!this.#ended && memories.length > 0) this.#thread.post({ type: 'reuse', memories }, memories);
  }

  /** A report of the worker goes to its handler when the ones before it are settled; only then is it acknowledged. */
  deliver(message: FromWorker & { readonly type: 'progress' | 'checkpoint' }): void {
    const file = new ArrivingFile();
    if (message.type === 'checkpoint') {
      file.add(message);
      this.#file = file;
    }
    this.#outstanding += 1;
    this.#delivered = this.#delivered.then(async () => {
      try {
        if (this.#rejection !== null) return;
        if (message.type === 'progress') await this.#handlers.onProgress(message.progress);
        else await this.#handlers.onCheckpoint({ ...message.checkpoint, file });
      } catch (error) {
        // That the worker has ended amid a file is told by its end.
        if (!file.isBroken) this.#reject(error);
      } finally {
        file.leave();
        this.#outstanding -= 1;
        this.#acknowledge();
      }
    });
  }

  /** Another piece of the checkpoint that was reported last; acknowledged when it has been read. */
  continueFile(piece: FilePiece): void {
    this.#file.add(piece, () => this.#acknowledge());
  }

  #reject(error: unknown): void {
    this.#rejection = { error };
    this.#ask('cancel');
  }

  #acknowledge(): void {
    Atomics.add(this.#control, control.acknowledged, 1);
    Atomics.notify(this.#control, control.acknowledged);
  }

  /** The worker has reported the end, or has died: nothing comes after. */
  end(outcome: RunOutcome): void {
    if (this.#ended) return;
    this.#file.breakOff();
    if (this.#isUnanswered && outcome.kind !== 'crashed') {
      // It answered just as it was terminated; its place is free when the thread is gone and not before.
      this.#lateAnswer = outcome;
      return;
    }
    this.#ended = true;
    if (this.#escalation !== null) clearTimeout(this.#escalation);
    const wasCancelled = Atomics.load(this.#control, control.request) === requests.cancel;
    const crash: RunOutcome =
      outcome.kind === 'crashed' && this.#isUnanswered ? { ...outcome, unanswered: true } : outcome;
    const seen: RunOutcome =
      outcome.kind === 'crashed' && wasCancelled ? { kind: 'cancelled' } : (this.#lateAnswer ?? crash);
    void this.#delivered.then(() => {
      this.onFinished();
      this.#finished.resolve(this.#rejection === null ? seen : { kind: 'undelivered', error: this.#rejection.error });
    });
  }

  #ask(wanted: RequestName): void {
    if (this.#ended) return;
    raiseRequest(this.#control, wanted);
    this.#escalation ??= setTimeout(() => this.#escalate(), this.#escalationMs);
  }

  /** A worker that waits for its handlers, or prepares what it is to pause with, is not to blame; any other silence ends it. */
  #escalate(): void {
    this.#escalation = null;
    const wanted = Atomics.load(this.#control, control.request);
    const isPreparing = !hasBegun(this.#control) && wanted < requests.release;
    const isWaitedFor = this.#outstanding > (this.#file.isStarved ? 1 : 0);
    if (isWaitedFor || isPreparing) {
      this.#escalation = setTimeout(() => this.#escalate(), this.#escalationMs);
      return;
    }
    this.#isUnanswered = true;
    void this.#thread.terminate();
  }
}
