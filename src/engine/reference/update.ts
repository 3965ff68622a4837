/** The optimizer's loop over the one flat parameter buffer. */
import type { Arithmetic } from '../arithmetic.ts';
import type { BackendState, FloatArray, Plan } from '../backend.ts';
import { biasOptions, initialRunning, type Optimizer, type OptimizerSpec, resolveOptimizer } from '../optimizers.ts';
import type { Resolved } from '../options.ts';
import { trainedTensors } from '../parameters.ts';
import { arithmeticOf, arrayOf } from './pass.ts';

/** Trained values and all that the optimizer remembers about them. */
interface Trained {
  parameters: FloatArray;
  slots: FloatArray[];
  running: Float64Array;
}

export interface Update extends Readonly<Trained> {
  /** The values after one step along `gradients`, in buffers that stay valid until the next proposal. */
  propose(gradients: FloatArray, learningRate: number): Readonly<Trained>;
  /** Makes the last proposal the current values. */
  accept(): void;
  restore(state: Pick<BackendState, 'parameters' | 'slots' | 'scalars'>): void;
}

/** Parameters that share the optimizer's options: weights, or what `decay_biases` may spare from decay. */
interface Segment {
  readonly start: number;
  readonly end: number;
  readonly options: Resolved<Optimizer>['options'];
}

/** An optimizer at work on parameters that start at `initial`. */
export function createUpdate(plan: Plan, spec: OptimizerSpec, initial: FloatArray): Update {
  return new FlatUpdate(plan, resolveOptimizer(spec), initial);
}

class FlatUpdate implements Update {
  readonly #o: Arithmetic<number, boolean>;
  readonly #optimizer: Resolved<Optimizer>;
  readonly #segments: readonly Segment[];
  #current: Trained;
  #proposed: Trained;

  constructor(plan: Plan, optimizer: Resolved<Optimizer>, initial: FloatArray) {
    this.#o = arithmeticOf(plan.precision);
    this.#optimizer = optimizer;
    this.#segments = segmentsOf(plan, optimizer.options);
    const FloatArrayOf = arrayOf(plan.precision);
    const empty = (): Trained => ({
      parameters: new FloatArrayOf(plan.parameter_count),
      slots: optimizer.entry
        .slots(optimizer.options)
        .map((slot) => new FloatArrayOf(plan.parameter_count).fill(slot.initial)),
      running: initialRunning(optimizer),
    });
    this.#current = empty();
    this.#proposed = empty();
    this.#current.parameters.set(initial);
  }

  get parameters(): FloatArray {
    return this.#current.parameters;
  }

  get slots(): FloatArray[] {
    return this.#current.slots;
  }

  get running(): Float64Array {
    return this.#current.running;
  }

  propose(gradients: FloatArray, learningRate: number): Readonly<Trained> {
    const { entry, options } = this.#optimizer;
    this.#proposed.running.set(this.#current.running);
    const scalars: Record<string, number> = {};
    for (const [name, value] of Object.entries(entry.step(options, this.#proposed.running, learningRate))) {
      scalars[name] = this.#o.constant(value);
    }
    for (const segment of this.#segments) this.#updateSegment(segment, gradients, scalars);
    return this.#proposed;
  }

  #updateSegment(
    { start, end, options }: Segment,
    gradients: FloatArray,
    scalars: Readonly<Record<string, number>>,
  ): void {
    const { entry } = this.#optimizer;
    const { parameters, slots } = this.#current;
    const next = this.#proposed;
    const moments: number[] = slots.map(() => 0);
    const element = { parameter: 0, gradient: 0, slots: moments, scalars };
    for (let i = start; i < end; i++) {
      element.parameter = parameters[i];
      element.gradient = gradients[i];
      for (let s = 0; s < moments.length; s++) moments[s] = slots[s][i];
      const updated = entry.update(this.#o, element, options);
      next.parameters[i] = updated.parameter;
      for (let s = 0; s < moments.length; s++) next.slots[s][i] = updated.slots[s];
    }
  }

  accept(): void {
    [this.#current, this.#proposed] = [this.#proposed, this.#current];
  }

  restore({ parameters, slots, scalars }: Pick<BackendState, 'parameters' | 'slots' | 'scalars'>): void {
    this.#current.parameters.set(parameters);
    for (const [s, slot] of this.#current.slots.entries()) slot.set(slots[s]);
    this.#current.running.set(scalars);
  }
}

/** The tensors of the plan in buffer order, weights with decay, the others with decay if `decay_biases`. */
function segmentsOf(plan: Plan, options: Resolved<Optimizer>['options']): readonly Segment[] {
  return plan.layers.flatMap((layer) =>
    trainedTensors(layer).map(({ name, slice }) => ({
      start: slice.offset,
      end: slice.offset + slice.length,
      options: name === 'weights' ? options : biasOptions(options),
    })),
  );
}
