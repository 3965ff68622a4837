/** The WebAssembly back end: compiled steps, watched so that what leaves the finite numbers is told as the reference tells it. */
import type {
  Backend,
  BackendState,
  BlockResult,
  Data,
  Divergence,
  FloatArray,
  Plan,
  TrainingBlock,
  TrainingSetup,
} from '../backend.ts';
import { floatArrays } from '../float-arrays.ts';
import type { InitialParameters } from '../plan.ts';
import { createReferenceBackend } from '../reference/backend.ts';
import { firstNonFinite } from '../reference/divergence.ts';
import { Batches } from './batches.ts';
import { MAX_ROWWISE_UNITS } from './forward.ts';
import { Lookback } from './lookback.ts';
import type { CompiledCode } from './modules.ts';
import { cutsIntoUnits } from './output.ts';
import { roundsOnce } from './probe.ts';
import { type Tile, tileFor } from './product.ts';
import type { Program, StepRange } from './program.ts';
import { MemberLost } from './team.ts';
import { type StepOptions, TilesProgram, tilesMemory, tilesOptions } from './tiles-program.ts';
import { fitsTiny, TinyProgram } from './tiny-program.ts';

/** Addresses are 32 bits wide, and offsets beside them must fit too. */
const MAX_MEMORY = 3 * 2 ** 30;

/** What the machine can do: found by probes, never assumed. */
export interface WasmOptions extends StepOptions {
  /** Whether V8 fuses pairs of vectors into 256-bit ones; see `probeRevectorizer`. */
  readonly revectorized?: boolean;
  /** Steps after which a small network is compiled anew, unrolled; 0 for at once. */
  readonly tiny_after_steps?: number;
}

/** Unrolled code takes some milliseconds to compile and saves some tenths of a microsecond per step. */
const TINY_AFTER_STEPS = 5000;

/** Why the network cannot be compiled, or null. */
export function unsupported(plan: Plan, setup: TrainingSetup, data: Data, tile: Tile): string | null {
  if (setup.simulate_bug !== undefined) return 'simulated bugs are carried out by the reference';
  const wide = plan.layers.find((layer, index) => layer.units > MAX_ROWWISE_UNITS && unrolls(plan, index));
  if (wide !== undefined)
    return `layer ${wide.number}: ${wide.activation.name} over more than ${MAX_ROWWISE_UNITS} units`;
  const memory = tilesMemory(tilesOptions(plan, setup, data, tile), data);
  if (memory > MAX_MEMORY) return `network and data take ${memory} bytes of the ${MAX_MEMORY} that can be addressed`;
  return null;
}

/** Whether a layer's formulas are emitted unit by unit. */
function unrolls(plan: Plan, index: number): boolean {
  if (plan.layers[index].activation.entry.kind === 'rowwise') return true;
  return index === plan.layers.length - 1 && !cutsIntoUnits({ plan });
}

/** The tile for this arithmetic: two registers per row, each a vector, or a pair of vectors where pairs are fused. */
export function chooseTile(setup: Pick<TrainingSetup, 'arithmetic'>, { revectorized = false }: WasmOptions): Tile {
  const tile = tileFor(2, setup.arithmetic === 'fused');
  return revectorized ? { ...tile, vectors: 4 } : tile;
}

/** A compiled network in training on `data`, starting from `initial`; or the reason why there is none. */
export function createWasmBackend(
  plan: Plan,
  setup: TrainingSetup,
  data: Data,
  initial: InitialParameters,
  options: WasmOptions = {},
): WasmBackend | { readonly unsupported: string } {
  const tile = chooseTile(setup, options);
  const reason = unsupported(plan, setup, data, tile);
  return reason === null ? new WasmBackend(plan, setup, data, initial, tile, options) : { unsupported: reason };
}

export class WasmBackend implements Backend {
  readonly name = 'wasm';
  readonly fused: boolean;
  readonly plan: Plan;
  readonly #setup: TrainingSetup;
  readonly #data: Data;
  readonly #tinyAfter: number;
  readonly #tiles: TilesProgram;
  /** What trains; the tiles, which also predict, are brought up to date when they are needed. */
  #trainer: Program;
  #lookback: Lookback;
  #tilesAreCurrent = true;
  #stepsSeen = 0;
  #spare: Backend | null = null;

  constructor(
    plan: Plan,
    setup: TrainingSetup,
    data: Data,
    initial: InitialParameters,
    tile: Tile,
    options: WasmOptions,
  ) {
    this.plan = plan;
    this.fused = roundsOnce(setup.arithmetic);
    this.#setup = setup;
    this.#data = data;
    this.#tiles = new TilesProgram(plan, setup, data, initial, tile, options);
    this.#trainer = this.#tiles;
    this.#lookback = new Lookback(this.#trainer, setup.batch_size);
    this.#tinyAfter = fitsTiny(plan, setup, data) ? (options.tiny_after_steps ?? TINY_AFTER_STEPS) : Infinity;
  }

  /** What trains at present: tiles of matrices, or the network unrolled. */
  get strategy(): 'tiles' | 'tiny' {
    return this.#trainer === this.#tiles ? 'tiles' : 'tiny';
  }

  get threads(): number {
    return this.#trainer === this.#tiles ? this.#tiles.threads : 1;
  }

  /** What predicts; another thread that keeps it need not compile it. */
  get code(): CompiledCode {
    return this.#tiles.code;
  }

