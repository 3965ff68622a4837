/**
 * Inverted dropout (Srivastava et al. 2014): while training, each output is set to 0 with the probability p and the
 * others are divided by 1 − p, so that prediction needs no change.
 */
import type { Arithmetic } from './arithmetic.ts';
import type { FloatArray } from './backend.ts';
import { randomBlock } from './prng.ts';

/** What a mask depends on, besides the index of the element in the batch. */
export interface MaskKey {
  readonly seed: number;
  /** 1-based number of the step in the whole run. */
  readonly step: number;
  /** 1-based number of the layer. */
  readonly layer: number;
}

/**
 * The factors of a layer's outputs: 0 or 1/(1 − p). mask: [rows, units], element e = row·units + unit.
 *
 * Element e takes word e mod 4 of Philox block ⌊e/4⌋ of (seed, dropout, step, layer) and is dropped where the word's
 * top 24 bits, as a fraction of 2^24, are below p: exact in float32 and float64 alike.
 */
export function dropoutMask<M>(o: Arithmetic<number, M>, p: number, key: MaskKey, mask: FloatArray): void {
  const threshold = Math.ceil(p * 2 ** 24);
  const kept = o.constant(1 / (1 - p));
  const words = new Uint32Array(4);
  for (let e = 0; e < mask.length; e++) {
    if (e % 4 === 0) randomBlock(key.seed, 'dropout', key.step, e / 4, key.layer, words);
    mask[e] = words[e % 4] >>> 8 < threshold ? 0 : kept;
  }
}

/** out = a·mask. All [rows, units]. */
export function dropoutForward<M>(o: Arithmetic<number, M>, a: FloatArray, mask: FloatArray, out: FloatArray): void {
  for (let e = 0; e < mask.length; e++) out[e] = o.mul(a[e], mask[e]);
}

/** dLoss/da from dLoss/dout, in place. */
export function dropoutBackward<M>(o: Arithmetic<number, M>, gradient: FloatArray, mask: FloatArray): void {
  // out = a·mask
  for (let e = 0; e < mask.length; e++) gradient[e] = o.mul(gradient[e], mask[e]);
}
