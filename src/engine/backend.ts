/** The one interface between a training run and whatever computes it: the reference or a compiled back end. */
import type { Activation } from './activations.ts';
import type { ArithmeticMode, Precision, Reduction, UpdateRule } from './definition.ts';
import type { Loss } from './losses.ts';
import type { Resolved } from './options.ts';

export type FloatArray = Float32Array | Float64Array;

/** A tensor inside a flat buffer, row-major. */
export interface TensorSlice {
  readonly offset: number;
  readonly length: number;
  readonly shape: readonly number[];
}

export interface PlannedNormalization {
  readonly kind: 'batch_norm' | 'layer_norm';
  readonly epsilon: number;
  /** batch_norm only. */
  readonly momentum: number;
  readonly gamma: TensorSlice;
  readonly beta: TensorSlice;
  /** Slices of the statistics buffer; batch_norm only. */
  readonly running_mean: TensorSlice | null;
  readonly running_variance: TensorSlice | null;
}

export interface PlannedLayer {
  /** 1-based, as messages to people count layers. */
  readonly number: number;
  readonly input_size: number;
  readonly units: number;
  readonly activation: Resolved<Activation>;
  readonly dropout: number;
  readonly l1: number;
  readonly l2: number;
  /** Slices of the parameter buffer. `weights` has the shape [units, input_size]. */
  readonly weights: TensorSlice;
  readonly biases: TensorSlice | null;
  readonly normalization: PlannedNormalization | null;
}

/** A definition with every name looked up, every default filled in and every tensor given its place. */
export interface Plan {
  readonly precision: Precision;
  readonly input_size: number;
  readonly output_size: number;
  readonly layers: readonly PlannedLayer[];
  readonly loss: Resolved<Loss>;
  readonly reduction: Reduction;
  /** Trained values: per layer weights, biases, gamma, beta, in this order. */
  readonly parameter_count: number;
  /** Untrained values: running means and variances. */
  readonly statistic_count: number;
}

/** Rows of a data set. `inputs` is rows × input_size; `targets` rows × output_size, or one label per row for sparse losses. */
export interface Data {
  readonly rows: number;
  readonly inputs: FloatArray;
  readonly targets: FloatArray;
  /** One weight per row (class or sample weights), multiplied into the row's loss; absent means 1. */
  readonly weights?: FloatArray | undefined;
}

export interface TrainingSetup extends UpdateRule {
  readonly arithmetic: ArithmeticMode;
  readonly batch_size: number;
  /** Keys dropout: the same seed and step drop the same units on every back end. */
  readonly seed: number;
  /** A bug of bugs.md put in on purpose; only the reference carries these out. */
  readonly simulate_bug?: string | undefined;
}

/**
 * A run of consecutive steps. The rows of `order` are cut into epochs of `epoch_rows` (a whole number of them, or one
 * part of an epoch when `epoch_rows === order.length`) and each epoch into batches of `batch_size`, the last may be short.
 */
export interface TrainingBlock {
  readonly order: Uint32Array;
  readonly epoch_rows: number;
  /** 1-based number of the block's first step in the whole run. */
  readonly first_step: number;
  /** One per step of the block. */
  readonly learning_rates: Float64Array;
  /** Where the losses are to be written, as long as the block and in the plan's precision; absent: in an array of their own. */
  readonly losses?: FloatArray | undefined;
  /** Non-zero at `control[0]` ends the block after the step under way; a first step that takes long is taken back instead. */
  readonly control?: Int32Array | undefined;
}

export const quantities = ['pre_activation', 'activation', 'loss', 'gradient', 'parameters'] as const;
export type Quantity = (typeof quantities)[number];

/** The first value that left the finite numbers, in the order forward layer 1..L, loss, gradient L..1, parameters. */
export interface Divergence {
  readonly step: number;
  readonly quantity: Quantity;
  /** 1-based; absent for the loss. */
  readonly layer?: number;
  readonly tensor?: 'weights' | 'biases' | 'gamma' | 'beta';
  /** Index into the tensor: [sample, unit] for activations, [unit, input] for weights, [unit] for biases. */
  readonly index?: readonly number[];
  readonly value: number;
}

export interface BlockResult {
  /** Steps whose update was carried out in full. */
  readonly steps_done: number;
  /**
   * Loss of each done step on its batch, before its update, in the plan's precision; on divergence also the diverging
   * step's loss, if it was reached.
   */
  readonly losses: FloatArray;
  readonly divergence: Divergence | null;
}

/** All that the next step depends on, besides setup and data; copying it in and out must not change a bit. */
export interface BackendState {
  readonly parameters: FloatArray;
  readonly statistics: FloatArray;
  /** Optimizer moments, each as long as the parameters. */
  readonly slots: readonly FloatArray[];
  /** Running products and counters of the optimizer (β1^t, …), always float64. */
  readonly scalars: Float64Array;
}

/** One network in training or ready to predict, with its parameters. */
export interface Backend {
  readonly name: 'reference' | 'wasm';
  /** Whether its multiply-adds round once. All back ends that agree in this train to the same bits. */
  readonly fused: boolean;
  readonly plan: Plan;
  /** How many threads carried out the last step. */
  readonly threads: number;
  /**
   * Carries out a block of steps on the training data given at creation. When one diverges, the state stays that before
   * it, to the bit.
   */
  train(block: TrainingBlock): BlockResult;
  /** Outputs of the network in inference mode: rows × output_size. */
  predict(inputs: FloatArray, rows: number): FloatArray;
  /** Mean loss over rows in inference mode, with the plan's reduction, l1/l2 terms left out. */
  evaluate(data: Data): number;
  /** A copy of the whole state. */
  state(): BackendState;
  /** As `state`, to be read or overwritten at once: its arrays may lie in memory that the next call of any method needs. */
  peek(): BackendState;
  restore(state: BackendState): void;
}
