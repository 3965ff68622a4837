/**
 * Vectors of lanes: an `Arithmetic` whose numbers are instructions yet to be emitted.
 *
 * A formula written for any `Arithmetic` builds a graph here; equal subexpressions are one node, and constants sit in
 * locals set before any loop. Lane by lane the results are the bits of `float32` and `float64` in strict arithmetic,
 * apart from the payload of a NaN.
 */
import type { Arithmetic } from '../arithmetic.ts';
import type { ArithmeticMode, Precision } from '../definition.ts';
import { float32 } from '../math/float32.ts';
import { float64 } from '../math/float64.ts';
import type { FunctionBuilder, Index } from './assembler.ts';
import { type Bits, Emission } from './emission.ts';
import { type Expression, Graph, type Mask, type Sink } from './expression.ts';
import { integerBytes, type Shape, shapes, splatBytes } from './lane-shape.ts';
import type { Opcode } from './opcodes.ts';

type NumericOperation = 'add' | 'sub' | 'mul' | 'div' | 'sqrt' | 'neg' | 'abs' | 'nearest';

/** Vectors of lanes inside one function. */
export class Lanes implements Arithmetic<Expression, Mask> {
  readonly precision: Precision;
  readonly mode: ArithmeticMode;
  readonly shape: Shape;
  readonly #emission: Emission;
  readonly #scalar: Arithmetic<number, boolean>;
  readonly #graph = new Graph();
  /** What the masks of `less` compare. */
  readonly #comparisons = new WeakMap<Expression, readonly [Expression, Expression]>();

  constructor(f: FunctionBuilder, precision: Precision, mode: ArithmeticMode) {
    this.#emission = new Emission(f);
    this.precision = precision;
    this.mode = mode;
    this.shape = shapes[precision];
    this.#scalar = precision === 'float32' ? float32 : float64;
  }

  constant(value: number): Expression {
    const rounded = this.#scalar.constant(value);
    const key = Object.is(rounded, -0) ? 'constant -0' : `constant ${rounded}`;
    const known = this.#graph.invariant(key);
    if (known !== undefined) return known;
    const bytes = splatBytes(this.precision, rounded);
    let local: Index | undefined;
    const read = (f: FunctionBuilder) => {
      local ??= f.constant(bytes);
      f.get(local);
    };
    return this.#graph.node(key, [], read, { constant: rounded });
  }

  /** A vector at a local's address plus an offset. Loads before and after a store of the same place need a `forget` between. */
  load(base: Index, offset: number, memory = 0): Expression {
    const emit = (f: FunctionBuilder) => f.get(base).memory('v128.load', offset, memory);
    return this.#graph.node(`load ${base} ${offset} of ${memory}`, [], emit);
  }

  /** One number in memory, in every lane. `again` reads it anew at every use, which spares registers. */
  loadSplat(base: Index, offset: number, again = false): Expression {
    const emit = (f: FunctionBuilder) => f.get(base).memory(this.shape.splat, offset);
    return this.#graph.node(`splat ${base} ${offset}`, [], emit, { cheap: again });
  }

  /** One number in memory that does not change during a call, in every lane: read once, before everything else. */
  loadInvariant(base: Index, offset: number): Expression {
    return this.#graph.hoisted(`invariant ${base} ${offset}`, (f) => f.get(base).memory(this.shape.splat, offset));
  }

  /** A vector of four 32-bit words, whatever the precision. */
  words(values: readonly number[]): Expression {
    const bytes = new Uint8Array(Uint32Array.from(values).buffer);
    return this.#graph.node(`words ${values.join()}`, [], (f) => f.get(f.constant(bytes)), { invariant: true });
  }

  /** One 32-bit word in memory that does not change during a call, in four lanes. */
  loadInvariantWord(base: Index, offset: number): Expression {
    return this.#graph.hoisted(`word ${base} ${offset}`, (f) => f.get(base).memory('v128.load32_splat', offset));
  }

  /** The 32-bit words `indices` of a and b put end to end. */
  shuffleWords(a: Expression, b: Expression, indices: readonly number[]): Expression {
    return this.operation(
      'i8x16.shuffle',
      [a, b],
      indices.flatMap((word) => [0, 1, 2, 3].map((byte) => word * 4 + byte)),
    );
  }

  /** The present value of a local. */
  local(local: Index): Expression {
    return this.#graph.node(`local ${local}`, [], (f) => f.get(local), { cheap: true });
  }

