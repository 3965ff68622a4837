/**
 * Values as expressions over SIMD lanes: an `Arithmetic` whose numbers are instructions yet to be emitted.
 *
 * A formula written for any `Arithmetic` builds a graph here; equal subexpressions are one node. `run` then emits the
 * graph into a function: a node that is used more than once goes to a local on its first use (`local.tee`), constants
 * sit in locals set before any loop. Lane by lane the results are the bits of `float32` and `float64` in strict
 * arithmetic, apart from the payload of a NaN.
 */
import type { Arithmetic } from '../arithmetic.ts';
import type { ArithmeticMode, Precision } from '../definition.ts';
import { float32 } from '../math/float32.ts';
import { float64 } from '../math/float64.ts';
import type { FunctionBuilder, Index } from './assembler.ts';
import type { Opcode } from './opcodes.ts';

interface Traits {
  readonly constant?: number;
  readonly cheap?: boolean;
  readonly invariant?: boolean;
}

/** One vector value, emitted where it is used. */
export class Expression {
  readonly id: number;
  readonly operands: readonly Expression[];
  /** Pushes the value, its operands being on the stack. */
  readonly emit: (f: FunctionBuilder) => void;
  /** The value of a constant with equal lanes. */
  readonly constant: number | undefined;
  /** Whether evaluating it again is as cheap as reading a local. */
  readonly cheap: boolean;
  /** Whether its value stays the same during a call of the function. */
  readonly invariant: boolean;
  /** Uses not yet emitted, while `run` is at work. */
  uses = 0;
  local: Index | undefined;

  constructor(id: number, operands: readonly Expression[], emit: (f: FunctionBuilder) => void, traits: Traits) {
    this.id = id;
    this.operands = operands;
    this.emit = emit;
    this.constant = traits.constant;
    this.invariant = traits.invariant ?? traits.constant !== undefined;
    this.cheap = traits.cheap ?? this.invariant;
  }
}

/** The result of a comparison: all bits of a lane set, or none. */
export interface Mask {
  readonly bits: Expression;
}

/** What becomes of a value: stored in memory at a local's address plus an offset, or kept in a local. */
export type Sink =
  | { readonly value: Expression; readonly base: Index; readonly offset: number }
  | { readonly value: Expression; readonly local: Index };

type NumericOperation = 'add' | 'sub' | 'mul' | 'div' | 'sqrt' | 'neg' | 'abs' | 'nearest';

/** What differs between the two shapes of vectors. */
interface Shape {
  readonly lanes: 2 | 4;
  readonly bytes: 4 | 8;
  readonly float: 'f32x4' | 'f64x2';
  readonly integer: 'i32x4' | 'i64x2';
  readonly splat: Opcode;
  readonly significandBits: number;
  readonly bias: number;
}

export const shapes: Readonly<Record<Precision, Shape>> = {
  float32: {
    lanes: 4,
    bytes: 4,
    float: 'f32x4',
    integer: 'i32x4',
    splat: 'v128.load32_splat',
    significandBits: 23,
    bias: 127,
  },
  float64: {
    lanes: 2,
    bytes: 8,
    float: 'f64x2',
    integer: 'i64x2',
    splat: 'v128.load64_splat',
    significandBits: 52,
    bias: 1023,
  },
};

/** The bytes of a vector whose lanes are all `value`. */
export function splatBytes(precision: Precision, value: number): Uint8Array {
  const values = precision === 'float32' ? new Float32Array(4).fill(value) : new Float64Array(2).fill(value);
  return new Uint8Array(values.buffer);
}

/** The bytes of a vector whose lanes all have the bits of an unsigned integer. */
function integerBytes(precision: Precision, bits: bigint): Uint8Array {
  const words = precision === 'float32' ? new Uint32Array(4).fill(Number(bits)) : new BigUint64Array(2).fill(bits);
  return new Uint8Array(words.buffer);
}

/** Vectors of lanes inside one function. */
export class Lanes implements Arithmetic<Expression, Mask> {
  readonly precision: Precision;
  readonly mode: ArithmeticMode;
  readonly shape: Shape;
  readonly #f: FunctionBuilder;
  readonly #scalar: Arithmetic<number, boolean>;
  readonly #nodes = new Map<string, Expression>();
  readonly #invariants = new Map<string, Expression>();
  /** What the masks of `less` compare. */
  readonly #comparisons = new WeakMap<Expression, readonly [Expression, Expression]>();
  readonly #freeLocals: Index[] = [];
  readonly #locals: Index[] = [];
  #count = 0;

