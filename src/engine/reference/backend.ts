/** The reference back end: the specification of what every other back end computes, one plain step after the other. */
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
import { clipGradients } from '../clipping.ts';
import { reductionScale } from '../losses.ts';
import { updateRunning } from '../normalization.ts';
import type { InitialParameters } from '../plan.ts';
import { backward } from './backward.ts';
import { simulatedRules } from './bugs.ts';
import { type Found, findInForward, findInGradients, findInParameters } from './divergence.ts';
import { forward, trainingLoss } from './forward.ts';
import { arrayOf, createPass, type Pass, setPass } from './pass.ts';
import { correctRules, type PassRules } from './rules.ts';
import { createUpdate, type Update } from './update.ts';

/** Multiply-adds of a step that takes a tenth of a second here; one of more is abandoned when it is asked to end. */
const LONG_STEP = 1e8;

/** What a step is abandoned by. */
class Abandoned extends Error {}

/** Rows that prediction and evaluation carry through the network at once. */
const CHUNK_ROWS = 256;
const NO_TARGETS = new Float64Array(0);

/**
 * A network in training on `data`, starting from `initial`, in the plan's precision. Arithmetic is strict whatever
 * `setup.arithmetic` says: JavaScript has no fused multiply-add.
 * @throws {RangeError} when the setup names an unknown optimizer or bug
 */
export function createReferenceBackend(
  plan: Plan,
  setup: TrainingSetup,
  data: Data,
  initial: InitialParameters,
): Backend {
  return new ReferenceBackend(plan, setup, data, initial);
}

class ReferenceBackend implements Backend {
  readonly name = 'reference';
  readonly fused = false;
  readonly threads = 1;
  readonly plan: Plan;
  readonly #setup: TrainingSetup;
  readonly #data: Data;
  readonly #update: Update;
  /** One pass per batch size in use: full batches, and the short last one. */
  readonly #passes = new Map<number, Pass>();
  #statistics: FloatArray;
  #nextStatistics: FloatArray;

  constructor(plan: Plan, setup: TrainingSetup, data: Data, initial: InitialParameters) {
    const FloatArrayOf = arrayOf(plan.precision);
    this.plan = plan;
    this.#setup = setup;
    this.#data = data;
    this.#update = createUpdate(plan, setup.optimizer, initial.parameters);
    this.#statistics = new FloatArrayOf(plan.statistic_count);
    this.#nextStatistics = new FloatArrayOf(plan.statistic_count);
    this.#statistics.set(initial.statistics);
    // An unknown bug is refused here, not at the first step.
    this.#rules(0);
  }

