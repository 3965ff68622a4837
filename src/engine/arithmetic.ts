/**
 * Arithmetic over some kind of number, so that every formula of the engine is written once.
 *
 * The activations, losses, optimizers and elementary functions are generic functions of an `Arithmetic<T, M>`.
 * Three kinds of `T` exist: a JavaScript number rounded to float64 (the specification), a number rounded to float32
 * after every operation (the specification of the float32 engine), and an expression that the WebAssembly emitter turns
 * into SIMD lanes. Whatever holds for one formula therefore holds for every back end, bit for bit in strict arithmetic.
 *
 * `T` is a number or a vector of lanes, `M` the result of a comparison. Every operation rounds its result once.
 */
export interface Arithmetic<T, M> {
  readonly precision: 'float32' | 'float64';

  constant(value: number): T;
  add(a: T, b: T): T;
  sub(a: T, b: T): T;
  mul(a: T, b: T): T;
  div(a: T, b: T): T;
  sqrt(a: T): T;
  neg(a: T): T;
  abs(a: T): T;
  /** a·b + c: fused (one rounding) in fused arithmetic, two roundings in strict arithmetic and in both references. */
  mulAdd(a: T, b: T, c: T): T;

  /** The smaller of two; NaN in either operand must come out as NaN. */
  minimum(a: T, b: T): T;
  /** The larger of two; NaN in either operand must come out as NaN. */
  maximum(a: T, b: T): T;

  less(a: T, b: T): M;
  lessOrEqual(a: T, b: T): M;
  equal(a: T, b: T): M;
  /** `ifTrue` where the mask holds, else `ifFalse`. Both sides are always evaluated: no side may trap or be wrong elsewhere. */
  select(mask: M, ifTrue: T, ifFalse: T): T;

  /** Nearest integer, ties to even. */
  nearest(a: T): T;
  /** a·2^n for an integer-valued n with 2^n a normal number; exact unless the result is subnormal or overflows. */
  scale(a: T, n: T): T;
  /** Unbiased exponent field of a normal positive a, as an integer-valued number: 8 → 3, 0.75 → -1. */
  exponent(a: T): T;
  /** Significand of a normal positive a, in [1, 2): a = mantissa·2^exponent. */
  mantissa(a: T): T;
}
