/** A network compiled by the tiles strategy, at work: its memory, the loop over steps, prediction. */
import type { BackendState, Data, FloatArray, Plan, TrainingSetup } from '../backend.ts';
import { clipFactor, DEFAULT_CLIP_EPSILON, globalNorm } from '../clipping.ts';
import { floatArrays } from '../float-arrays.ts';
import { free } from '../free.ts';
import { reductionScale } from '../losses.ts';
import { initialRunning, resolveOptimizer } from '../optimizers.ts';
import type { InitialParameters } from '../plan.ts';
import type { Batches } from './batches.ts';
import { dataParts, memoriesApart, PAGE, SLACK } from './data-memory.ts';
import { copyBlock, copyStatistics } from './flat-buffers.ts';
import type { NetworkLayout } from './layout.ts';
import { type CompiledCode, compiledCode, instantiate } from './modules.ts';
import type { Tile } from './product.ts';
import type { Program, StepRange } from './program.ts';
import { resultOffset, scalarOffset, wordOffset } from './scalars.ts';
import { PIECE_OPERATIONS, piecesOf, Stages } from './stages.ts';
import { isWorthATeam, leastOperations, Team, type TeamOptions } from './team.ts';
import { emitTiles, type TilesExports, type TilesOptions, tilesLayout } from './tiles.ts';
import { type Outputs, TilesInference } from './tiles-inference.ts';

/** Whether there are steps, and how large ones are carried out. */
export interface StepOptions {
  /** False for a network that is only going to predict, which is compiled sooner; default: true. */
  readonly trains?: boolean | undefined;
  /** Lets other threads help with large steps; absent: one thread does everything. */
  readonly team?: TeamOptions | undefined;
  /** Floating-point operations of a step after which it can be abandoned half way; see `Stages`. */
  readonly piece_operations?: number | undefined;
}

export function tilesOptions(
  plan: Plan,
  setup: TrainingSetup,
  data: Data,
  tile: Tile,
  { trains = true, team, piece_operations = PIECE_OPERATIONS }: StepOptions = {},
): TilesOptions {
  const clip = setup.clip_gradients;
  const batch = Math.max(1, Math.min(setup.batch_size, data.rows));
  const threads = team !== undefined && isWorthATeam(plan, batch, team) ? 1 + team.members : 1;
  return {
    plan,
    rule: {
      optimizer: resolveOptimizer(setup.optimizer),
      clip:
        clip === undefined
          ? { kind: 'none' }
          : 'max_value' in clip
            ? { kind: 'value', limit: clip.max_value }
            : { kind: 'norm' },
    },
    batch,
    mode: setup.arithmetic,
    tile,
    weighted: data.weights !== undefined,
    apart: dataParts.filter((part) => part in memoriesApart(data, plan.precision)),
    phased: threads > 1 || piecesOf(plan, batch, piece_operations) > 1,
    threads,
    trains,
  };
}

/** Memory that the compiled network takes, and of its data what it has to copy, in bytes. */
export function tilesMemory(options: TilesOptions, data: Data): number {
  const layout = tilesLayout(options);
  const copied = dataParts.filter((part) => !options.apart.includes(part));
  const numbers = copied.reduce((sum, part) => sum + (data[part]?.length ?? 0), 0);
  return layout.end + numbers * layout.bytesPerNumber + 4 * SLACK;
}

/** Indices into memory seen as numbers, and for `step…` as 32-bit words. */
interface StepPlaces {
  readonly loss: number;
  readonly optimizer: readonly { readonly name: string; readonly place: number }[];
  readonly stepLow: number;
  readonly stepHigh: number;
}

function stepPlaces(layout: NetworkLayout): StepPlaces {
  const place = (name: string) => scalarOffset(layout, name) / layout.bytesPerNumber;
  return {
    loss: resultOffset(layout, 'loss') / layout.bytesPerNumber,
    optimizer: layout.optimizerScalars.map((name) => ({ name, place: place(name) })),
    stepLow: wordOffset(layout, 'step_low') / 4,
    stepHigh: wordOffset(layout, 'step_high') / 4,
  };
}

