/**
 * Normalization of the pre-activations: y = γ·(z − mean)/√(variance + ε) + β.
 *
 * batch_norm (Ioffe, Szegedy 2015) takes mean and variance of each unit over the batch, layer_norm (Ba et al. 2016) of
 * each sample over the units. Both are one function over "groups": a group is the set of entries normalised together.
 */
import type { Arithmetic } from './arithmetic.ts';
import type { FloatArray, PlannedNormalization } from './backend.ts';

/** What the backward pass needs of the forward pass. */
export interface NormalizationCache {
  /** (z − mean)/√(variance + ε), [rows, units]. */
  readonly normalized: FloatArray;
  /** Per group: mean, biased variance and 1/√(variance + ε). */
  readonly mean: FloatArray;
  readonly variance: FloatArray;
  readonly inverse_deviation: FloatArray;
}

/** Entry i of group g lies at g·group + i·entry: units are the groups of batch_norm, samples those of layer_norm. */
interface Grouping {
  readonly groups: number;
  readonly size: number;
  readonly group: number;
  readonly entry: number;
}

function groupingOf(kind: PlannedNormalization['kind'], rows: number, units: number): Grouping {
  if (kind === 'batch_norm') return { groups: units, size: rows, group: 1, entry: units };
  return { groups: rows, size: units, group: units, entry: 1 };
}

type Shape = readonly [rows: number, units: number];

/** Mean and biased variance of every group, entries ascending, two passes: Σ(z − mean)²/size cannot cancel. */
function groupMoments<M>(o: Arithmetic<number, M>, z: FloatArray, by: Grouping, cache: NormalizationCache): void {
  const size = o.constant(by.size);
  for (let g = 0; g < by.groups; g++) {
    let sum = 0;
    for (let i = 0; i < by.size; i++) sum = o.add(sum, z[g * by.group + i * by.entry]);
    const mean = o.div(sum, size);
    let squares = 0;
    for (let i = 0; i < by.size; i++) {
      const deviation = o.sub(z[g * by.group + i * by.entry], mean);
      squares = o.mulAdd(deviation, deviation, squares);
    }
    cache.mean[g] = mean;
    cache.variance[g] = o.div(squares, size);
  }
}

/** 1/√(variance + ε) of every group. */
function inverseDeviations<M>(
  o: Arithmetic<number, M>,
  epsilon: number,
  groups: number,
  cache: NormalizationCache,
): void {
  for (let g = 0; g < groups; g++) {
    const shifted = o.add(cache.variance[g], o.constant(epsilon));
    cache.inverse_deviation[g] = o.div(o.constant(1), o.sqrt(shifted));
  }
}

/** Storage for [rows, units] of a layer. */
export function normalizationCache(
  layer: PlannedNormalization,
  FloatArrayOf: new (length: number) => FloatArray,
  [rows, units]: Shape,
): NormalizationCache {
  const { groups } = groupingOf(layer.kind, rows, units);
  return {
    normalized: new FloatArrayOf(rows * units),
    mean: new FloatArrayOf(groups),
    variance: new FloatArrayOf(groups),
    inverse_deviation: new FloatArrayOf(groups),
  };
}

/**
 * y = γ·n + β with n = (z − mean)·1/√(variance + ε). z, y: [rows, units]; gamma and beta are slices of `parameters`.
 * With `statistics`, batch_norm uses its running mean and variance (prediction) instead of the batch's (training).
 */
export function normalizeForward<M>(
  o: Arithmetic<number, M>,
  layer: PlannedNormalization,
  z: FloatArray,
  parameters: FloatArray,
  statistics: FloatArray | null,
  cache: NormalizationCache,
  y: FloatArray,
  [rows, units]: Shape,
): void {
  const by = groupingOf(layer.kind, rows, units);
  if (statistics !== null && layer.running_mean !== null && layer.running_variance !== null) {
    for (let unit = 0; unit < units; unit++) {
      cache.mean[unit] = statistics[layer.running_mean.offset + unit];
      cache.variance[unit] = statistics[layer.running_variance.offset + unit];
    }
  } else groupMoments(o, z, by, cache);
  inverseDeviations(o, layer.epsilon, by.groups, cache);
  for (let e = 0; e < rows * units; e++) {
    const unit = e % units;
    const g = layer.kind === 'batch_norm' ? unit : (e - unit) / units;
    const n = o.mul(o.sub(z[e], cache.mean[g]), cache.inverse_deviation[g]);
    cache.normalized[e] = n;
    y[e] = o.mulAdd(parameters[layer.gamma.offset + unit], n, parameters[layer.beta.offset + unit]);
  }
}

/**
 * dLoss/dz from dLoss/dy, in place, for statistics taken of z itself; dγ and dβ go to `gradients`.
 *
 * dn = γ·dy; dz = (dn − mean(dn) − n·mean(dn·n))/√(variance + ε), means over the group.
 */
export function normalizeBackward<M>(
  o: Arithmetic<number, M>,
  layer: PlannedNormalization,
  gradient: FloatArray,
  parameters: FloatArray,
  cache: NormalizationCache,
  gradients: FloatArray,
  [rows, units]: Shape,
): void {
  // y = γ·n + β
  for (let unit = 0; unit < units; unit++) {
    let [scale, shift] = [0, 0];
    for (let e = unit; e < rows * units; e += units) {
      scale = o.mulAdd(gradient[e], cache.normalized[e], scale);
      shift = o.add(shift, gradient[e]);
      gradient[e] = o.mul(gradient[e], parameters[layer.gamma.offset + unit]);
    }
    gradients[layer.gamma.offset + unit] = scale;
    gradients[layer.beta.offset + unit] = shift;
  }
  // n = (z − mean(z))/√(variance(z) + ε)
  const by = groupingOf(layer.kind, rows, units);
  const size = o.constant(by.size);
  for (let g = 0; g < by.groups; g++) {
    let [sum, projection] = [0, 0];
    for (let i = 0; i < by.size; i++) {
      const e = g * by.group + i * by.entry;
      sum = o.add(sum, gradient[e]);
      projection = o.mulAdd(gradient[e], cache.normalized[e], projection);
    }
    const mean = o.div(sum, size);
    const along = o.div(projection, size);
    for (let i = 0; i < by.size; i++) {
      const e = g * by.group + i * by.entry;
      const centered = o.sub(o.sub(gradient[e], mean), o.mul(cache.normalized[e], along));
      gradient[e] = o.mul(centered, cache.inverse_deviation[g]);
    }
  }
}

/**
 * The running statistics after a training batch, written to `next`: running ← (1 − momentum)·running + momentum·batch,
 * the variance unbiased (rows/(rows − 1)) as in PyTorch; a batch of one row has no unbiased variance and counts as 0.
 */
export function updateRunning<M>(
  o: Arithmetic<number, M>,
  layer: PlannedNormalization,
  cache: NormalizationCache,
  statistics: FloatArray,
  next: FloatArray,
  [rows, units]: Shape,
): void {
  if (layer.running_mean === null || layer.running_variance === null) return;
  const keep = o.constant(1 - layer.momentum);
  const take = o.constant(layer.momentum);
  const unbias = o.constant(rows / Math.max(rows - 1, 1));
  for (let unit = 0; unit < units; unit++) {
    const m = layer.running_mean.offset + unit;
    const v = layer.running_variance.offset + unit;
    next[m] = o.mulAdd(keep, statistics[m], o.mul(take, cache.mean[unit]));
    next[v] = o.mulAdd(keep, statistics[v], o.mul(take, o.mul(unbias, cache.variance[unit])));
  }
}
