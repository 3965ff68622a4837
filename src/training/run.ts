/** The training loop, free of threads, clocks and storage: what it computes depends on the request alone. */
import type { Backend, BackendState, BlockResult, Data, FloatArray, Plan, TrainingSetup } from '../engine/backend.ts';
import { type ChosenBackend, createBackend } from '../engine/backends.ts';
import { floatArrays, type OwnFloats } from '../engine/float-arrays.ts';
import { free } from '../engine/free.ts';
import { initialParameters, plan } from '../engine/plan.ts';
import { compiledUniforms } from '../engine/wasm/uniforms.ts';
import { Batches, maxBlockRows } from './batches.ts';
import { type Checkpoint, checkpointPieces, type FilePiece, modelOf, requireMatch } from './checkpoint.ts';
import { type Column, columnSlice } from './columns.ts';
import { type DivergencePlace, describeDivergence } from './divergence.ts';
import { EpochColumns, EpochRoom, epochLosses, takeJoinedEpochs } from './epoch-points.ts';
import { judge, measure } from './evaluation.ts';
import type { Frame } from './layer-statistics.ts';
import { seriesName, usualMetrics } from './metrics.ts';
import { isReached, looksAtEpochs, Monitor, type Watch, watchOf } from './monitor.ts';
import { type PreparedData, prepareData } from './prepare.ts';
import { LearningRates } from './rates.ts';
import type {
  Advance,
  Best,
  Cursor,
  EpochPoints,
  FlatParameters,
  NaturalEnd,
  RoundingSpan,
  RunNote,
  RunRequest,
  RunResult,
  RunSummary,
  TestReport,
} from './request.ts';
import { goOnRounding, roundingsUpTo } from './rounding.ts';
import { Slab, Spares } from './slab.ts';
import { StepSampler } from './step-sampler.ts';
import { WarningWatch } from './warning-watch.ts';

export type CreateBackend = (plan: Plan, setup: TrainingSetup, data: Data, initial: FlatParameters) => ChosenBackend;

export class Run {
  readonly plan: Plan;
  /** What computes the run, and why that. */
  readonly backend: { readonly name: Backend['name']; readonly reason: string };
  /** Seconds of training; counted by whoever drives the run, and carried in its checkpoints. */
  runtime_seconds = 0;
  readonly #request: RunRequest;
  readonly #backend: Backend;
  readonly #prepared: PreparedData;
  readonly #batches: Batches;
  readonly #rates: LearningRates;
  readonly #watch: Watch;
  readonly #monitor: Monitor;
  readonly #sampler: StepSampler | null;
  readonly #warnings: WarningWatch | null;
  /** Whether the end of an epoch can change what comes after it, or measures something. */
  readonly #looksAtEpochs: boolean;
  readonly #lossRoom: Slab<OwnFloats>;
  readonly #epochRoom: EpochRoom;
  #epoch = 0;
  #step = 0;
  #stepInEpoch = 0;
  #epochLossSum = 0;
  #bestModel: FlatParameters | null = null;
  #end: NaturalEnd | null = null;
  #roundings: readonly RoundingSpan[];

