/** Gradient clipping, by global norm or by value. NaN and infinity come out as they went in: clipping hides nothing. */
import type { Arithmetic } from './arithmetic.ts';
import type { FloatArray } from './backend.ts';
import type { ClipGradients } from './definition.ts';
import { norm } from './math/reductions.ts';

/** PyTorch's clip_grad_norm_; 0 is TensorFlow's form. */
export const DEFAULT_CLIP_EPSILON = 1e-6;

/** ‖g‖₂ over all entries, in float64 whatever the precision; see math/reductions.ts. */
export const globalNorm: (gradients: FloatArray) => number = norm;

/**
 * The factor of the gradients under `max_norm`: max_norm/(norm + epsilon), or 1 where that is not below 1.
 * For a norm that does not fit a float the factor stays 1: the gradients are not finite, and that must be seen.
 */
export function clipFactor(norm: number, maxNorm: number, epsilon: number): number {
  const factor = maxNorm / (norm + epsilon);
  return factor < 1 && norm < Infinity ? factor : 1;
}

/** Clips in place. */
export function clipGradients<M>(o: Arithmetic<number, M>, clip: ClipGradients, gradients: FloatArray): void {
  if ('max_value' in clip) clipByValue(o, clip.max_value, gradients);
  else clipByNorm(o, clip.max_norm, clip.epsilon ?? DEFAULT_CLIP_EPSILON, gradients);
}

/** c = max_norm/(‖g‖₂ + epsilon); g ← c·g where c < 1. */
function clipByNorm<M>(o: Arithmetic<number, M>, maxNorm: number, epsilon: number, gradients: FloatArray): void {
  const exact = clipFactor(globalNorm(gradients), maxNorm, epsilon);
  if (exact === 1) return;
  const factor = o.constant(exact);
  for (let i = 0; i < gradients.length; i++) gradients[i] = o.mul(factor, gradients[i]);
}

/** g ← min(max(g, −max_value), max_value); `minimum` and `maximum` pass NaN on. */
function clipByValue<M>(o: Arithmetic<number, M>, maxValue: number, gradients: FloatArray): void {
  const limit = o.constant(maxValue);
  for (let i = 0; i < gradients.length; i++) gradients[i] = o.minimum(o.maximum(gradients[i], o.neg(limit)), limit);
}
