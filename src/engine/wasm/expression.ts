/**
 * Values as expressions over SIMD lanes: instructions yet to be emitted, in a graph in which equal values are one node.
 * lanes.ts builds such graphs from formulas, emission.ts writes them into a function.
 */
import type { FunctionBuilder, Index } from './assembler.ts';

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

/** The nodes of a graph by what they compute. */
export class Graph {
  readonly #nodes = new Map<string, Expression>();
  readonly #invariants = new Map<string, Expression>();
  #count = 0;

  /** A value that does not change during a call, if it is known already. */
  invariant(key: string): Expression | undefined {
    return this.#invariants.get(key);
  }

  /** Forgets all values that can change. */
  forget(): void {
    this.#nodes.clear();
  }

  /** The node that a key describes; equal keys must mean equal values. */
  node(
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
  instruction(key: string, operands: readonly Expression[], emit: (f: FunctionBuilder) => void): Expression {
    if (!operands.every((operand) => operand.invariant)) return this.node(key, operands, emit);
    return this.hoisted(key, (f) => {
      for (const operand of operands) operand.emit(f);
      emit(f);
    });
  }

  /** A value set in the function's prologue, on its first use. */
  hoisted(key: string, emit: (f: FunctionBuilder) => void): Expression {
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
    return this.node(key, [], read, { invariant: true });
  }
}
