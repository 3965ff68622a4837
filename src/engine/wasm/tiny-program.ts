/** A network compiled by the tiny strategy, at work: its memory and the loop over runs of steps. Training only. */
import type { BackendState, Data, FloatArray, Plan, TrainingSetup } from '../backend.ts';
import { floatArrays } from '../float-arrays.ts';
import { reductionScale } from '../losses.ts';
import { biasOptions, initialRunning } from '../optimizers.ts';
import type { Batches } from './batches.ts';
import { compiledModule } from './modules.ts';
import type { Program, StepRange } from './program.ts';
import { scalarNames } from './scalars.ts';
import type { TilesOptions } from './tiles.ts';
import { tilesOptions } from './tiles-program.ts';
import { emitTiny } from './tiny.ts';
import { CHUNK_STEPS, copyTinyBlock, createTinyLayout, type TinyLayout } from './tiny-layout.ts';

/** Multiply-adds per vector of samples up to which a network is unrolled: beyond, code and compile time grow without gain. */
const MAX_WORK = 2500;

/** Whether every part of the network and its setup has an unrolled form, and is small enough for it. */
export function fitsTiny(plan: Plan, setup: TrainingSetup, data: Data): boolean {
  const { rule, batch } = tilesOptions(plan, setup, data, { rows: 1, vectors: 1 });
  const { options } = rule.optimizer;
  const lanes = plan.precision === 'float32' ? 4 : 2;
  const plain = plan.layers.every(
    (layer, index) =>
      layer.normalization === null &&
      layer.l1 === 0 &&
      layer.l2 === 0 &&
      (layer.dropout === 0 || index === plan.layers.length - 1),
  );
  const decaysAlike = biasOptions(options).weight_decay === options.weight_decay;
  return (
    plain && decaysAlike && rule.clip.kind !== 'norm' && plan.parameter_count * Math.ceil(batch / lanes) <= MAX_WORK
  );
}

export class TinyProgram implements Program {
  readonly isLarge = false;
  readonly abandons = false;
  readonly #options: TilesOptions;
  readonly #layout: TinyLayout;
  readonly #memory: WebAssembly.Memory;
  readonly #numbers: FloatArray;
  readonly #order: Uint32Array;
  /** Per number of rows in a batch: the function that runs so many steps. */
  readonly #runs = new Map<number, (steps: number) => void>();
  readonly #running: Float64Array;
  /** What the scalars in memory were made of: the learning rate of every step and the scale of the reduction. */
  readonly #writtenRates = new Float64Array(CHUNK_STEPS).fill(Number.NaN);
  #writtenScale = Number.NaN;
  readonly #saved: { readonly numbers: FloatArray; readonly running: Float64Array };

  constructor(plan: Plan, setup: TrainingSetup, data: Data) {
    this.#options = tilesOptions(plan, setup, data, { rows: 1, vectors: 1 });
    const { rule, batch } = this.#options;
    const { entry, options } = rule.optimizer;
    const names = ['scale', ...scalarNames(rule.optimizer)];
    this.#layout = createTinyLayout({ plan, slots: entry.slots(options).length, scalarNames: names, batch });
    const { records, recordBytes, bytesPerNumber, blockBytes, slots } = this.#layout;
    const pages = Math.ceil((records + (data.rows + 1) * recordBytes) / 65536);
    this.#memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    const { buffer } = this.#memory;
    this.#numbers = new floatArrays[plan.precision](buffer);
    this.#order = new Uint32Array(buffer, this.#layout.order, CHUNK_STEPS * batch);
    this.#running = initialRunning(rule.optimizer);
    const stateNumbers = (blockBytes * (1 + slots.length)) / bytesPerNumber;
    this.#saved = { numbers: this.#array(stateNumbers), running: this.#running.slice() };
    this.#placeRecords(data);
  }

  get stateNumbers(): number {
    return this.#saved.numbers.length;
  }

  run({ block, batches, first, end }: StepRange, losses: FloatArray): number {
    let index = first;
    while (index < end) {
      // With somebody at the control, the first step runs alone, so that a stop that is already there costs one step.
      const limit = block.control !== undefined && index === first ? 1 : Math.min(CHUNK_STEPS, end - index);
      const steps = batches.equalRun(index, limit);
      this.#chunk(batches, index, steps, block.learning_rates);
      const finite = this.#takeLosses(losses, index, steps);
      if (finite < steps) return index + finite - first + 1;
      index += steps;
      if (block.control !== undefined && Atomics.load(block.control, 0) !== 0) break;
    }
    return index - first;
  }

