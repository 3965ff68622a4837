/** The numerical reference data in test/golden, translated to the engine's own names. */
import { readFileSync } from 'node:fs';
import type { ActivationSpec } from '../../../src/engine/activations.ts';
import type { Data, Plan } from '../../../src/engine/backend.ts';
import type { ClipGradients, NetworkDefinition, Reduction } from '../../../src/engine/definition.ts';
import type { LossName, LossSpec } from '../../../src/engine/losses.ts';
import type { OptimizerSpec } from '../../../src/engine/optimizers.ts';
import { fromWire } from '../../../src/engine/parameters.ts';
import type { ScheduleSpec } from '../../../src/engine/schedules.ts';
import { numbers } from '../compare.ts';

/** A number, or "NaN", "Infinity", "-Infinity". */
export type Value = number | string;
export type Matrix = readonly (readonly number[])[];

export interface GoldenLayer {
  readonly in: number;
  readonly out: number;
  readonly activation: string;
  readonly negative_slope?: number;
  readonly alpha?: number;
}

export interface GoldenLoss {
  readonly name: string;
  readonly reduction: string;
  readonly delta?: number;
}

export interface GoldenNetwork {
  readonly id: string;
  readonly layers: readonly GoldenLayer[];
  readonly loss: GoldenLoss;
  readonly x: Matrix;
  readonly y: Matrix | readonly number[];
  readonly weights: readonly Matrix[];
  readonly biases: Matrix;
}

/** What a gradient case says of its network. */
export interface GradientTruth {
  readonly loss: number;
  readonly outputs: Matrix;
  readonly grad_weights: readonly Matrix[];
  readonly grad_biases: Matrix;
}

export interface GoldenClip {
  readonly name: string;
  readonly max_norm?: number;
  readonly max_value?: number;
  readonly eps?: number;
}

export interface TracedStep {
  readonly step: number;
  readonly epoch: number;
  readonly batch: readonly number[];
  readonly lr: number;
  readonly loss: number;
  readonly grad_norm: number;
  readonly weights: readonly Matrix[];
  readonly biases: Matrix;
}

export interface Trace extends GoldenNetwork {
  readonly what: string;
  readonly optimizer: { readonly name: string; readonly lr: number };
  readonly clip?: GoldenClip | null;
  readonly schedule?: readonly ScheduleSpec[] | null;
  readonly steps: readonly TracedStep[];
  readonly final: { readonly loss_full_batch: number; readonly outputs: Matrix };
  readonly optimizer_state_after_last_step?: Readonly<
    Record<string, number | { weights: readonly Matrix[]; biases: Matrix }>
  >;
}

export function readGolden<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`../../golden/${name}`, import.meta.url), 'utf8')) as T;
}

const lossNames: Readonly<Record<string, string>> = {
  mse: 'mean_squared_error',
  mae: 'mean_absolute_error',
  huber: 'huber',
  bce: 'binary_cross_entropy',
  cce: 'categorical_cross_entropy',
  sparse_cce: 'sparse_categorical_cross_entropy',
};

export const reductionNames: Readonly<Record<string, Reduction>> = {
  mean_all: 'mean',
  sum_outputs_mean_batch: 'batch_mean',
  sum_all: 'sum',
};

const optionNames: Readonly<Record<string, string>> = {
  lr: 'learning_rate',
  eps: 'epsilon',
  lr_decay: 'learning_rate_decay',
};

function renamed(object: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [optionNames[key] ?? key, value]));
}

export const optimizerOf = (golden: object) => renamed(golden) as unknown as OptimizerSpec;

export function clipOf(clip: GoldenClip | null | undefined): ClipGradients | undefined {
  if (!clip) return undefined;
  if (clip.max_value !== undefined) return { max_value: clip.max_value };
  return { max_norm: clip.max_norm ?? Number.NaN, epsilon: clip.eps };
}

export function definitionOf(golden: Pick<GoldenNetwork, 'layers' | 'loss'>, reduction?: Reduction): NetworkDefinition {
  const { name, reduction: goldenReduction, ...options } = golden.loss;
  return {
    input_size: golden.layers[0].in,
    layers: golden.layers.map(({ out, activation, in: _inputs, ...own }) => ({
      units: out,
      activation: { name: activation, ...own } as unknown as ActivationSpec,
    })),
    loss: {
      name: lossNames[name] as LossName,
      reduction: reduction ?? reductionNames[goldenReduction],
      ...options,
    } as LossSpec,
    precision: 'float64',
  };
}

export function initialOf(plan: Plan, { weights, biases }: Pick<GoldenNetwork, 'weights' | 'biases'>) {
  return fromWire(plan, { layers: weights.map((matrix, layer) => ({ weights: matrix, biases: biases[layer] })) });
}

export function dataOf({ x, y }: { readonly x: Matrix; readonly y: Matrix | readonly number[] }): Data {
  return { rows: x.length, inputs: Float64Array.from(numbers(x)), targets: Float64Array.from(numbers(y)) };
}

/** Weights and biases of all layers in the order of the engine's parameter buffer. */
export function flatParameters(weights: readonly Matrix[], biases: Matrix): number[] {
  return weights.flatMap((matrix, layer) => [...matrix.flat(), ...biases[layer]]);
}
