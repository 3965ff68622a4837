/** Counts of right and wrong decisions by class: what accuracy, precision, recall, F1 and the confusion matrix read. */
import type { FloatArray } from '../engine/backend.ts';
import { excludesOthers, largest, type MetricContext, threshold, trueClass } from './metric-context.ts';

const ratio = (part: number, whole: number): number => (whole === 0 ? 0 : part / whole);

export interface ClassScores {
  readonly precision: number;
  readonly recall: number;
  readonly f1: number;
  /** Rows of this class in the targets. */
  readonly support: number;
}

export interface ConfusionMatrix {
  /** [true class][predicted class]. */
  readonly matrix: readonly (readonly number[])[];
  /** Rows with a NaN output, which belong to no predicted class. */
  readonly unclassified: number;
  readonly per_class: readonly ClassScores[];
}

/** True positives, predicted and actual rows of each class; for a single output the classes are negative and positive. */
export class ClassCounts {
  readonly #context: MetricContext;
  readonly #classes: number;
  readonly #hits: Float64Array;
  readonly #predicted: Float64Array;
  readonly #actual: Float64Array;
  readonly #matrix: Float64Array | null;
  #right = 0;
  #decided = 0;
  #unclassified = 0;

  constructor(context: MetricContext, withMatrix: boolean) {
    this.#context = context;
    this.#classes = !excludesOthers(context) && context.output_size === 1 ? 2 : context.output_size;
    this.#hits = new Float64Array(this.#classes);
    this.#predicted = new Float64Array(this.#classes);
    this.#actual = new Float64Array(this.#classes);
    this.#matrix = withMatrix ? new Float64Array(this.#classes * this.#classes) : null;
  }

  add(outputs: FloatArray, targets: FloatArray, rows: number): void {
    const { output_size } = this.#context;
    if (excludesOthers(this.#context)) {
      for (let row = 0; row < rows; row += 1) {
        this.#count(trueClass(this.#context, targets, row), largest(outputs, row * output_size, output_size));
      }
    } else if (output_size === 1) this.#addBinary(outputs, targets, rows);
    else this.#addIndicators(outputs, targets, rows);
  }

  /** `predicted` is −1 for a row without a prediction. */
  #count(actual: number, predicted: number): void {
    this.#decided += 1;
    this.#actual[actual] += 1;
    if (predicted === -1) {
      this.#unclassified += 1;
      return;
    }
    this.#predicted[predicted] += 1;
    if (this.#matrix !== null) this.#matrix[actual * this.#classes + predicted] += 1;
    if (actual !== predicted) return;
    this.#hits[actual] += 1;
    this.#right += 1;
  }

  #addBinary(outputs: FloatArray, targets: FloatArray, rows: number): void {
    const limit = threshold(this.#context);
    for (let row = 0; row < rows; row += 1) {
      const output = outputs[row];
      this.#count(targets[row] >= limit ? 1 : 0, Number.isNaN(output) ? -1 : output >= limit ? 1 : 0);
    }
  }

  /** Each output is a class of its own that a row may or may not have. */
  #addIndicators(outputs: FloatArray, targets: FloatArray, rows: number): void {
    const limit = threshold(this.#context);
    for (let i = 0; i < rows * this.#classes; i += 1) {
      const output = i % this.#classes;
      const actual = targets[i] >= limit;
      const predicted = outputs[i] >= limit;
      this.#decided += 1;
      if (actual) this.#actual[output] += 1;
      if (predicted) this.#predicted[output] += 1;
      if (actual && predicted) this.#hits[output] += 1;
      if (actual === predicted && !Number.isNaN(outputs[i])) this.#right += 1;
    }
  }

  accuracy(): number {
    return this.#right / this.#decided;
  }

  #scores(label: number): ClassScores {
    const hits = this.#hits[label];
    const predicted = this.#predicted[label];
    const support = this.#actual[label];
    return {
      precision: ratio(hits, predicted),
      recall: ratio(hits, support),
      f1: ratio(2 * hits, predicted + support),
      support,
    };
  }

  /** Of the positive class when there is one output, else the plain mean over the classes that occur; NaN before the first row. */
  mean(score: 'precision' | 'recall' | 'f1'): number {
    if (this.#decided === 0) return Number.NaN;
    if (!excludesOthers(this.#context) && this.#context.output_size === 1) return this.#scores(1)[score];
    let sum = 0;
    let occurring = 0;
    for (let label = 0; label < this.#classes; label += 1) {
      if (this.#predicted[label] + this.#actual[label] === 0) continue;
      sum += this.#scores(label)[score];
      occurring += 1;
    }
    return ratio(sum, occurring);
  }

  confusionMatrix(): ConfusionMatrix | null {
    if (this.#matrix === null) return null;
    const n = this.#classes;
    const labels = Array.from({ length: n }, (_, label) => label);
    return {
      matrix: labels.map((label) => [...this.#matrix!.subarray(label * n, (label + 1) * n)]),
      unclassified: this.#unclassified,
      per_class: labels.map((label) => this.#scores(label)),
    };
  }
}
