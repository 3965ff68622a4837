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
import type { InitialParameters } from '../plan.ts';
import { createReferenceBackend } from '../reference/backend.ts';
import { MAX_ROWWISE_UNITS } from './forward.ts';
import { cutsIntoUnits } from './output.ts';
import { type Tile, tileFor } from './product.ts';
import { TilesProgram, tilesMemory, tilesOptions } from './tiles-program.ts';

/** Addresses are 32 bits wide, and offsets beside them must fit too. */
const MAX_MEMORY = 3 * 2 ** 30;

/** What the machine can do: found by probes, never assumed. */
export interface WasmOptions {
  /** Whether V8 fuses pairs of vectors into 256-bit ones; see `probeRevectorizer`. */
  readonly revectorized?: boolean;
}

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

/** The tile for this arithmetic: four vectors per row where pairs are fused, else two. */
export function chooseTile(setup: Pick<TrainingSetup, 'arithmetic'>, { revectorized = false }: WasmOptions): Tile {
  const fused = setup.arithmetic === 'fused';
  const tile = tileFor(2, fused);
  return revectorized ? { rows: fused ? tile.rows : 4, vectors: 4 } : tile;
}

/** A compiled network in training on `data`, starting from `initial`; or the reason why there is none. */
export function createWasmBackend(
  plan: Plan,
  setup: TrainingSetup,
  data: Data,
  initial: InitialParameters,
  options: WasmOptions = {},
): Backend | { readonly unsupported: string } {
  const tile = chooseTile(setup, options);
  const reason = unsupported(plan, setup, data, tile);
  return reason === null ? new WasmBackend(plan, setup, data, initial, tile) : { unsupported: reason };
}

class WasmBackend implements Backend {
  readonly name = 'wasm';
  readonly plan: Plan;
  readonly #setup: TrainingSetup;
  readonly #data: Data;
  readonly #program: TilesProgram;
  #spare: Backend | null = null;

  constructor(plan: Plan, setup: TrainingSetup, data: Data, initial: InitialParameters, tile: Tile) {
    this.plan = plan;
    this.#setup = setup;
    this.#data = data;
    this.#program = new TilesProgram(plan, setup, data, initial, tile);
  }

  train(block: TrainingBlock): BlockResult {
    const batches = batchesOf(block, this.#setup.batch_size);
    const losses = new Float64Array(batches.length);
    let done = 0;
    while (done < batches.length) {
      const range = { block, batches, first: done, end: batches.length };
      this.#program.save();
      const ran = this.#program.run(range, losses);
      if (Number.isFinite(losses[done + ran - 1]) && this.#program.finite()) {
        done += ran;
        break;
      }
      const good = this.#goToLastGood(range, losses, ran);
      done += good;
      const { divergence, loss } = this.#referenceStep(block, batches, done);
      if (divergence !== null) return { steps_done: done, losses: withLoss(losses, done, loss), divergence };
      losses[done] = loss as number;
      done += 1;
      if (block.control !== undefined && Atomics.load(block.control, 0) !== 0) break;
    }
    return { steps_done: done, losses: losses.slice(0, done), divergence: null };
  }

  /**
   * Replays the steps of the last run one by one up to the first that leaves the finite numbers; leaves the state before
   * it. Returns how many steps are good. The same code on the same state does the same again, so one is found.
   */
  #goToLastGood(
    range: { block: TrainingBlock; batches: readonly Uint32Array[]; first: number },
    losses: Float64Array,
    ran: number,
  ): number {
    const run = (from: number, steps: number) =>
      this.#program.run(
        {
          ...range,
          block: { ...range.block, control: undefined },
          first: range.first + from,
          end: range.first + from + steps,
        },
        losses,
      );
    this.#program.rollBack();
    let good = 0;
    while (good < ran - 1) {
      run(good, 1);
      if (!Number.isFinite(losses[range.first + good]) || !this.#program.finite()) break;
      good += 1;
    }
    this.#program.rollBack();
    run(0, good);
    return good;
  }

  /**
   * One step by the reference, from the present state: it names the place of a divergence. Where it stays finite (a
   * sum that overflows only on its way, which the reference mends) its result is taken over.
   */
  #referenceStep(
    block: TrainingBlock,
    batches: readonly Uint32Array[],
    index: number,
  ): { divergence: Divergence | null; loss: number | undefined } {
    const reference = this.#reference();
    const order = batches[index];
    const { losses, divergence } = reference.train({
      order,
      epoch_rows: order.length,
      first_step: block.first_step + index,
      learning_rates: block.learning_rates.subarray(index, index + 1),
    });
    if (divergence === null) this.#program.restore(reference.state());
    return { divergence, loss: losses[0] };
  }

  /** The reference in the present state. */
  #reference(): Backend {
    const state = this.#program.state();
    this.#spare ??= createReferenceBackend(this.plan, this.#setup, this.#data, state);
    this.#spare.restore(state);
    return this.#spare;
  }

  /** Outputs that are not finite are computed again by the reference: compiled code reports an overflow as NaN. */
  predict(inputs: FloatArray, rows: number): FloatArray {
    const outputs = this.#program.predict(inputs, rows);
    for (let i = 0; i < outputs.length; i++) {
      if (outputs[i] - outputs[i] !== 0) return this.#reference().predict(inputs, rows);
    }
    return outputs;
  }

  evaluate(data: Data): number {
    const loss = this.#program.evaluate(data);
    return Number.isFinite(loss) ? loss : this.#reference().evaluate(data);
  }

  state(): BackendState {
    return this.#program.state();
  }

  restore(state: BackendState): void {
    this.#program.restore(state);
  }
}

function withLoss(losses: Float64Array, done: number, loss: number | undefined): Float64Array {
  return Float64Array.from([...losses.subarray(0, done), ...(loss === undefined ? [] : [loss])]);
}

/** Cuts a block into epochs and each epoch into batches; the last of an epoch may be short. */
function batchesOf({ order, epoch_rows: epochRows }: TrainingBlock, batchSize: number): readonly Uint32Array[] {
  const batches: Uint32Array[] = [];
  for (let epoch = 0; epoch < order.length; epoch += epochRows) {
    const end = Math.min(epoch + epochRows, order.length);
    for (let start = epoch; start < end; start += batchSize) {
      batches.push(order.subarray(start, Math.min(start + batchSize, end)));
    }
  }
  return batches;
}