  train(block: TrainingBlock): BlockResult {
    const batches = new Batches(block, this.#setup.batch_size);
    this.#chooseTrainer(batches.count);
    const losses = block.losses ?? new floatArrays[this.plan.precision](batches.count);
    let done = 0;
    while (done < batches.count) {
      if (this.#trainer.isLarge && isSet(block.control)) break;
      const range = { block, batches, first: done, end: batches.count };
      this.#lookback.prepare(block);
      const ran = this.#runOrRepeat(range, losses);
      if (ran === 0) {
        this.#lookback.goBack();
        break;
      }
      if (Number.isFinite(losses[done + ran - 1]) && this.#trainer.finite()) {
        this.#lookback.keep({ ...range, end: done + ran });
        done += ran;
        break;
      }
      done += this.#goToLastGood(range, losses, ran);
      this.#lookback.forget();
      const { divergence, loss } = this.#referenceStep(block, batches, done);
      if (divergence !== null) return { steps_done: done, losses: withLoss(losses, done, loss), divergence };
      losses[done] = loss as number;
      done += 1;
      if (isSet(block.control)) break;
    }
    return { steps_done: done, losses: losses.subarray(0, done), divergence: null };
  }

  /** Runs steps from the saved state; once more and alone when a thread that helped has died within a step. */
  #runOrRepeat(range: StepRange, losses: FloatArray): number {
    try {
      return this.#trainer.run(range, losses);
    } catch (thrown) {
      if (!(thrown instanceof MemberLost)) throw thrown;
      this.#lookback.goBack();
      return this.#trainer.run({ ...range, alone: true }, losses);
    }
  }

  /** Goes over to the unrolled code once there is enough to do for it to pay. It gives the same bits. */
  #chooseTrainer(steps: number): void {
    this.#tilesAreCurrent = this.#trainer === this.#tiles;
    this.#stepsSeen += steps;
    if (this.#trainer !== this.#tiles || this.#stepsSeen < this.#tinyAfter) return;
    this.#trainer = new TinyProgram(this.plan, this.#setup, this.#data);
    this.#trainer.restore(this.#tiles.state());
    this.#lookback = new Lookback(this.#trainer, this.#setup.batch_size);
    this.#tilesAreCurrent = false;
  }

  /**
   * Replays the steps of the last run one by one up to the first that leaves the finite numbers; leaves the state before
   * it. Returns how many steps are good. The same code on the same state does the same again, so one is found.
   */
  #goToLastGood(range: StepRange, losses: FloatArray, ran: number): number {
    const block = { ...range.block, control: undefined };
    const run = (from: number, steps: number) =>
      this.#trainer.run(
        { ...range, block, first: range.first + from, end: range.first + from + steps, alone: true },
        losses,
      );
    this.#lookback.goBack();
    let good = 0;
    while (good < ran - 1) {
      run(good, 1);
      if (!Number.isFinite(losses[range.first + good]) || !this.#trainer.finite()) break;
      good += 1;
    }
    this.#lookback.goBack();
    run(0, good);
    return good;
  }

  /**
   * One step by the reference, from the present state: it names the place of a divergence. Where it stays finite (a
   * sum that overflows only on its way, which the reference mends) its result is taken over.
   */
  #referenceStep(
    block: TrainingBlock,
    batches: Batches,
    index: number,
  ): { divergence: Divergence | null; loss: number | undefined } {
    const reference = this.#reference();
    const order = batches.rowsOf(index);
    const { losses, divergence } = reference.train({
      order,
      epoch_rows: order.length,
      first_step: block.first_step + index,
      learning_rates: block.learning_rates.subarray(index, index + 1),
    });
    if (divergence === null) this.#trainer.restore(reference.state());
    return { divergence, loss: losses[0] };
  }

  /** The reference in the present state. */
  #reference(): Backend {
    const state = this.#trainer.state();
    this.#spare ??= createReferenceBackend(this.plan, this.#setup, this.#data, state);
    this.#spare.restore(state);
    return this.#spare;
  }

  #currentTiles(): TilesProgram {
    if (!this.#tilesAreCurrent) this.#tiles.restore(this.#trainer.state());
    this.#tilesAreCurrent = true;
    return this.#tiles;
  }

  /**
   * Rows whose outputs are not finite are computed again by the reference: compiled code reports an overflow as NaN. The
   * others stay, because they must not depend on what is predicted beside them.
   */
  predict(inputs: FloatArray, rows: number): FloatArray {
    const { values, finite } = this.#currentTiles().predict(inputs, rows);
    if (finite) return values;
    const { input_size: width, output_size: units } = this.plan;
    const overflowed = Array.from({ length: rows }, (_, row) => row).filter(
      (row) => firstNonFinite(values, row * units, units) >= 0,
    );
    const again = new floatArrays[this.plan.precision](overflowed.length * width);
    for (const [i, row] of overflowed.entries()) again.set(inputs.subarray(row * width, (row + 1) * width), i * width);
    const outputs = this.#reference().predict(again, overflowed.length);
    for (const [i, row] of overflowed.entries()) values.set(outputs.subarray(i * units, (i + 1) * units), row * units);
    return values;
  }

  evaluate(data: Data): number {
    const loss = this.#currentTiles().evaluate(data);
    return Number.isFinite(loss) ? loss : this.#reference().evaluate(data);
  }

  state(): BackendState {
    return this.#trainer.state();
  }

  peek(): BackendState {
    this.#lookback.forget();
    return this.#trainer.peek();
  }

  restore(state: BackendState): void {
    this.#trainer.restore(state);
    this.#lookback.forget();
    this.#tilesAreCurrent = this.#trainer === this.#tiles;
  }
}

const isSet = (control: Int32Array | undefined) => control !== undefined && Atomics.load(control, 0) !== 0;

function withLoss(losses: FloatArray, done: number, loss: number | undefined): FloatArray {
  if (loss === undefined) return losses.subarray(0, done);
  losses[done] = loss;
  return losses.subarray(0, done + 1);
}
