/** Polynomials by Horner's rule. */
import type { Arithmetic } from '../arithmetic.ts';

/** Σ c[k]·x^k, lowest power first, one multiply-add per degree. */
export function polynomial<T, M>(o: Arithmetic<T, M>, x: T, coefficients: readonly number[]): T {
  let sum = o.constant(coefficients[coefficients.length - 1]);
  for (let k = coefficients.length - 2; k >= 0; k--) sum = o.mulAdd(sum, x, o.constant(coefficients[k]));
  return sum;
}

/** What a function needs to know per precision. */
export type PerPrecision<V> = Readonly<Record<'float32' | 'float64', V>>;
