/**
 * Mean and norm of numbers whose sum, or whose squares, may leave the range of float64 while the result does not.
 *
 * Both are first taken plainly, in index order. Only when that fails are they taken again from values scaled by a power
 * of two, which rounds nothing but subnormal numbers; so ordinary results are those of the plain formula to the bit.
 */

/** Room for the sum of 2^64 of the largest numbers. */
const HEADROOM = 2 ** -64;

/** Below it squares may have lost digits among the subnormal numbers. */
const SMALLEST_TRUSTED_SQUARE = 2 ** -900;

function scaledSum(values: ArrayLike<number>, scale: number): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i] * scale;
  return sum;
}

function scaledSquares(values: ArrayLike<number>, scale: number): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) {
    const value = values[i] * scale;
    sum += value * value;
  }
  return sum;
}

/** Σ x_i / n, finite whenever the x are; NaN of nothing. */
export function mean(values: ArrayLike<number>): number {
  const sum = scaledSum(values, 1);
  if (Number.isFinite(sum)) return sum / values.length;
  return scaledSum(values, HEADROOM) / values.length / HEADROOM;
}

/** ‖x‖₂ = √(Σ x_i²), Infinity only when it does not fit float64. */
export function norm(values: ArrayLike<number>): number {
  const squares = scaledSquares(values, 1);
  if (squares < Infinity && squares >= SMALLEST_TRUSTED_SQUARE) return Math.sqrt(squares);
  if (squares === Infinity) return Math.sqrt(scaledSquares(values, 2 ** -600)) * 2 ** 600;
  return Math.sqrt(scaledSquares(values, 2 ** 600)) * 2 ** -600;
}
