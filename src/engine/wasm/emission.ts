/**
 * Writes graphs of expressions into a function: a node that is used more than once goes to a local on its first use
 * (`local.tee`), and the locals of values that are not needed any more serve the next ones.
 */
import type { FunctionBuilder, Index } from './assembler.ts';
import type { Expression, Sink } from './expression.ts';

/** Code that is emitted a few instructions at a time, between other code. */
export type Bits = Generator<undefined, void>;

export class Emission {
  readonly #f: FunctionBuilder;
  readonly #freeLocals: Index[] = [];
  readonly #locals: Index[] = [];

  constructor(f: FunctionBuilder) {
    this.#f = f;
  }

  /**
   * Emits the values and then, once all of them are there, their sinks: so every load comes before every store, which
   * is what V8's revectorizer wants of neighbouring stores. The last sink comes first: of two stores that V8 joins it
   * would store the lower half twice, first alone and then with the upper one (which may lie outside the memory), unless
   * the upper one comes first. `inOrder` stores each value as soon as it is there.
   */
  run(sinks: readonly Sink[], inOrder = false): void {
    const roots = sinks.map((sink) => sink.value);
    countUses(roots);
    if (inOrder) {
      for (const sink of sinks) this.#sink(sink);
    } else {
      for (const root of roots) this.#materialize(root);
      for (const sink of sinks.toReversed()) this.#sink(sink);
    }
  }

  /**
   * As `run`, for groups of values that do not depend on each other: an instruction of each in turn. V8 keeps the order
   * in which a block is written, and a processor looks no further ahead than some hundred instructions, so long chains
   * must lie side by side to run side by side. What is `postponed` shares values with the groups and is emitted bit by
   * bit, as the generator that is returned is asked for more; until it is done neither memory nor locals that it reads
   * may change.
   */
  runSideBySide(groups: readonly (readonly Sink[])[], postponed: readonly (readonly Sink[])[] = []): Bits {
    countUses([...groups, ...postponed].flat().map((sink) => sink.value));
    for (const _ of this.#sideBySide(groups));
    return this.#sideBySide(postponed);
  }

  *#sideBySide(groups: readonly (readonly Sink[])[]): Bits {
    const chains = groups.map((group) => inOrderOfUse(group.map((sink) => sink.value)));
    const longest = Math.max(0, ...chains.map((chain) => chain.length));
    for (let i = 0; i < longest; i++) {
      for (const chain of chains) if (i < chain.length) this.#materialize(chain[i]);
      yield;
    }
    for (const sink of groups.flat()) this.#sink(sink);
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
