/** Carries a run through: blocks, requests from outside, reports, checkpoints and limits. All that knows about time. */
import { decodeCheckpoint } from './checkpoint.ts';
import { HistoryBuffer } from './history-buffer.ts';
import { Pace } from './pace.ts';
import {
  type CheckpointReason,
  control,
  type FromWorker,
  type RunEnd,
  type RunSettings,
  reportSteps,
  requests,
  type ToWorker,
  unacknowledgedLimit,
} from './protocol.ts';
import type { Advance, RunRequest } from './request.ts';
import { type CreateBackend, Run } from './run.ts';
import { Spares } from './slab.ts';
import type { SuccessReason } from './states.ts';

/** A session's connection with its owner. */
export interface Link {
  readonly control: Int32Array;
  send(message: FromWorker, transfer: readonly ArrayBuffer[]): void;
  /** A message that has arrived meanwhile. */
  receive(): ToWorker | undefined;
  /** Milliseconds of a clock that never goes back. */
  now(): number;
}

export class Session {
  readonly #link: Link;
  readonly #settings: RunSettings;
  readonly #request: RunRequest;
  readonly #run: Run;
  readonly #buffer = new HistoryBuffer();
  readonly #pace = new Pace();
  readonly #spares = new Spares();
  /** Messages that have arrived and not been obeyed yet. */
  readonly #inbox: ToWorker[] = [];
  #sent = 0;
  #threads = 1;
  #reportedAt: number;
  #reportedStep: number;
  #savedAt: number;
  #pointsSinceSave = 0;