  /**
   * @param checkpoint goes on from here; the request must be the one that it was made for
   * @param spares where the memory of what it reports comes from
   * @throws {CheckpointError} `checkpoint_mismatch` when the checkpoint is of another network, optimizer or arithmetic,
   *   `checkpoint_rounding` when this machine rounds otherwise and that has not been accepted
   * @throws {RangeError} when the request is not valid
   */
  constructor(
    request: RunRequest,
    checkpoint: Checkpoint | null,
    create: CreateBackend = createBackend,
    spares = new Spares(),
  ) {
    this.#request = request;
    this.plan = plan(request.network);
    this.#prepared = prepareData(request, this.plan);
    this.#batches = new Batches({ ...request, rows: this.#prepared.rows });
    this.#rates = new LearningRates(request, this.#batches.steps_per_epoch);
    this.#watch = watchOf(request);
    this.#monitor = new Monitor(this.#watch);
    this.#looksAtEpochs = looksAtEpochs(request, this.#rates);
    this.#lossRoom = new Slab((memory) => new floatArrays[this.plan.precision](memory), spares);
    this.#epochRoom = new EpochRoom(spares);
    const initial =
      request.initial_parameters ?? initialParameters(this.plan, request.network, request.seed, compiledUniforms);
    const { backend, reason } = create(this.plan, request, this.#prepared.data, initial);
    this.#backend = backend;
    // The back end has its own copy.
    if (request.initial_parameters === undefined) free(initial.parameters);
    this.#roundings = [{ first_step: 1, fused: backend.fused }];
    this.#sampler = request.statistics
      ? new StepSampler(this.plan, request, this.#prepared.data, this.cursor.steps)
      : null;
    this.#warnings = request.statistics
      ? new WarningWatch(this.plan, request, this.#prepared.validation?.rows ?? 0)
      : null;
    this.backend = { name: backend.name, reason };
    if (checkpoint !== null) this.#resume(checkpoint);
  }

  get end(): NaturalEnd | null {
    return this.#end;
  }

  /** How many threads carried out the last step. */
  get threads(): number {
    return this.#backend.threads;
  }

  get cursor(): Cursor {
    const { epochs } = this.#request;
    const steps = epochs * this.#batches.steps_per_epoch;
    return { epoch: this.#epoch, epochs, step: this.#step, steps, runtime_seconds: this.runtime_seconds };
  }

  get best(): Best | null {
    return this.#monitor.state.best;
  }

  /** The rows as they reach the network: split and scaled. */
  get prepared(): PreparedData {
    return this.#prepared;
  }

  /** What the next step is going to train on. */
  get next(): DivergencePlace {
    return this.#placeOfNextStep(this.#rates.next(this.#step, 1).each[0]);
  }

  /** What is to be told where the next step rounds otherwise than the one before it did; null elsewhere. */
  get roundingChange(): RunNote | null {
    const roundings = this.#roundings;
    const { first_step, fused } = roundings.at(-1)!;
    if (roundings.length === 1 || first_step !== this.#step + 1) return null;
    return { type: 'rounding_changed', step: first_step, fused, roundings };
  }

  /** Samples behind the given step, counted from the start of the run. */
  samplesAt(step: number): number {
    const { rows, steps_per_epoch } = this.#batches;
    const rest = step % steps_per_epoch;
    return Math.floor(step / steps_per_epoch) * rows + this.#rowsUpTo(rest);
  }

  /**
   * Trains one block of at most `maxSteps` steps: a part of an epoch up to its end, or several whole epochs when
   * nothing has to be decided between them. The numbers do not depend on how the steps are cut into blocks.
   * @param control non-zero at 0 ends the block after the step under way, and before one that has to be looked at
   */
  advance(maxSteps: number, control?: Int32Array): Advance {
    if (this.#end !== null) throw new Error('the run has ended');
    const first = this.#step;
    const block = this.#nextBlock(Math.min(maxSteps, this.#sampler?.stepsToNext(first) ?? maxSteps));
    const { each: rates, column } = this.#rates.next(first, block.steps);
    const sampler = this.#sampler?.isDue(first + 1) ? this.#sampler : null;
    const isWanted = () => control !== undefined && Atomics.load(control, 0) !== 0;
    const look = () => ({ step: first + 1, learning_rate: rates[0], batch: block.order, before: this.#backend.peek() });
    const goesOn = sampler === null || sampler.begin(look(), isWanted);
    const losses = this.#lossRoom.take(block.steps);
    const trained = { order: block.order, epoch_rows: block.epochRows, first_step: first + 1, learning_rates: rates };
    const result = goesOn ? this.#backend.train({ ...trained, losses, control }) : nothingTrained(losses);
    // A back end may have written them elsewhere.
    this.#lossRoom.giveBack(block.steps - (result.losses.buffer === losses.buffer ? result.losses.length : 0));
    const notes: RunNote[] = this.#warnings?.seeData(this.#prepared) ?? [];
    const frames: Frame[] = [];
    if (sampler !== null && result.steps_done === 1) {
      const frame = sampler.end(this.#backend.peek().parameters);
      frames.push(frame);
      notes.push(...(this.#warnings?.seeFrame(frame) ?? []));
    }
    const counted = this.#count(result, column, notes);
    const epochs =
      result.divergence === null ? counted : takeJoinedEpochs([counted, this.#diverge(result, rates, notes)]);
    const steps = {
      first_step: first + 1,
      losses: result.losses,
      learning_rates: columnSlice(column, 0, result.losses.length),
    };
    return { steps, epochs, frames, notes };
  }

  /** From the next step on, or from the last change that is still to come, the schedules start from this rate. */
  changeLearningRate(learningRate: number): RunNote {
    // What is trained again after a crash changes where it did the first time, and the newest change comes last.
    const first_step = Math.max(this.#step + 1, this.#rates.changes.at(-1)?.first_step ?? 0);
    this.#rates.merge([{ first_step, learning_rate: learningRate }]);
    return { type: 'learning_rate_changed', step: first_step, learning_rate: learningRate };
  }

  checkpoint(): Checkpoint {
    return this.#checkpointOf(this.#backend.state());
  }

  /** The file of `checkpoint`, made without another copy of the state: only until the run goes on. */
  save(): Generator<FilePiece> {
    return checkpointPieces(this.#checkpointOf(this.#backend.peek()));
  }

  #checkpointOf(state: BackendState): Checkpoint {
    const roundings = roundingsUpTo(this.#roundings, this.#step);
    return {
      precision: this.plan.precision,
      arithmetic: this.#request.arithmetic,
      fused: roundings.at(-1)?.fused ?? this.#backend.fused,
      cursor: {
        epoch: this.#epoch,
        step: this.#step,
        step_in_epoch: this.#stepInEpoch,
        epoch_loss_sum: this.#epochLossSum,
        runtime_seconds: this.runtime_seconds,
        monitor: this.#monitor.state,
        plateaus: this.#rates.plateaus,
        learning_rate_changes: this.#rates.changes,
        roundings: roundings.length > 1 ? roundings : undefined,
        warnings: this.#warnings?.state,
        stop_reason: this.#end === null || this.#end.stop_reason === 'diverged' ? null : this.#end.stop_reason,
      },
      preprocessing: this.#prepared.preprocessing,
      target_kind: this.#prepared.target_kind,
      state,
      best: this.#bestModel,
    };
  }

  /** The model as it stands: that of the best epoch with `restore_best`, else that of the last good step. */
  result(): RunResult {
    return modelOf(this.checkpoint());
  }

  /** `result` without the numbers. */
  summary(): RunSummary {
    const {
      parameters: _parameters,
      statistics: _statistics,
      ...summary
    } = modelOf(this.#checkpointOf(this.#backend.peek()));
    return summary;
  }

  /** The model of `result` on the test rows: by the job's metrics and the usual ones; null without test rows. */
  test(): TestReport | null {
    const { test: data, preprocessing, target_kind } = this.#prepared;
    if (data === null) return null;
    const usual = usualMetrics({ target_kind, output_size: this.plan.output_size });
    const asked = this.#request.metrics.filter((spec) => !usual.some((name) => name === seriesName(spec)));
    const metrics = [...usual, ...asked];
    const state = this.#backend.state();
    this.#backend.restore({ ...state, ...this.#bestModel });
    const judgement = judge(this.#backend, data, { metrics, preprocessing, target_kind });
    this.#backend.restore(state);
    return { rows: data.rows, ...judgement };
  }

  #resume(checkpoint: Checkpoint): void {
    const { cursor } = checkpoint;
    const { arithmetic, accept_other_rounding: accepted = false } = this.#request;
    requireMatch(checkpoint, { arithmetic, state: this.#backend.peek() });
    this.#roundings = goOnRounding(checkpoint, this.#backend.fused, accepted);
    this.#backend.restore(checkpoint.state);
    this.#epoch = cursor.epoch;
    this.#step = cursor.step;
    this.#stepInEpoch = cursor.step_in_epoch;
    this.#epochLossSum = cursor.epoch_loss_sum;
    this.#monitor.restore(cursor.monitor);
    this.#warnings?.restore(cursor.warnings);
    this.#bestModel = checkpoint.best;
    this.#rates.plateaus = cursor.plateaus;
    this.#rates.merge(cursor.learning_rate_changes);
    this.#end = cursor.stop_reason === null ? null : { stop_reason: cursor.stop_reason };
    this.runtime_seconds = cursor.runtime_seconds;
  }

  /** A copy of what a prediction needs. */
  #model(): FlatParameters {
    const { parameters, statistics } = this.#backend.peek();
    return { parameters: parameters.slice(), statistics: statistics.slice() };
  }

  #nextBlock(maxSteps: number): Block {
    const { steps_per_epoch, rows } = this.#batches;
    const epochs = this.#stepInEpoch === 0 ? this.#wholeEpochs(maxSteps) : 0;
    if (epochs > 0) {
      const order = this.#batches.whole(this.#epoch, epochs);
      return { order, epochRows: rows, steps: epochs * steps_per_epoch };
    }
    const to = Math.min(this.#stepInEpoch + maxSteps, steps_per_epoch);
    const order = this.#batches.part(this.#epoch, this.#stepInEpoch, to);
    return { order, epochRows: order.length, steps: to - this.#stepInEpoch };
  }

  /** Whole epochs that can be trained without a look at what they bring. */
  #wholeEpochs(maxSteps: number): number {
    const { epochs, checkpoint } = this.#request;
    const every = checkpoint?.every_epochs ?? Number.POSITIVE_INFINITY;
    const toCheckpoint = every - (this.#epoch % every);
    const fitting = Math.floor(Math.min(maxSteps / this.#batches.steps_per_epoch, maxBlockRows / this.#batches.rows));
    const decided = this.#looksAtEpochs ? 1 : epochs;
    return Math.min(fitting, toCheckpoint, epochs - this.#epoch, decided);
  }

  /** Takes the steps of a block into account, epoch by epoch. Tiny networks end a million epochs a second. */
  #count({ losses, steps_done }: BlockResult, rates: Column, notes: RunNote[]): EpochPoints {
    const { steps_per_epoch, rows } = this.#batches;
    const last_rows = this.#batches.batchRows(steps_per_epoch - 1);
    const cut = { steps_per_epoch, batch_size: this.#request.batch_size, last_rows, rows };
    const started = { steps: this.#stepInEpoch, loss_sum: this.#epochLossSum };
    const ending = Math.floor((started.steps + steps_done) / steps_per_epoch);
    const columns = new EpochColumns(this.#epoch + 1, ending, this.#epochRoom);
    const done = losses.subarray(0, steps_done);
    this.#warnings?.seeLosses(done, steps_per_epoch);
    this.#epochLossSum = epochLosses(done, started, cut, columns.losses);
    columns.place(this.#step - started.steps, steps_per_epoch, rates, started.steps);
    const end = this.#step + steps_done;
    if (this.#looksAtEpochs) for (let i = 0; i < ending; i++) this.#finishEpoch(columns, i, notes);
    else this.#passEpochs(columns, notes);
    this.#step = end;
    this.#stepInEpoch = started.steps + steps_done - ending * steps_per_epoch;
    return columns.points();
  }

  /** The ends of epochs that nothing is decided at. */
  #passEpochs({ losses, steps }: EpochColumns, notes: RunNote[]): void {
    if (losses.length === 0) return;
    notes.push(...(this.#warnings?.seeEpochs(this.#epoch + 1, steps, losses) ?? []));
    this.#monitor.observeAll(this.#epoch + 1, steps, losses);
    this.#epoch += losses.length;
    if (this.#epoch === this.#request.epochs) this.#end = { stop_reason: 'completed' };
  }

  /** The end of an epoch of the block: measures and decides. */
  #finishEpoch(columns: EpochColumns, index: number, notes: RunNote[]): void {
    this.#epoch += 1;
    this.#step = columns.steps[index];
    const measured = this.#measure();
    columns.measure(index, measured);
    const loss = columns.losses[index];
    const values: Readonly<Record<string, number>> = { loss, learning_rate: columns.rates[index], ...measured };
    notes.push(...(this.#warnings?.seeEpoch(this.#epoch, this.#step, loss, measured.validation_loss) ?? []));
    const improved = this.#monitor.observe(values[this.#watch.monitor] ?? Number.NaN, this.#epoch, this.#step);
    if (improved && this.#request.early_stopping?.restore_best) {
      this.#bestModel = this.#model();
    }
    for (const factor of this.#rates.monitors ? this.#rates.observe(this.#epoch, values) : []) {
      notes.push({ type: 'learning_rate_reduced', step: this.#step, epoch: this.#epoch, factor });
    }
    this.#end = this.#decideEnd(values);
  }

  #measure(): Record<string, number> {
    const { validation, measured, preprocessing, target_kind } = this.#prepared;
    const context = { metrics: this.#request.metrics, preprocessing, target_kind };
    const series: Record<string, number> =
      validation === null ? {} : { validation_loss: this.#backend.evaluate(validation) };
    const { values } = measure(this.#backend, measured, context);
    for (const name in values) series[name] = values[name] ?? Number.NaN;
    return series;
  }

  #decideEnd(values: Readonly<Record<string, number>>): NaturalEnd | null {
    const { target, early_stopping, metrics, epochs } = this.#request;
    if (target !== undefined && isReached(target, metrics, values)) return { stop_reason: 'target_reached' };
    if (this.#epoch === epochs) return { stop_reason: 'completed' };
    const patience = Math.max(early_stopping?.patience ?? Number.POSITIVE_INFINITY, 1);
    return this.#monitor.state.waited >= patience ? { stop_reason: 'early_stopping' } : null;
  }

  /**
   * Ends the run with the reason. The back end keeps nothing of the step that diverged, so the state is that of the last
   * good one.
   */
  #diverge(result: BlockResult, rates: Float64Array, notes: RunNote[]): EpochPoints {
    const place = this.#placeOfNextStep(rates[result.steps_done]);
    const error = describeDivergence(result.divergence!, place, this.#request);
    const loss = (this.#epochLossSum + lastLoss(result) * place.rows.length) / this.#rowsUpTo(this.#stepInEpoch + 1);
    this.#end = { stop_reason: 'diverged', error };
    notes.push({ type: 'diverged', step: error.step, epoch: error.epoch, message: error.message });
    const columns = new EpochColumns(error.epoch, 1);
    columns.losses[0] = loss;
    columns.place(error.step - 1, 1, Float64Array.of(place.learning_rate), 0);
    return columns.points();
  }

  #placeOfNextStep(learning_rate: number): DivergencePlace {
    const step = this.#stepInEpoch;
    // A copy: the next block's rows are written in the same place.
    const rows = this.#batches.part(this.#epoch, step, step + 1).slice();
    return { epoch: this.#epoch + 1, batch: step + 1, learning_rate, rows };
  }

  #rowsUpTo(stepInEpoch: number): number {
    return Math.min(stepInEpoch * this.#request.batch_size, this.#batches.rows);
  }
}

interface Block {
  readonly order: Uint32Array;
  readonly epochRows: number;
  readonly steps: number;
}

const nothingTrained = (losses: FloatArray): BlockResult => ({
  steps_done: 0,
  losses: losses.subarray(0, 0),
  divergence: null,
});

/** The loss of the step that diverged; NaN where it was not reached. */
function lastLoss({ losses, steps_done }: BlockResult): number {
  return losses.length > steps_done ? losses[steps_done] : Number.NaN;
}