  constructor(f: FunctionBuilder, precision: Precision, mode: ArithmeticMode) {
    this.#f = f;
    this.precision = precision;
    this.mode = mode;
    this.shape = shapes[precision];
    this.#scalar = precision === 'float32' ? float32 : float64;
  }

  constant(value: number): Expression {
    const rounded = this.#scalar.constant(value);
    const key = Object.is(rounded, -0) ? 'constant -0' : `constant ${rounded}`;
    const known = this.#invariants.get(key);
    if (known !== undefined) return known;
    const bytes = splatBytes(this.precision, rounded);
    let local: Index | undefined;
    const read = (f: FunctionBuilder) => {
      local ??= f.constant(bytes);
      f.get(local);
    };
    return this.#node(key, [], read, { constant: rounded });
  }

  /** A vector at a local's address plus an offset. Loads before and after a store of the same place need a `forget` between. */
  load(base: Index, offset: number): Expression {
    return this.#node(`load ${base} ${offset}`, [], (f) => f.get(base).memory('v128.load', offset));
  }

  /** One number in memory, in every lane. `again` reads it anew at every use, which spares registers. */
  loadSplat(base: Index, offset: number, again = false): Expression {
    const emit = (f: FunctionBuilder) => f.get(base).memory(this.shape.splat, offset);
    return this.#node(`splat ${base} ${offset}`, [], emit, { cheap: again });
  }

  /** One number in memory that does not change during a call, in every lane: read once, before everything else. */
  loadInvariant(base: Index, offset: number): Expression {
    return this.#hoisted(`invariant ${base} ${offset}`, (f) => f.get(base).memory(this.shape.splat, offset));
  }

  /** A vector of four 32-bit words, whatever the precision. */
  words(values: readonly number[]): Expression {
    const bytes = new Uint8Array(Uint32Array.from(values).buffer);
    return this.#node(`words ${values.join()}`, [], (f) => f.get(f.constant(bytes)), { invariant: true });
  }

  /** One 32-bit word in memory that does not change during a call, in four lanes. */
  loadInvariantWord(base: Index, offset: number): Expression {
    return this.#hoisted(`word ${base} ${offset}`, (f) => f.get(base).memory('v128.load32_splat', offset));
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
    return this.#node(`local ${local}`, [], (f) => f.get(local), { cheap: true });
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
    return this.#instruction(key, operands, (f) => (lanes === undefined ? f.op(opcode) : f.shuffle(lanes)));
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

  /**
   * Emits the values and then, once all of them are there, their sinks: so every load comes before every store, which
   * is what V8's revectorizer wants of neighbouring stores. `inOrder` stores each value as soon as it is there.
   */
  run(sinks: readonly Sink[], inOrder = false): void {
    const roots = sinks.map((sink) => sink.value);
    countUses(roots);
    if (inOrder) {
      for (const sink of sinks) this.#sink(sink);
    } else {
      for (const root of roots) this.#materialize(root);
      for (const sink of sinks) this.#sink(sink);
    }
    this.forget();
  }

  /**
   * As `run`, for groups of values that do not depend on each other: an instruction of each in turn. V8 keeps the order
   * in which a block is written, and a processor looks no further ahead than some hundred instructions, so long chains
   * must lie side by side to run side by side. What is `postponed` shares values with the groups and is emitted by the
   * function that is returned; until then neither memory nor locals that it reads may change.
   */
  runSideBySide(groups: readonly (readonly Sink[])[], postponed: readonly (readonly Sink[])[] = []): () => void {
    countUses([...groups, ...postponed].flat().map((sink) => sink.value));
    this.#emitSideBySide(groups);
    this.forget();
    return () => this.#emitSideBySide(postponed);
  }

  #emitSideBySide(groups: readonly (readonly Sink[])[]): void {
    const chains = groups.map((group) => inOrderOfUse(group.map((sink) => sink.value)));
    const longest = Math.max(0, ...chains.map((chain) => chain.length));
    for (let i = 0; i < longest; i++) {
      for (const chain of chains) if (i < chain.length) this.#materialize(chain[i]);
    }
    for (const sink of groups.flat()) this.#sink(sink);
  }

