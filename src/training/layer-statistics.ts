/** What the layers look like at one step: weights, gradients, updates and activations in a few numbers each. */
import type { BackendState, Data, FloatArray, Plan, PlannedLayer, TrainingSetup } from '../engine/backend.ts';
import { free } from '../engine/free.ts';
import { gatherRows, targetsPerRow } from '../engine/reference/backend.ts';
import { backward } from '../engine/reference/backward.ts';
import { simulatedRules } from '../engine/reference/bugs.ts';
import { forward } from '../engine/reference/forward.ts';
import { arrayOf, createPass, type LayerPass, type Pass } from '../engine/reference/pass.ts';
import { correctRules } from '../engine/reference/rules.ts';
import { type TensorStatistics, tensorStatistics } from './tensor-statistics.ts';

/** The tensors of a layer that are measured. */
export const measuredTensors = {
  weights: 'The weights before the step.',
  gradients:
    'The gradients of the weights on the sampled rows, before clipping and decay, l1 and l2 terms included, from the plain reference.',
  updates: 'What the step added to the weights.',
  activations: 'The outputs of the layer on the sampled rows, before dropout.',
} as const;
export type MeasuredTensor = keyof typeof measuredTensors;

/** What is said about each of them. */
export const tensorFigures = {
  abs_max: 'The largest magnitude.',
  mean: 'The mean.',
  std: 'The population standard deviation.',
} as const satisfies Partial<Record<keyof TensorStatistics, string>>;
export type TensorFigure = keyof typeof tensorFigures;

interface LayerFigureEntry {
  readonly description: string;
  /** Layers for which it means something. */
  applies(layer: PlannedLayer): boolean;
}

/** What is said about a layer as a whole. */
export const layerFigures = {
  update_ratio: {
    description: '‖update‖₂ / ‖weights‖₂ of the step; about 0.001 is healthy.',
    applies: () => true,
  },
  dead_fraction: {
    description: 'Share of the units that are exactly 0 on every sampled row; only for activations of the relu family.',
    applies: ({ activation }) => activation.entry.relu_family,
  },
  saturated_fraction: {
    description:
      'Share of the activations within 1 % of an end of their range; only for sigmoid, tanh and others with two ends.',
    applies: ({ activation: { entry } }) =>
      entry.kind === 'elementwise' && Number.isFinite(entry.range.minimum) && Number.isFinite(entry.range.maximum),
  },
} as const satisfies Record<string, LayerFigureEntry>;
export type LayerFigure = keyof typeof layerFigures;

/** Part of the range, at each of its ends, in which an activation counts as saturated. */
const saturatedPart = 0.01;

/** The figures of one layer at one step. */
export interface LayerFrame {
  readonly tensors: Readonly<Record<MeasuredTensor, Readonly<Record<TensorFigure, number>>>>;
  /** Null where the figure does not apply to the layer. */
  readonly figures: Readonly<Record<LayerFigure, number | null>>;
}

/** One step, looked at. */
export interface Frame {
  /** 1-based number of the frame in its run. */
  readonly number: number;
  readonly step: number;
  /** Rows of the batch that were carried through the reference. */
  readonly rows: number;
  readonly layers: readonly LayerFrame[];
}

/** The step that a frame is about, before it is carried out. */
export interface ObservedStep {
  readonly step: number;
  readonly learning_rate: number;
  /** All rows of its batch. */
  readonly batch: Uint32Array;
  /** Read, and perhaps overwritten, by `begin`. */
  readonly before: Pick<BackendState, 'parameters' | 'statistics'>;
}

/** What is known of a layer before the update. */
interface LayerLook {
  readonly layer: PlannedLayer;
  readonly tensors: Readonly<Record<Exclude<MeasuredTensor, 'updates'>, TensorStatistics>>;
  readonly figures: Readonly<Record<Exclude<LayerFigure, 'update_ratio'>, number>>;
}

/** A look that has begun. */
interface Look {
  readonly step: number;
  readonly rows: number;
  readonly layers: readonly LayerLook[];
  readonly parameters: FloatArray;
}

/** What a look is broken off by. */
class BrokenOff extends Error {}

/** Storage of networks with larger parameters is not kept from one look to the next, which is far away. */
const keptBytes = 2 ** 20;

/** Looks at single steps of a run, with storage that is used again: `begin` before the step, `end` after it. */
export class LayerProbe {
  readonly #plan: Plan;
  readonly #setup: Pick<TrainingSetup, 'seed' | 'simulate_bug'>;
  readonly #data: Data;
  readonly #rows: number;
  #pass: Pass | null = null;
  #look: Look | null = null;

  /** @param rows the most rows of a batch that are carried through the reference */
  constructor(plan: Plan, setup: Pick<TrainingSetup, 'seed' | 'simulate_bug'>, data: Data, rows: number) {
    this.#plan = plan;
    this.#setup = setup;
    this.#data = data;
    this.#rows = rows;
  }

