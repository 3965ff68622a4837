/** Prediction and evaluation by a network compiled by the tiles strategy: rows in, outputs or losses out, a chunk at a time. */
import type { Data, FloatArray } from '../backend.ts';
import { floatArrays } from '../float-arrays.ts';
import { reductionScale } from '../losses.ts';
import { CACHE_LINE, type NetworkLayout } from './layout.ts';
import { inferenceOperations } from './phases.ts';
import type { Stages } from './stages.ts';
import type { TilesExports } from './tiles.ts';

/** The threads that may help, and the floating-point operations from which on it is worth their while. */
export interface Help {
  readonly stages: Stages;
  readonly least_operations: number;
}

export interface Outputs {
  readonly values: FloatArray;
  readonly finite: boolean;
}

export class TilesInference {
  readonly #layout: NetworkLayout;
  readonly #exports: Pick<TilesExports, 'infer' | 'evaluate'>;
  readonly #help: Help | null;
  readonly #inputs: FloatArray;
  readonly #outputs: FloatArray;
  readonly #losses: FloatArray;
  /** Of all threads, their padding included. */
  readonly #checks: FloatArray;

  constructor(layout: NetworkLayout, buffer: ArrayBuffer, exports: TilesExports, help: Help | null) {
    const { plan, bytesPerNumber, threads, chunk } = layout;
    const Floats = floatArrays[plan.precision];
    this.#layout = layout;
    this.#exports = exports;
    this.#help = help;
    this.#inputs = new Floats(buffer, layout.chunkInputs, chunk * plan.input_size);
    this.#outputs = new Floats(buffer, layout.chunkOutputs, chunk * plan.output_size);
    this.#losses = new Floats(buffer, layout.chunkLosses, chunk);
    this.#checks = new Floats(buffer, layout.checks, (threads * CACHE_LINE) / bytesPerNumber);
  }

  /** Outputs in inference mode, [rows, output_size], and whether all of them are finite. */
  predict(inputs: FloatArray, rows: number): Outputs {
    const { plan, chunk } = this.#layout;
    const width = plan.output_size;
    const result = new floatArrays[plan.precision](rows * width);
    let finite = true;
    for (let start = 0; start < rows; start += chunk) {
      const count = Math.min(chunk, rows - start);
      copy(inputs, start * plan.input_size, this.#inputs, 0, count * plan.input_size);
      this.#carryOut('infer', count);
      finite = this.#finite() && finite;
      copy(this.#outputs, 0, result, start * width, count * width);
    }
    return { values: result, finite };
  }

  /** Σ_row scale·weight·loss of the row in float64, rows ascending, in inference mode. */
  evaluate({ inputs, targets, weights, rows }: Data): number {
    const { plan, chunk } = this.#layout;
    const columns = targets.length / rows;
    const scale = reductionScale(plan.loss.entry, plan.reduction, rows, plan.output_size);
    let mean = 0;
    for (let start = 0; start < rows; start += chunk) {
      const count = Math.min(chunk, rows - start);
      copy(inputs, start * plan.input_size, this.#inputs, 0, count * plan.input_size);
      copy(targets, start * columns, this.#outputs, 0, count * columns);
      this.#carryOut('evaluate', count);
      for (let row = 0; row < count; row++) mean += scale * (weights?.[start + row] ?? 1) * this.#losses[row];
    }
    return mean;
  }

  #carryOut(stage: 'infer' | 'evaluate', rows: number): void {
    const large = this.#help !== null && inferenceOperations(this.#layout.plan, rows) >= this.#help.least_operations;
    if (!large || !this.#help.stages.infer(stage, rows)) this.#exports[stage](0, rows, 0);
  }

  #finite(): boolean {
    const checks = this.#checks;
    for (let i = 0; i < checks.length; i++) {
      if (checks[i] === 0) continue;
      // Those of threads that do not take part next time would stay.
      checks.fill(0);
      return false;
    }
    return true;
  }
}

/** Fewer numbers are copied sooner one by one. */
const FEW = 64;

function copy(from: FloatArray, start: number, to: FloatArray, at: number, count: number): void {
  if (count > FEW) to.set(from.subarray(start, start + count), at);
  else for (let i = 0; i < count; i++) to[at + i] = from[start + i];
}