export class TilesProgram implements Program {
  readonly abandons: boolean;
  readonly code: CompiledCode;
  readonly #layout: NetworkLayout;
  readonly #options: TilesOptions;
  readonly #setup: TrainingSetup;
  readonly #memory: WebAssembly.Memory;
  readonly #exports: TilesExports;
  readonly #numbers: FloatArray;
  readonly #order: Uint32Array;
  readonly #nextOrder: Uint32Array | null;
  readonly #words: Uint32Array;
  /** Indices of what is set or read at every step. */
  readonly #places: StepPlaces;
  /** For large steps. */
  readonly #stages: Stages | null;
  readonly #inference: TilesInference;
  #threads = 1;
  #batchRows = -1;
  /** Whether the copies of the weights that steps read are older than the weights. */
  #isStale = true;
  readonly #running: Float64Array;
  readonly #savedRunning: Float64Array;

  constructor(
    plan: Plan,
    setup: TrainingSetup,
    data: Data,
    initial: InitialParameters,
    tile: Tile,
    options: StepOptions = {},
  ) {
    this.#setup = setup;
    this.#options = tilesOptions(plan, setup, data, tile, options);
    const layout = tilesLayout(this.#options);
    this.#layout = layout;
    const pages = Math.ceil(tilesMemory(this.#options, data) / PAGE);
    const shared = this.#options.threads > 1;
    this.#memory = new WebAssembly.Memory({ initial: pages, maximum: pages, shared });
    this.code = compiledCode({ strategy: 'tiles', ...this.#options }, () => emitTiles(this.#options, layout));
    const { module } = this.code;
    const code = { module, memory: this.#memory, data: memoriesApart(data, plan.precision) };
    const instance = instantiate(code);
    this.#exports = instance.exports as unknown as TilesExports;
    this.#numbers = this.#view(0, this.#memory.buffer.byteLength / layout.bytesPerNumber);
    const { order, nextOrder, capacity } = layout;
    this.#order = new Uint32Array(this.#memory.buffer, order, capacity);
    this.#nextOrder = nextOrder === null ? null : new Uint32Array(this.#memory.buffer, nextOrder, capacity);
    this.#words = new Uint32Array(this.#memory.buffer);
    const { optimizer } = this.#options.rule;
    this.#places = stepPlaces(layout);
    this.#running = initialRunning(optimizer);
    this.#savedRunning = this.#running.slice();
    this.#placeData(data);
    this.#fill(
      initial,
      optimizer.entry.slots(optimizer.options).map((slot) => slot.initial),
    );
    const { team, piece_operations = PIECE_OPERATIONS } = options;
    this.abandons = piecesOf(plan, this.#options.batch, piece_operations) > 1;
    const leader = shared && team ? new Team(code, team) : null;
    this.#stages = this.#options.phased ? new Stages(instance.exports, layout, leader, piece_operations) : null;
    const help = leader && team && this.#stages;
    this.#inference = new TilesInference(
      layout,
      this.#memory.buffer,
      this.#exports,
      help ? { stages: help, least_operations: leastOperations(team) / 2 } : null,
    );
  }

  get isLarge(): boolean {
    return this.#options.phased;
  }

  /** How many threads carried out the last step. */
  get threads(): number {
    return this.#threads;
  }

  get stateNumbers(): number {
    return this.#layout.stateBytes / this.#layout.bytesPerNumber;
  }

  /** @throws {MemberLost} */
  run({ block, batches, first, end, alone = false }: StepRange, losses: FloatArray): number {
    if (!this.#options.trains) throw new TypeError('the network has been compiled without its training');
    if (this.#isStale) this.#exports.refresh(0);
    this.#isStale = false;
    const { loss: lossAt } = this.#places;
    for (let index = first; index < end; index++) {
      this.#prepareStep(batches, index, block.first_step + index, block.learning_rates[index]);
      // Only the first step can be abandoned without a loss of others.
      const control = index === first && this.abandons ? block.control : undefined;
      if (!this.#step(batches.rows(index), alone ? null : this.#stages, control)) return 0;
      const loss = this.#numbers[lossAt];
      losses[index] = loss;
      if (loss - loss !== 0) return index - first + 1;
      if (block.control !== undefined && Atomics.load(block.control, 0) !== 0) return index - first + 1;
    }
    return end - first;
  }

  #prepareStep(batches: Batches, index: number, step: number, learningRate: number): void {
    const rows = batches.rows(index);
    const start = batches.start(index);
    for (let i = 0; i < rows; i++) this.#order[i] = batches.order[start + i];
    this.#nextOrder?.set(batches.order.subarray(start + rows, start + 2 * rows));
    if (rows !== this.#batchRows) this.#setBatchRows(rows);
    const { optimizer, stepLow, stepHigh } = this.#places;
    const { entry, options } = this.#options.rule.optimizer;
    const scalars = entry.step(options, this.#running, learningRate);
    for (let i = 0; i < optimizer.length; i++) this.#numbers[optimizer[i].place] = scalars[optimizer[i].name];
    this.#words[stepLow] = step;
    this.#words[stepHigh] = Math.floor(step / 2 ** 32);
  }

  /**
   * One step, with `stages` in phases if that is worth it; what lies between the stages is done by this thread alone.
   * False when it was abandoned half way because `control` was set.
   */
  #step(rows: number, stages: Stages | null, control: Int32Array | undefined): boolean {
    const { step, squares, update } = this.#exports;
    const phased = stages?.areWorthIt(rows) ? stages : null;
    if (phased === null) step(rows);
    else if (!phased.carryOut('step', rows, control)) return false;
    this.#threads = phased?.threads ?? 1;
    if (squares === undefined || update === undefined) return true;
    squares(rows);
    this.#setScalar('clip_factor', this.#clipFactor());
    if (phased === null) update(rows);
    else if (!phased.carryOut('update', rows, control)) return false;
    return true;
  }

  /** What depends on the number of rows in the batch and nothing else. */
  #setBatchRows(rows: number): void {
    const { plan } = this.#layout;
    this.#setScalar('scale', reductionScale(plan.loss.entry, plan.reduction, rows, plan.output_size));
    this.#setScalar('rows', rows);
    this.#setScalar('unbias', rows / Math.max(rows - 1, 1));
    this.#batchRows = rows;
  }

  /** The norm from the sum of squares that the module made, or term by term where that sum is not to be trusted. */
  #clipFactor(): number {
    const clip = this.#setup.clip_gradients;
    if (clip === undefined || !('max_norm' in clip)) return 1;
    const at = resultOffset(this.#layout, 'squares');
    const squares = new Float64Array(this.#memory.buffer, at, 1)[0];
    const safe = squares < Infinity && squares > 2 ** -900;
    const norm = safe ? Math.sqrt(squares) : globalNorm(this.#unpacked(this.#layout.gradients));
    return clipFactor(norm, clip.max_norm, clip.epsilon ?? DEFAULT_CLIP_EPSILON);
  }

  finite(): boolean {
    this.#exports.check(0);
    const { lanes, at } = { lanes: 16 / this.#layout.bytesPerNumber, at: resultOffset(this.#layout, 'check') };
    const check = this.#view(at, lanes);
    if (check.every((sum) => sum === 0)) return true;
    // Padding may hold anything; only what the state shows counts.
    const { parameters, slots } = this.state();
    return [parameters, ...slots].every((values) => values.every((value: number) => Number.isFinite(value)));
  }

  save(): void {
    const { parameters, snapshot, stateBytes } = this.#layout;
    new Uint8Array(this.#memory.buffer).copyWithin(snapshot, parameters, parameters + stateBytes);
    this.#savedRunning.set(this.#running);
  }

  rollBack(): void {
    const { parameters, snapshot, stateBytes } = this.#layout;
    new Uint8Array(this.#memory.buffer).copyWithin(parameters, snapshot, snapshot + stateBytes);
    this.#running.set(this.#savedRunning);
    this.#isStale = true;
  }

  state(): BackendState {
    return this.#stateIn((length) => this.#array(length));
  }

  /** Where the snapshot lies, which is larger: its vectors are padded. */
  peek(): BackendState {
    let place = this.#layout.snapshot;
    return this.#stateIn((length) => {
      const array = this.#view(place, length);
      place += array.byteLength;
      return array;
    });
  }

  #stateIn(allocate: (length: number) => FloatArray): BackendState {
    const { parameters, slots } = this.#layout;
    return {
      parameters: this.#unpacked(parameters, allocate),
      statistics: this.#statistics(allocate),
      slots: slots.map((slot) => this.#unpacked(slot, allocate)),
      scalars: this.#running.slice(),
    };
  }

  restore(state: BackendState): void {
    const { parameters, slots } = this.#layout;
    copyBlock(this.#layout, this.#memory.buffer, parameters, state.parameters, 'in');
    for (const [s, slot] of slots.entries()) copyBlock(this.#layout, this.#memory.buffer, slot, state.slots[s], 'in');
    copyStatistics(this.#layout, this.#memory.buffer, state.statistics, 'in');
    this.#running.set(state.scalars);
    this.#isStale = true;
  }

  /** Outputs in inference mode, [rows, output_size], and whether all of them are finite. */
  predict(inputs: FloatArray, rows: number): Outputs {
    return this.#inference.predict(inputs, rows);
  }

  /** Σ_row scale·weight·loss of the row in float64, rows ascending, in inference mode. */
  evaluate(data: Data): number {
    return this.#inference.evaluate(data);
  }

  #view(at: number, length: number): FloatArray {
    return new floatArrays[this.#layout.plan.precision](this.#memory.buffer, at, length);
  }

  #unpacked(block: number, allocate = (length: number) => this.#array(length)): FloatArray {
    const flat = allocate(this.#layout.plan.parameter_count);
    copyBlock(this.#layout, this.#memory.buffer, block, flat, 'out');
    return flat;
  }

  /** The data set behind the network, except what lies elsewhere; the kernels find it by its addresses. */
  #placeData(data: Data): void {
    const bytes = this.#layout.bytesPerNumber;
    let place = this.#layout.end;
    for (const part of dataParts) {
      const values = data[part];
      if (values === undefined) continue;
      const apart = this.#layout.apart.includes(part);
      this.#setWord(part, apart ? values.byteOffset : place);
      if (apart) continue;
      this.#numbers.set(values, place / bytes);
      place = Math.ceil((place + values.length * bytes) / SLACK) * SLACK + SLACK;
    }
    this.#setWord('seed_low', this.#setup.seed);
    this.#setWord('seed_high', Math.floor(this.#setup.seed / 2 ** 32));
  }

  #statistics(allocate: (length: number) => FloatArray): FloatArray {
    const flat = allocate(this.#layout.plan.statistic_count);
    copyStatistics(this.#layout, this.#memory.buffer, flat, 'out');
    return flat;
  }

  #array(length: number): FloatArray {
    return new floatArrays[this.#layout.plan.precision](length);
  }

  #fill({ parameters, statistics }: InitialParameters, initialSlots: readonly number[]): void {
    const length = this.#layout.plan.parameter_count;
    const slots = initialSlots.map((value) => new Float64Array(length).fill(value));
    this.restore({ parameters, slots, statistics, scalars: this.#running });
    free(...slots);
  }

  #setScalar(name: string, value: number): void {
    this.#numbers[scalarOffset(this.#layout, name) / this.#layout.bytesPerNumber] = value;
  }

  #setWord(name: Parameters<typeof wordOffset>[1], value: number): void {
    this.#words[wordOffset(this.#layout, name) / 4] = value;
  }
}