  /** Starts a new graph: what was loaded may have changed. */
  forget(): void {
    this.#nodes.clear();
  }

  /**
   * Sets every temporary to zero. At the end of an outer loop's body it tells V8 that nothing is carried over; else the
   * loop's phis count as uses from outside, and the revectorizer gives up on the pair.
   */
  clearLocals(): void {
    for (const local of this.#locals) this.#f.v128(new Uint8Array(16)).set(local);
  }

  /** A local for a vector, zeroed by `clearLocals`. */
  newLocal(): Index {
    const local = this.#f.local('v128');
    this.#locals.push(local);
    return local;
  }

  #node(
    key: string,
    operands: readonly Expression[],
    emit: (f: FunctionBuilder) => void,
    traits: Traits = {},
  ): Expression {
    const known = this.#nodes.get(key) ?? this.#invariants.get(key);
    if (known !== undefined) return known;
    const node = new Expression(this.#count++, operands, emit, traits);
    (node.invariant ? this.#invariants : this.#nodes).set(key, node);
    return node;
  }

  /** An instruction on values that do not change during a call moves in front of everything else. */
  #instruction(key: string, operands: readonly Expression[], emit: (f: FunctionBuilder) => void): Expression {
    if (!operands.every((operand) => operand.invariant)) return this.#node(key, operands, emit);
    return this.#hoisted(key, (f) => {
      for (const operand of operands) operand.emit(f);
      emit(f);
    });
  }

  /** A value set in the function's prologue, on its first use. */
  #hoisted(key: string, emit: (f: FunctionBuilder) => void): Expression {
    let local: Index | undefined;
    const read = (f: FunctionBuilder) => {
      if (local === undefined) {
        const home = f.local('v128');
        f.prologue(() => {
          emit(f);
          f.set(home);
        });
        local = home;
      }
      f.get(local);
    };
    return this.#node(key, [], read, { invariant: true });
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
    return this.#node(`bits ${bits}`, [], (f) => f.get(f.constant(bytes)), { invariant: true });
  }

  #shift(opcode: Opcode, a: Expression): Expression {
    const bits = this.shape.significandBits;
    return this.#instruction(`${opcode} ${a.id} ${bits}`, [a], (f) => f.i32(bits).op(opcode));
  }

  #push(node: Expression): void {
    if (node.local !== undefined) {
      this.#f.get(node.local);
      this.#release(node);
      return;
    }
    for (const operand of node.operands) this.#push(operand);
    node.emit(this.#f);
    node.uses -= 1;
    if (node.uses > 0 && !node.cheap) {
      node.local = this.#freeLocals.pop() ?? this.newLocal();
      this.#f.tee(node.local);
    }
  }

  #release(node: Expression): void {
    node.uses -= 1;
    if (node.uses === 0 && node.local !== undefined) {
      this.#freeLocals.push(node.local);
      node.local = undefined;
    }
  }

  /** Brings a root into a local ahead of its use. */
  #materialize(root: Expression): void {
    if (root.local !== undefined || root.cheap) return;
    root.uses += 1;
    this.#push(root);
    this.#f.op('drop');
  }

  #sink(sink: Sink): void {
    if ('local' in sink) {
      this.#push(sink.value);
      this.#f.set(sink.local);
      return;
    }
    this.#f.get(sink.base);
    this.#push(sink.value);
    this.#f.memory('v128.store', sink.offset);
  }
}

/** Counts for every node how often it is used by the roots and by the nodes below them. */
function countUses(roots: readonly Expression[]): void {
  const seen = new Set<Expression>();
  const visit = (node: Expression) => {
    node.uses += 1;
    if (seen.has(node)) return;
    seen.add(node);
    for (const operand of node.operands) visit(operand);
  };
  for (const root of roots) visit(root);
}

/** The nodes that the roots are made of, every one after its operands. */
function inOrderOfUse(roots: readonly Expression[]): Expression[] {
  const seen = new Set<Expression>();
  const visit = (node: Expression) => {
    // What has a local is there already.
    if (seen.has(node) || node.local !== undefined) return;
    for (const operand of node.operands) visit(operand);
    seen.add(node);
  };
  for (const root of roots) visit(root);
  return [...seen];
}