  /**
   * False, and nothing has begun, where `isWanted` says on the way that the thread is wanted elsewhere: for a large network
   * a look takes seconds.
   */
  begin(observed: ObservedStep, isWanted: () => boolean = () => false): boolean {
    const goOn = () => {
      if (isWanted()) throw new BrokenOff();
    };
    try {
      this.#begin(observed, goOn);
      return true;
    } catch (thrown) {
      if (!(thrown instanceof BrokenOff)) throw thrown;
      if (this.#pass !== null) this.#letGo(this.#pass.gradients);
      return false;
    }
  }

  #begin(observed: ObservedStep, goOn: () => void): void {
    const pass = this.#carry(observed, goOn);
    const layers = pass.layers.map((layer) => layerLook(layer, pass, goOn));
    // Nobody needs the gradients any more, so the update is measured against a copy in their place.
    const parameters = pass.gradients;
    parameters.set(pass.parameters);
    this.#look = { step: observed.step, rows: pass.rows, layers, parameters };
  }

  /**
   * What the step that was begun with has done.
   * @param after the parameters; overwritten
   */
  end(after: FloatArray): Omit<Frame, 'number'> {
    if (this.#look === null) throw new Error('no look has begun');
    const { step, rows, layers, parameters } = this.#look;
    for (let i = 0; i < after.length; i++) after[i] -= parameters[i];
    this.#look = null;
    this.#letGo(parameters);
    return { step, rows, layers: layers.map((look) => layerFrame(look, after)) };
  }

  /** @param largest of the arrays of the pass */
  #letGo(largest: FloatArray): void {
    if (largest.byteLength <= keptBytes) return;
    free(largest);
    this.#pass = null;
  }

  /** Forward and backward over the first rows of the batch, from the parameters before the step. */
  #carry({ step, learning_rate, batch, before }: ObservedStep, goOn: () => void): Pass {
    const { seed, simulate_bug: bug } = this.#setup;
    const rows = batch.subarray(0, this.#rows);
    const pass = this.#passOf(rows.length, batch.length);
    gatherRows(this.#data, rows, pass);
    if (pass.row_weights !== null) this.#weigh(pass.row_weights, batch.length / rows.length);
    pass.parameters = before.parameters;
    pass.statistics = before.statistics;
    pass.between_rows = goOn;
    const rules = bug === undefined ? correctRules : simulatedRules([bug], this.#plan, learning_rate);
    forward(pass, { seed, step }, rules);
    backward(pass, rules);
    return pass;
  }

  /** Of a loss that is summed over the batch each sampled row stands for several. */
  #weigh(weights: FloatArray, times: number): void {
    const stands = this.#plan.reduction === 'sum' ? times : 1;
    for (let i = 0; i < weights.length; i++) weights[i] = stands * (this.#data.weights === undefined ? 1 : weights[i]);
  }

  /** A pass for so many rows. */
  #passOf(rows: number, batch: number): Pass {
    if (this.#pass?.rows === rows) return this.#pass;
    const FloatArrayOf = arrayOf(this.#plan.precision);
    const pass = createPass(this.#plan, rows);
    pass.inputs = new FloatArrayOf(rows * this.#plan.input_size);
    pass.targets = new FloatArrayOf(rows * targetsPerRow(this.#plan));
    const standsForMore = this.#plan.reduction === 'sum' && rows < batch;
    if (this.#data.weights !== undefined || standsForMore) pass.row_weights = new FloatArrayOf(rows);
    this.#pass = pass;
    return pass;
  }
}

function layerLook(layerPass: LayerPass, { parameters, gradients, rows }: Pass, goOn: () => void): LayerLook {
  const { layer, activations } = layerPass;
  const { offset, length } = layer.weights;
  const ofWeights = (values: FloatArray) => {
    goOn();
    return tensorStatistics(values, offset, length);
  };
  return {
    layer,
    tensors: {
      weights: ofWeights(parameters),
      gradients: ofWeights(gradients),
      activations: tensorStatistics(activations),
    },
    figures: { dead_fraction: deadFraction(layerPass, rows), saturated_fraction: saturatedFraction(layerPass) },
  };
}

function layerFrame({ layer, tensors, figures: known }: LayerLook, difference: FloatArray): LayerFrame {
  const { weights, gradients, activations } = tensors;
  const updates = tensorStatistics(difference, layer.weights.offset, layer.weights.length);
  const figures = { ...known, update_ratio: rootMeanSquare(updates) / rootMeanSquare(weights) };
  return {
    tensors: { weights, gradients, updates, activations },
    figures: Object.fromEntries(
      Object.entries<LayerFigureEntry>(layerFigures).map(([name, { applies }]) => [
        name,
        applies(layer) ? figures[name as LayerFigure] : null,
      ]),
    ) as LayerFrame['figures'],
  };
}

/** √(Σx²/n) */
export const rootMeanSquare = ({ mean, std }: Pick<TensorStatistics, 'mean' | 'std'>): number => Math.hypot(mean, std);

/** Share of the units that are exactly 0 on every row. */
export function deadFraction({ activations, layer: { units } }: LayerPass, rows: number): number {
  let dead = 0;
  for (let unit = 0; unit < units; unit++) {
    let row = 0;
    while (row < rows && activations[row * units + unit] === 0) row += 1;
    if (row === rows) dead += 1;
  }
  return dead / units;
}

/** Share of the activations within 1 % of an end of their range. */
export function saturatedFraction({ activations, layer }: LayerPass): number {
  const { minimum, maximum } = layer.activation.entry.range;
  const margin = saturatedPart * (maximum - minimum);
  let saturated = 0;
  for (const value of activations) if (value < minimum + margin || value > maximum - margin) saturated += 1;
  return saturated / activations.length;
}
