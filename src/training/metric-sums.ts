/** The running sums behind the metrics of values and probabilities; each keeps only what its metrics read. */
import type { FloatArray } from '../engine/backend.ts';
import { log } from '../engine/math/elementary.ts';
import { float64 } from '../engine/math/float64.ts';
import { type MetricContext, trueClass } from './metric-context.ts';

/** Errors and, by Welford's update, the variance of the targets of each output. */
export class SquaredErrors {
  readonly #size: number;
  readonly #squared: Float64Array;
  readonly #mean: Float64Array;
  readonly #deviation: Float64Array;
  #absolute = 0;
  #rows = 0;

  constructor({ output_size }: MetricContext) {
    this.#size = output_size;
    this.#squared = new Float64Array(output_size);
    this.#mean = new Float64Array(output_size);
    this.#deviation = new Float64Array(output_size);
  }

  add(outputs: FloatArray, targets: FloatArray, rows: number): void {
    for (let row = 0; row < rows; row += 1) {
      this.#rows += 1;
      for (let output = 0; output < this.#size; output += 1) {
        const y = targets[row * this.#size + output];
        const error = outputs[row * this.#size + output] - y;
        this.#squared[output] += error * error;
        this.#absolute += Math.abs(error);
        const before = y - this.#mean[output];
        this.#mean[output] += before / this.#rows;
        this.#deviation[output] += before * (y - this.#mean[output]);
      }
    }
  }

  meanSquared(): number {
    return this.#squared.reduce((sum, value) => sum + value, 0) / (this.#rows * this.#size);
  }

  meanAbsolute(): number {
    return this.#absolute / (this.#rows * this.#size);
  }

  /** Null for fewer than two rows. */
  r2(): number | null {
    if (this.#rows < 2) return null;
    let sum = 0;
    for (let output = 0; output < this.#size; output += 1) {
      const squared = this.#squared[output];
      const deviation = this.#deviation[output];
      const withoutVariance = squared === 0 ? 1 : Number.isNaN(squared) ? Number.NaN : 0;
      sum += deviation === 0 ? withoutVariance : 1 - squared / deviation;
    }
    return sum / this.#size;
  }
}

/** The rank of each row's class among its outputs. */
export class TopK {
  readonly #context: MetricContext;
  readonly #k: number;
  #hits = 0;
  #rows = 0;

  constructor(context: MetricContext, k: number) {
    this.#context = context;
    this.#k = k;
  }

  add(outputs: FloatArray, targets: FloatArray, rows: number): void {
    const { output_size } = this.#context;
    for (let row = 0; row < rows; row += 1) {
      const label = trueClass(this.#context, targets, row);
      if (this.#rank(outputs.subarray(row * output_size, (row + 1) * output_size), label) <= this.#k) this.#hits += 1;
    }
    this.#rows += rows;
  }

  /** 1 for the largest output; Infinity when an output is NaN. */
  #rank(outputs: FloatArray, label: number): number {
    const own = outputs[label];
    let rank = 1;
    for (let i = 0; i < outputs.length; i += 1) {
      const other = outputs[i];
      if (Number.isNaN(other)) return Number.POSITIVE_INFINITY;
      if (other > own || (other === own && i < label)) rank += 1;
    }
    return rank;
  }

  accuracy(): number {
    return this.#hits / this.#rows;
  }
}

/** Negative log-likelihoods of the truth, one term a row (indicators: one an output). */
export class LogLoss {
  readonly #context: MetricContext;
  #sum = 0;
  #terms = 0;

  constructor(context: MetricContext) {
    this.#context = context;
  }

  add(outputs: FloatArray, targets: FloatArray, rows: number): void {
    const { output_size, target_kind } = this.#context;
    if (target_kind === 'labels') {
      for (let row = 0; row < rows; row += 1) this.#sum -= this.#log(outputs[row * output_size + targets[row]]);
      this.#terms += rows;
      return;
    }
    for (let i = 0; i < rows * output_size; i += 1) {
      const y = targets[i];
      // 0·log 0 is 0: an impossible event that did not happen costs nothing.
      if (y !== 0) this.#sum -= y * this.#log(outputs[i]);
      if (target_kind === 'indicators' && y !== 1) this.#sum -= (1 - y) * this.#log(1 - outputs[i]);
    }
    this.#terms += target_kind === 'indicators' ? rows * output_size : rows;
  }

  #log(output: number): number {
    return this.#context.log_outputs === true ? output : log(float64, output);
  }

  mean(): number {
    return this.#sum / this.#terms;
  }
}