  /** Copies the losses of a chunk; returns how many come before the first that is not finite. */
  #takeLosses(losses: FloatArray, index: number, steps: number): number {
    const at = this.#layout.losses / this.#layout.bytesPerNumber;
    losses.set(this.#numbers.subarray(at, at + steps), index);
    for (let step = index; step < index + steps; step++) {
      if (losses[step] - losses[step] !== 0) return step - index;
    }
    return steps;
  }

  #chunk(batches: Batches, index: number, steps: number, learningRates: Float64Array): void {
    const rows = batches.rows(index);
    this.#order.set(batches.rowsOf(index, steps));
    this.#setScalars(rows, learningRates, index, steps);
    this.#runFor(rows)(steps);
  }

  /** Scalars of every step of the chunk; computed and written anew only where they differ from those of the last chunk. */
  #setScalars(rows: number, learningRates: Float64Array, index: number, steps: number): void {
    const { plan, scalars, scalarNames: names, bytesPerNumber } = this.#layout;
    const { entry, options } = this.#options.rule.optimizer;
    const scale = reductionScale(plan.loss.entry, plan.reduction, rows, plan.output_size);
    const numbers = this.#numbers;
    const written = this.#writtenRates;
    if (this.#running.length > 0 || scale !== this.#writtenScale) written.fill(Number.NaN);
    this.#writtenScale = scale;
    for (let step = 0; step < steps; step++) {
      const rate = learningRates[index + step];
      if (rate === written[step]) continue;
      written[step] = rate;
      let at = scalars / bytesPerNumber + step * names.length;
      numbers[at++] = scale;
      const values = entry.step(options, this.#running, rate);
      for (let i = 1; i < names.length; i++) numbers[at++] = values[names[i]];
    }
  }

  /** Compiled on first use: most runs have one batch size, or two with the short last batch. */
  #runFor(rows: number): (steps: number) => void {
    const known = this.#runs.get(rows);
    if (known !== undefined) return known;
    const options = { rule: this.#options.rule, mode: this.#options.mode, weighted: this.#options.weighted, rows };
    const description = { strategy: 'tiny', plan: this.#layout.plan, batch: this.#options.batch, ...options };
    const module = compiledModule(description, () => emitTiny(this.#layout, options));
    const { exports } = new WebAssembly.Instance(module, { engine: { memory: this.#memory } });
    const run = exports.run as (steps: number) => void;
    this.#runs.set(rows, run);
    return run;
  }

  finite(): boolean {
    const { parameters, slots } = this.state();
    return [parameters, ...slots].every((values) => values.every((value: number) => Number.isFinite(value)));
  }

  save(): void {
    const start = this.#layout.parameters / this.#layout.bytesPerNumber;
    this.#saved.numbers.set(this.#numbers.subarray(start, start + this.#saved.numbers.length));
    this.#saved.running.set(this.#running);
  }

  rollBack(): void {
    this.#numbers.set(this.#saved.numbers, this.#layout.parameters / this.#layout.bytesPerNumber);
    this.#running.set(this.#saved.running);
  }

  peek(): BackendState {
    return this.state();
  }

  state(): BackendState {
    const { parameters, slots, plan } = this.#layout;
    const unpacked = (block: number) => {
      const flat = this.#array(plan.parameter_count);
      copyTinyBlock(this.#layout, this.#numbers, block, flat, 'out');
      return flat;
    };
    return {
      parameters: unpacked(parameters),
      statistics: this.#array(0),
      slots: slots.map(unpacked),
      scalars: this.#running.slice(),
    };
  }

  restore(state: BackendState): void {
    const { parameters, slots } = this.#layout;
    copyTinyBlock(this.#layout, this.#numbers, parameters, state.parameters, 'in');
    for (const [s, slot] of slots.entries()) copyTinyBlock(this.#layout, this.#numbers, slot, state.slots[s], 'in');
    this.#running.set(state.scalars);
  }

  #array(length: number): FloatArray {
    return new floatArrays[this.#layout.plan.precision](length);
  }

  #placeRecords({ rows, inputs, targets, weights }: Data): void {
    const { records, recordBytes, bytesPerNumber, targets: targetsAt, weight, plan } = this.#layout;
    const width = plan.input_size;
    const perRow = rows === 0 ? 0 : targets.length / rows;
    for (let row = 0; row < rows; row++) {
      const at = (records + row * recordBytes) / bytesPerNumber;
      for (let k = 0; k < width; k++) this.#numbers[at + k] = inputs[row * width + k];
      this.#numbers[at + width] = 1;
      const to = at + targetsAt / bytesPerNumber;
      for (let k = 0; k < perRow; k++) this.#numbers[to + k] = targets[row * perRow + k];
      if (weights !== undefined) this.#numbers[at + weight / bytesPerNumber] = weights[row];
    }
  }
}