  add(a: Expression, b: Expression): Expression {
    return this.#numeric('add', a, b);
  }

  sub(a: Expression, b: Expression): Expression {
    return this.#numeric('sub', a, b);
  }

  mul(a: Expression, b: Expression): Expression {
    // x·1 is x to the bit.
    if (a.constant === 1) return b;
    return b.constant === 1 ? a : this.#numeric('mul', a, b);
  }

  div(a: Expression, b: Expression): Expression {
    return this.#numeric('div', a, b);
  }

  sqrt(a: Expression): Expression {
    return this.#numeric('sqrt', a);
  }

  neg(a: Expression): Expression {
    return this.#numeric('neg', a);
  }

  abs(a: Expression): Expression {
    return this.#numeric('abs', a);
  }

  nearest(a: Expression): Expression {
    return this.#numeric('nearest', a);
  }

  mulAdd(a: Expression, b: Expression, c: Expression): Expression {
    if (this.mode === 'strict') return this.add(this.mul(a, b), c);
    return this.operation(`${this.shape.float}.relaxed_madd`, [a, b, c]);
  }

  /**
   * `min` is right for every operand but takes many instructions. `pmin(x, y) = y < x ? y : x` is one; with a constant
   * as y it keeps a NaN in x, and is right for zeros unless the constant is −0.
   */
  minimum(a: Expression, b: Expression): Expression {
    if (a.constant !== undefined && b.constant === undefined) return this.minimum(b, a);
    const fast = b.constant !== undefined && !Number.isNaN(b.constant) && !Object.is(b.constant, -0);
    return this.operation(`${this.shape.float}.${fast ? 'pmin' : 'min'}`, [a, b]);
  }

  /** As `minimum`; max(x, +0) clears the lanes with x ≤ 0, which turns −0 into +0 and keeps NaN. */
  maximum(a: Expression, b: Expression): Expression {
    if (a.constant !== undefined && b.constant === undefined) return this.maximum(b, a);
    if (Object.is(b.constant, 0)) return this.operation('v128.andnot', [a, this.lessOrEqual(a, b).bits]);
    const fast = b.constant !== undefined && !Number.isNaN(b.constant);
    return this.operation(`${this.shape.float}.${fast ? 'pmax' : 'max'}`, [a, b]);
  }

  less(a: Expression, b: Expression): Mask {
    const bits = this.operation(`${this.shape.float}.lt`, [a, b]);
    this.#comparisons.set(bits, [a, b]);
    return { bits };
  }

  lessOrEqual(a: Expression, b: Expression): Mask {
    return { bits: this.operation(`${this.shape.float}.le`, [a, b]) };
  }

  equal(a: Expression, b: Expression): Mask {
    return { bits: this.operation(`${this.shape.float}.eq`, [a, b]) };
  }

  select(mask: Mask, ifTrue: Expression, ifFalse: Expression): Expression {
    if (ifTrue === ifFalse) return ifTrue;
    const comparison = this.#comparisons.get(mask.bits);
    if (comparison !== undefined) {
      const [a, b] = comparison;
      // pmax(a, b) = a < b ? b : a and pmin(b, a) = a < b ? a : b, bit for bit.
      if (ifTrue === b && ifFalse === a) return this.operation(`${this.shape.float}.pmax`, [a, b]);
      if (ifTrue === a && ifFalse === b) return this.operation(`${this.shape.float}.pmin`, [b, a]);
    }
    if (Object.is(ifTrue.constant, 0)) return this.operation('v128.andnot', [ifFalse, mask.bits]);
    if (Object.is(ifFalse.constant, 0)) return this.operation('v128.and', [ifTrue, mask.bits]);
    // Relaxed only for masks with mixed bits, which comparisons do not give; one instruction where bitselect takes three.
    return this.operation(`${this.shape.integer}.relaxed_laneselect`, [ifTrue, ifFalse, mask.bits]);
  }