  /** @throws {CheckpointError} when the checkpoint is damaged or of another run */
  constructor(
    request: RunRequest,
    checkpoint: Uint8Array | null,
    settings: RunSettings,
    link: Link,
    create?: CreateBackend,
  ) {
    this.#request = request;
    this.#settings = settings;
    this.#link = link;
    this.#run = new Run(request, checkpoint === null ? null : decodeCheckpoint(checkpoint), create, this.#spares);
    this.#buffer.note({ type: 'backend_chosen', ...this.#run.backend });
    const { roundingChange } = this.#run;
    if (roundingChange !== null) this.#buffer.note(roundingChange);
    this.#reportedAt = link.now();
    this.#savedAt = link.now();
    this.#reportedStep = this.#run.cursor.step;
    reportSteps(link.control, this.#reportedStep);
  }

  /** Trains until the run ends or is asked to. */
  carryOut(): RunEnd {
    try {
      return this.#train();
    } finally {
      this.#spares.free();
    }
  }

  #train(): RunEnd {
    while (this.#run.end === null) {
      const ended = this.#obey();
      if (ended !== null) return ended;
      const advance = this.#advance();
      if (this.#run.end === null) this.#report(advance);
    }
    const { end } = this.#run;
    if (end.stop_reason !== 'diverged') return this.#succeed(end.stop_reason);
    this.#save('end');
    const { error, stop_reason } = end;
    return { kind: 'failed', stop_reason, error, cursor: this.#run.cursor, result: this.#run.summary() };
  }

  #advance(): Advance {
    const { now } = this.#link;
    const before = this.#run.cursor.step;
    const started = now();
    const advance = this.#run.advance(this.#pace.steps, this.#link.control);
    const elapsed = now() - started;
    this.#run.runtime_seconds += elapsed / 1000;
    // A look at the layers takes far longer than a step, and says nothing about the next ones.
    if (advance.frames.length === 0) this.#pace.observe(this.#run.cursor.step - before, elapsed);
    this.#buffer.add(advance);
    this.#noteThreads();
    reportSteps(this.#link.control, this.#run.cursor.step);
    return advance;
  }

  #noteThreads(): void {
    const { threads, cursor } = this.#run;
    if (threads <= this.#threads) return;
    this.#threads = threads;
    this.#buffer.note({ type: 'threads_used', step: cursor.step, threads });
  }

  /** Does what the owner or the time limit asks for; null: go on. */
  #obey(): RunEnd | null {
    const wanted = Atomics.load(this.#link.control, control.request);
    if (wanted !== requests.none) this.#readMessages();
    if (wanted === requests.cancel) {
      this.#flush();
      return { kind: 'cancelled' };
    }
    if (wanted === requests.release) return this.#rest('release', 'released');
    if (wanted === requests.stop) return this.#succeed('stopped');
    if (wanted === requests.pause) return this.#rest('pause', 'paused');
    const limit = this.#request.limits?.max_runtime_seconds ?? Number.POSITIVE_INFINITY;
    return this.#run.runtime_seconds >= limit ? this.#succeed('max_runtime') : null;
  }

  /**
   * The request is put down first: one that arrives with the next message raises it again. The answer goes out at once,
   * unless nothing has been trained since the last report: without steps there is no speed to report.
   */
  #readMessages(): void {
    let hasNews = false;
    Atomics.compareExchange(this.#link.control, control.request, requests.read_messages, requests.none);
    this.#receive();
    for (const message of this.#inbox.splice(0)) {
      if (message.type === 'change_learning_rate') {
        this.#buffer.note(this.#run.changeLearningRate(message.learning_rate));
        hasNews = true;
      }
    }
    if (hasNews && this.#run.cursor.step > this.#reportedStep) this.#flush();
  }

  /** Takes what has arrived; memory that has come back is used again at once. */
  #receive(): void {
    for (let message = this.#link.receive(); message !== undefined; message = this.#link.receive()) {
      if (message.type === 'reuse') this.#spares.give(message.memories);
      else this.#inbox.push(message);
    }
  }

  #rest(reason: 'pause' | 'release', kind: 'paused' | 'released'): RunEnd {
    this.#save(reason);
    return { kind, cursor: this.#run.cursor };
  }

  #succeed(stop_reason: SuccessReason): RunEnd {
    this.#save('end');
    const { cursor } = this.#run;
    return { kind: 'succeeded', stop_reason, cursor, result: this.#run.summary(), test: this.#run.test() };
  }

  #report({ epochs }: Advance): void {
    const now = this.#link.now();
    const { progress_interval_ms, checkpoint_interval_ms, checkpoint_after_points } = this.#settings;
    const every = this.#request.checkpoint?.every_epochs;
    const unsaved = this.#pointsSinceSave + this.#buffer.points;
    const lastEpoch = epochs.first_epoch + epochs.steps.length - 1;
    if (every !== undefined && epochs.steps.length > 0 && lastEpoch % every === 0) this.#save('epoch');
    else if (now - this.#savedAt >= checkpoint_interval_ms || unsaved >= checkpoint_after_points)
      this.#save('periodic');
    else if (now - this.#reportedAt >= progress_interval_ms) this.#flush();
  }

  /** Reports every point up to here, then the checkpoint, of which no more than a few pieces are under way at a time. */
  #save(reason: CheckpointReason): void {
    this.#flush();
    const { best, cursor } = this.#run;
    const { step, epoch } = cursor;
    const checkpoint = { reason, step, epoch, best };
    let isFirst = true;
    for (const piece of this.#run.save()) {
      const message: FromWorker = isFirst
        ? { type: 'checkpoint', checkpoint, ...piece }
        : { type: 'checkpoint_piece', ...piece };
      this.#send(message, [piece.bytes.buffer]);
      isFirst = false;
    }
    this.#savedAt = this.#link.now();
    this.#pointsSinceSave = 0;
  }

  #flush(): void {
    if (this.#buffer.isEmpty) return;
    const { cursor, best } = this.#run;
    const now = this.#link.now();
    const samples = this.#run.samplesAt(cursor.step) - this.#run.samplesAt(this.#reportedStep);
    const samples_per_second = (samples * 1000) / Math.max(now - this.#reportedAt, 1e-3);
    this.#pointsSinceSave += this.#buffer.points;
    const drained = this.#buffer.drain();
    const { steps, epochs } = drained;
    const columns = [steps.losses, steps.learning_rates, epochs.steps, ...Object.values(epochs.series)];
    const progress = { cursor, samples_per_second, best, ...drained };
    this.#send(
      { type: 'progress', progress },
      columns.map(({ buffer }) => buffer as ArrayBuffer),
    );
    this.#reportedAt = now;
    this.#reportedStep = cursor.step;
    this.#receive();
  }

  /** Waits while the owner is too far behind, so that unread messages cannot fill the memory. */
  #send(message: FromWorker, transfer: readonly ArrayBuffer[]): void {
    const cells = this.#link.control;
    for (;;) {
      const acknowledged = Atomics.load(cells, control.acknowledged);
      if (this.#sent - acknowledged < unacknowledgedLimit) break;
      Atomics.wait(cells, control.acknowledged, acknowledged);
    }
    this.#sent += 1;
    this.#link.send(message, transfer);
  }
}