  train(block: TrainingBlock): BlockResult {
    const losses: number[] = [];
    for (const [index, rows] of batchesOf(block, this.#setup.batch_size).entries()) {
      const step = block.first_step + index;
      const done = this.#stepUnlessAsked(rows, step, block.learning_rates[index], block.control);
      if (done === null) break;
      const { loss, found } = done;
      if (loss !== null) losses.push(loss);
      if (found !== null) {
        const divergence: Divergence = { step, ...found };
        return { steps_done: index, losses: this.#column(losses), divergence };
      }
      if (block.control !== undefined && Atomics.load(block.control, 0) !== 0) break;
    }
    return { steps_done: losses.length, losses: this.#column(losses), divergence: null };
  }

  #column(values: readonly number[]): FloatArray {
    const FloatArrayOf = arrayOf(this.plan.precision);
    const column = new FloatArrayOf(values.length);
    column.set(values);
    return column;
  }

  /** Null when it took long and was abandoned because `control` was set. */
  #stepUnlessAsked(rows: Uint32Array, step: number, learningRate: number, control: Int32Array | undefined) {
    const pass = this.#passOf(rows.length);
    const isLong = control !== undefined && 3 * this.plan.parameter_count * rows.length >= LONG_STEP;
    pass.between_rows = !isLong
      ? null
      : () => {
          if (Atomics.load(control, 0) !== 0) throw new Abandoned();
        };
    try {
      return this.#step(rows, step, learningRate);
    } catch (thrown) {
      if (thrown instanceof Abandoned) return null;
      throw thrown;
    }
  }

  /** Loss and gradient → clip → weight decay and update. Nothing is kept of a step that leaves the finite numbers. */
  #step(rows: Uint32Array, step: number, learningRate: number): { loss: number | null; found: Found | null } {
    const pass = this.#passOf(rows.length);
    const rules = this.#rules(learningRate);
    gatherRows(this.#data, rows, pass);
    pass.parameters = this.#update.parameters;
    pass.statistics = this.#statistics;
    forward(pass, { seed: this.#setup.seed, step }, rules);
    const inForward = findInForward(pass);
    if (inForward !== null) return { loss: null, found: inForward };
    const loss = trainingLoss(pass, rules);
    if (!Number.isFinite(loss)) return { loss, found: { quantity: 'loss', value: loss } };
    backward(pass, rules);
    const found = findInGradients(this.plan, pass.gradients) ?? this.#apply(pass, learningRate);
    return { loss, found };
  }

  /** Clips, updates into spare buffers, and takes them over if all that is in them is finite. */
  #apply(pass: Pass, learningRate: number): Found | null {
    const { clip_gradients: clip } = this.#setup;
    if (clip !== undefined) clipGradients(pass.o, clip, pass.gradients);
    const next = this.#update.propose(pass.gradients, learningRate);
    const found = findInParameters(this.plan, next.parameters, next.slots);
    if (found !== null) return found;
    this.#update.accept();
    this.#updateStatistics(pass);
    return null;
  }

  #updateStatistics(pass: Pass): void {
    if (this.plan.statistic_count === 0) return;
    for (const { layer, normalization: cache } of pass.layers) {
      if (layer.normalization === null || cache === null) continue;
      const shape = [pass.rows, layer.units] as const;
      updateRunning(pass.o, layer.normalization, cache, this.#statistics, this.#nextStatistics, shape);
    }
    [this.#statistics, this.#nextStatistics] = [this.#nextStatistics, this.#statistics];
  }

  #rules(learningRate: number): PassRules {
    const { simulate_bug: bug } = this.#setup;
    return bug === undefined ? correctRules : simulatedRules([bug], this.plan, learningRate);
  }

  /** A pass for batches of this size, its inputs, targets and weights ready to be filled. */
  #passOf(rows: number): Pass {
    const known = this.#passes.get(rows);
    if (known !== undefined) return known;
    const FloatArrayOf = arrayOf(this.plan.precision);
    const pass = createPass(this.plan, rows);
    pass.inputs = new FloatArrayOf(rows * this.plan.input_size);
    pass.targets = new FloatArrayOf(rows * targetsPerRow(this.plan));
    pass.row_weights = this.#data.weights === undefined ? null : new FloatArrayOf(rows);
    this.#passes.set(rows, pass);
    return pass;
  }

  predict(inputs: FloatArray, rows: number): FloatArray {
    const { input_size: width, output_size: units } = this.plan;
    const outputs = new (arrayOf(this.plan.precision))(rows * units);
    for (const { start, count, pass } of this.#chunks(rows)) {
      const batch = inputs.subarray(start * width, (start + count) * width);
      setPass(pass, this.#values(), { inputs: batch, targets: NO_TARGETS, row_weights: null });
      forward(pass, 'predict');
      outputs.set(pass.layers[pass.layers.length - 1].outputs.subarray(0, count * units), start * units);
    }
    return outputs;
  }

  /** The losses of the rows are summed in float64 in row order, whatever the precision. */
  evaluate(data: Data): number {
    const { input_size: width, loss, reduction, output_size: units } = this.plan;
    const perRow = targetsPerRow(this.plan);
    const scale = reductionScale(loss.entry, reduction, data.rows, units);
    let mean = 0;
    for (const { start, count, pass } of this.#chunks(data.rows)) {
      const inputs = data.inputs.subarray(start * width, (start + count) * width);
      const targets = data.targets.subarray(start * perRow, (start + count) * perRow);
      setPass(pass, this.#values(), { inputs, targets, row_weights: null });
      forward(pass, 'predict');
      correctRules.rowLosses(pass);
      for (let row = 0; row < count; row++) mean += scale * (data.weights?.[start + row] ?? 1) * pass.row_losses[row];
    }
    return mean;
  }

  /** Consecutive rows, CHUNK_ROWS at a time, each with a pass of its size; the storage goes when the loop ends. */
  *#chunks(rows: number): Generator<{ start: number; count: number; pass: Pass }> {
    let pass: Pass | null = null;
    for (let start = 0; start < rows; start += CHUNK_ROWS) {
      const count = Math.min(CHUNK_ROWS, rows - start);
      if (pass === null || pass.rows !== count) pass = createPass(this.plan, count);
      yield { start, count, pass };
    }
  }

  #values() {
    return { parameters: this.#update.parameters, statistics: this.#statistics };
  }

  state(): BackendState {
    const { parameters, slots, running } = this.#update;
    return {
      parameters: parameters.slice(),
      statistics: this.#statistics.slice(),
      slots: slots.map((slot) => slot.slice()),
      scalars: running.slice(),
    };
  }

  peek(): BackendState {
    return this.state();
  }

  restore(state: BackendState): void {
    this.#update.restore(state);
    this.#statistics.set(state.statistics);
  }
}

/** Numbers per row in the targets of a data set: one label, or one per output. */
export function targetsPerRow(plan: Plan): number {
  return plan.loss.entry.target_domain.kind === 'label' ? 1 : plan.output_size;
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

/** Copies the chosen rows of the data into a pass that has arrays for them, rounding to its precision. */
export function gatherRows(data: Data, rows: Uint32Array, pass: Pass): void {
  const width = pass.plan.input_size;
  const perRow = targetsPerRow(pass.plan);
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i];
    for (let k = 0; k < width; k++) pass.inputs[i * width + k] = data.inputs[row * width + k];
    for (let k = 0; k < perRow; k++) pass.targets[i * perRow + k] = data.targets[row * perRow + k];
    if (pass.row_weights !== null && data.weights !== undefined) pass.row_weights[i] = data.weights[row];
  }
}
