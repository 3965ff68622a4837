/** What a client defines and the engine computes: the types behind the wire's network and training schemas. */
import type { ActivationSpec } from './activations.ts';
import type { InitializerSpec } from './initializers.ts';
import type { LossSpec } from './losses.ts';
import type { OptimizerSpec } from './optimizers.ts';

export const precisions = ['float32', 'float64'] as const;
export type Precision = (typeof precisions)[number];

/** `fused`: multiply-add with one rounding where the CPU has it. `strict`: multiply, then add; the same bits on every machine. */
export const arithmetics = ['fused', 'strict'] as const;
export type ArithmeticMode = (typeof arithmetics)[number];

export const reductions = ['mean', 'batch_mean', 'sum'] as const;
export type Reduction = (typeof reductions)[number];

export interface BatchNormOptions {
  /** Added to the variance under the root. */
  readonly epsilon?: number | undefined;
  /** Weight of the newest batch in the running statistics (PyTorch's sense). */
  readonly momentum?: number | undefined;
}

export interface LayerNormOptions {
  readonly epsilon?: number | undefined;
}

/** z = W·a + b, then batch_norm or layer_norm over z, then the activation, then dropout. */
export interface LayerDefinition {
  readonly units: number;
  readonly activation?: ActivationSpec | undefined;
  readonly initializer?: InitializerSpec | undefined;
  readonly use_bias?: boolean | undefined;
  /** Probability that an output of this layer is set to 0 while training; the others are divided by 1 − dropout. */
  readonly dropout?: number | undefined;
  /** Adds l1·Σ|w| over this layer's weights to the loss. */
  readonly l1?: number | undefined;
  /** Adds l2·Σw² over this layer's weights to the loss. */
  readonly l2?: number | undefined;
  readonly batch_norm?: boolean | BatchNormOptions | undefined;
  readonly layer_norm?: boolean | LayerNormOptions | undefined;
}

export interface NetworkDefinition {
  readonly input_size: number;
  readonly layers: readonly LayerDefinition[];
  readonly loss: LossSpec;
  readonly precision?: Precision | undefined;
}

/** Global norm: c = max_norm / (‖g‖₂ + epsilon), applied when c < 1. Value: every entry clamped to ±max_value. */
export type ClipGradients =
  | { readonly max_norm: number; readonly epsilon?: number | undefined }
  | { readonly max_value: number };

/** What shapes one update besides the batch and the learning rate. */
export interface UpdateRule {
  readonly optimizer: OptimizerSpec;
  readonly clip_gradients?: ClipGradients | undefined;
}

/** The wire's shape of parameters and gradients: `weights[unit][input]`. */
export interface LayerParameters {
  readonly weights: readonly (readonly number[])[];
  readonly biases?: readonly number[] | undefined;
  /** batch_norm and layer_norm: scale and shift per unit. */
  readonly gamma?: readonly number[] | undefined;
  readonly beta?: readonly number[] | undefined;
  /** batch_norm: the statistics that prediction uses; not trained by gradients. */
  readonly running_mean?: readonly number[] | undefined;
  readonly running_variance?: readonly number[] | undefined;
}

export interface Parameters {
  readonly layers: readonly LayerParameters[];
}