  /**
   * 2^n from its exponent field: adding 1.5·2^p + bias (p the significand's width) leaves n + bias in the low bits, and
   * a shift by p moves them into place.
   */
  scale(a: Expression, n: Expression): Expression {
    const { significandBits, bias, integer } = this.shape;
    if (n.constant !== undefined) return this.mul(a, this.constant(2 ** n.constant));
    const shifted = this.add(n, this.constant(1.5 * 2 ** significandBits + bias));
    return this.mul(a, this.#shift(`${integer}.shl`, shifted));
  }

  /** The exponent field, put into the low bits of 2^p and read as a number. */
  exponent(a: Expression): Expression {
    const { significandBits, bias, integer } = this.shape;
    const field = this.#shift(`${integer}.shr_u`, a);
    const number = this.operation('v128.or', [field, this.constant(2 ** significandBits)]);
    return this.sub(number, this.constant(2 ** significandBits + bias));
  }

  mantissa(a: Expression): Expression {
    const { significandBits } = this.shape;
    const significand = this.#integerConstant((1n << BigInt(significandBits)) - 1n);
    return this.operation('v128.or', [this.operation('v128.and', [a, significand]), this.constant(1)]);
  }

  /** Any instruction from vectors to a vector, with its immediate bytes where it has some. */
  operation(opcode: Opcode, operands: readonly Expression[], lanes?: readonly number[]): Expression {
    let key: string = opcode;
    for (const operand of operands) key += ` ${operand.id}`;
    if (lanes !== undefined) key += ` of ${lanes.join()}`;
    return this.#graph.instruction(key, operands, (f) => (lanes === undefined ? f.op(opcode) : f.shuffle(lanes)));
  }

  /** The lanes `indices` of a and b put end to end. */
  shuffle(a: Expression, b: Expression, indices: readonly number[]): Expression {
    const { bytes } = this.shape;
    const lanes = indices.flatMap((lane) => Array.from({ length: bytes }, (_, byte) => lane * bytes + byte));
    return this.operation('i8x16.shuffle', [a, b], lanes);
  }

  /** Lane `lane` of a in every lane. */
  broadcast(a: Expression, lane: number): Expression {
    return this.shuffle(a, a, new Array(this.shape.lanes).fill(lane));
  }

  /** Rows become columns: result[i][j] = vectors[j][i], for as many vectors as there are lanes. */
  transpose(vectors: readonly Expression[]): Expression[] {
    if (this.shape.lanes === 2) {
      const [a, b] = vectors;
      return [this.shuffle(a, b, [0, 2]), this.shuffle(a, b, [1, 3])];
    }
    const [a, b, c, d] = vectors;
    const [low0, low1] = [this.shuffle(a, b, [0, 4, 1, 5]), this.shuffle(c, d, [0, 4, 1, 5])];
    const [high0, high1] = [this.shuffle(a, b, [2, 6, 3, 7]), this.shuffle(c, d, [2, 6, 3, 7])];
    return [
      this.shuffle(low0, low1, [0, 1, 4, 5]),
      this.shuffle(low0, low1, [2, 3, 6, 7]),
      this.shuffle(high0, high1, [0, 1, 4, 5]),
      this.shuffle(high0, high1, [2, 3, 6, 7]),
    ];
  }

  /** Emits values and what becomes of them; see `Emission.run`. */
  run(sinks: readonly Sink[], inOrder = false): void {
    this.#emission.run(sinks, inOrder);
    this.forget();
  }

  /** As `run`, for groups that do not depend on each other; see `Emission.runSideBySide`. */
  runSideBySide(groups: readonly (readonly Sink[])[], postponed: readonly (readonly Sink[])[] = []): Bits {
    const bits = this.#emission.runSideBySide(groups, postponed);
    this.forget();
    return bits;
  }

  /** Starts a new graph: what was loaded may have changed. */
  forget(): void {
    this.#graph.forget();
  }

  /** Sets every temporary to zero; see `Emission.clearLocals`. */
  clearLocals(): void {
    this.#emission.clearLocals();
  }

  /** A local for a vector, zeroed by `clearLocals`. */
  newLocal(): Index {
    return this.#emission.newLocal();
  }

  #numeric(name: NumericOperation, ...operands: Expression[]): Expression {
    const values = operands.map((operand) => operand.constant);
    if (values.every((value) => value !== undefined)) {
      const fold = this.#scalar[name] as (...values: number[]) => number;
      return this.constant(fold(...values));
    }
    return this.operation(`${this.shape.float}.${name}`, operands);
  }

  #integerConstant(bits: bigint): Expression {
    const bytes = integerBytes(this.precision, bits);
    return this.#graph.node(`bits ${bits}`, [], (f) => f.get(f.constant(bytes)), { invariant: true });
  }

  #shift(opcode: Opcode, a: Expression): Expression {
    const bits = this.shape.significandBits;
    return this.#graph.instruction(`${opcode} ${a.id} ${bits}`, [a], (f) => f.i32(bits).op(opcode));
  }
}
