/**
 * The largest curvature of the loss, and with it the learning rate above which gradient descent cannot be stable.
 *
 * Power iteration on the Hessian, whose product with a direction v is taken by central differences of the gradient:
 * H·v ≈ (g(p + h·v) − g(p − h·v)) / 2h. For a quadratic loss, descent along an eigenvector with curvature λ multiplies
 * the distance by 1 − η·λ per step, so it grows where η > 2/λ; with momentum μ where η > 2(1 + μ)/λ, and with
 * nesterov where η > 2(1 + μ)/(λ(1 + 2μ)) (Goh 2017, "Why momentum really works").
 */
import type { Data, FloatArray, Plan } from '../../engine/backend.ts';
import { norm } from '../../engine/math/reductions.ts';
import { type OptimizerSpec, resolveOptimizer } from '../../engine/optimizers.ts';
import { normal } from '../../engine/prng.ts';
import { sampleGradients } from './sample.ts';

/** Small networks can afford to tell apart curvatures that are nearly equal. */
const iterationsFor = (parameters: number): number => Math.max(30, Math.min(200, Math.floor(2e6 / parameters)));
/** Estimates that differ by less are the same. */
const tolerance = 1e-6;
/** A curvature that is less than the growth by this part is not the largest in size. */
const nearlyEqual = 1e-2;

type Values = { readonly parameters: FloatArray; readonly statistics: FloatArray };

/**
 * λ_max of the Hessian of the loss over the rows; null where gradients are not finite. Never above the truth but for
 * rounding: power iteration approaches it from below.
 * @param plan in float64, without dropout
 */
export function largestCurvature(plan: Plan, values: Values, data: Data): number | null {
  const parameters = Float64Array.from(values.parameters);
  const gradient = (p: Float64Array) =>
    sampleGradients(plan, { parameters: p, statistics: values.statistics }, data).pass.gradients;
  // Small beside the parameters, so that few corners of relu units are crossed; large beside the rounding of gradients.
  const h = 1e-5 * Math.max(1, norm(parameters) / Math.sqrt(parameters.length));
  const product = (v: Float64Array) => {
    const above = gradient(parameters.map((p, i) => p + h * v[i]));
    const below = gradient(parameters.map((p, i) => p - h * v[i]));
    return Float64Array.from(above, (g, i) => (g - below[i]) / (2 * h));
  };
  const first = iterate(product, parameters.length, 0);
  if (first === null || first.curvature >= (1 - nearlyEqual) * first.radius) return first?.curvature ?? null;
  // Negative curvatures are as large: all of them shifted up by the radius, the largest positive one comes first.
  return iterate(product, parameters.length, -first.radius)?.curvature ?? null;
}

/** The last direction of a power iteration on H − shift: its curvature, and the factor by which it grew. */
function iterate(product: (v: Float64Array) => Float64Array, size: number, shift: number) {
  let v = unit(Float64Array.from({ length: size }, (_, i) => normal(0, 'audit', 2, i)));
  let found = { curvature: 0, radius: 0 };
  for (let i = 0; i < iterationsFor(size); i++) {
    const image = product(v);
    const curvature = image.reduce((sum, x, k) => sum + x * v[k], 0);
    if (!Number.isFinite(curvature)) return null;
    const shifted = image.map((x, k) => x - shift * v[k]);
    const radius = norm(shifted);
    const settled = i > 3 && Math.abs(curvature - found.curvature) <= tolerance * radius;
    found = { curvature, radius };
    if (settled || radius === 0) break;
    v = unit(shifted);
  }
  return found;
}

function unit(v: Float64Array): Float64Array {
  const length = norm(v);
  return v.map((x) => x / length);
}

/** Rates above this are unstable where the curvature is λ; null for optimizers that scale their steps themselves. */
export function rateBound(spec: OptimizerSpec, curvature: number): number | null {
  const { name, options } = resolveOptimizer(spec);
  if (name !== 'sgd' || !(curvature > 0)) return null;
  const momentum = Number(options.momentum);
  return (2 * (1 + momentum)) / (curvature * (options.nesterov ? 1 + 2 * momentum : 1));
}
