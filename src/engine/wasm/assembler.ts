/**
 * A WebAssembly assembler: builds the bytes of a module, function by function.
 * It checks nothing that `WebAssembly.validate` checks. Source: WebAssembly core specification 3.0, "Binary Format".
 */
import { ByteWriter } from './byte-writer.ts';
import { type Opcode, opcodes, type ValueType, valueTypes } from './opcodes.ts';

/** Index of a local variable or of a function. */
export type Index = number;

/** What `block`, `loop` and `if` leave on the stack: nothing. */
const EMPTY_BLOCK = 0x40;

const floatBits = (value: number, bytes: 4 | 8): Uint8Array => {
  const view = new DataView(new ArrayBuffer(bytes));
  if (bytes === 4) view.setFloat32(0, value, true);
  else view.setFloat64(0, value, true);
  return new Uint8Array(view.buffer);
};

/** Natural alignment (log2) of a memory instruction. */
function alignment(opcode: Opcode): number {
  if (opcode === 'v128.load' || opcode === 'v128.store') return 4;
  return wideLoads.has(opcode) ? 3 : 2;
}

/** Bit of the alignment that says that the number of a memory follows. */
const NAMES_MEMORY = 0x40;

const wideLoads: ReadonlySet<Opcode> = new Set(['f64.load', 'f64.store', 'v128.load64_splat', 'v128.load64_zero']);

/** The body of one function. Every method appends an instruction; structured control flow takes its body as a callback. */
export class FunctionBuilder {
  readonly parameters: readonly ValueType[];
  readonly results: readonly ValueType[];
  readonly #locals: ValueType[] = [];
  readonly #prologue = new ByteWriter();
  #code = new ByteWriter();
  readonly #constants = new Map<string, Index>();

  constructor(parameters: readonly ValueType[], results: readonly ValueType[]) {
    this.parameters = parameters;
    this.results = results;
  }

  /** Declares a local variable; it starts at zero. */
  local(type: ValueType): Index {
    this.#locals.push(type);
    return this.parameters.length + this.#locals.length - 1;
  }

  get size(): number {
    return this.#prologue.length + this.#code.length;
  }

  op(opcode: Opcode): this {
    const code: number = opcodes[opcode];
    if (code > 0xff) {
      this.#code.byte(code >> 16);
      this.#code.unsigned(code & 0xffff);
    } else this.#code.byte(code);
    return this;
  }

  get(local: Index): this {
    return this.#indexed('local.get', local);
  }

  set(local: Index): this {
    return this.#indexed('local.set', local);
  }

  tee(local: Index): this {
    return this.#indexed('local.tee', local);
  }

  call(target: Index): this {
    return this.#indexed('call', target);
  }

  i32(value: number): this {
    this.op('i32.const');
    this.#code.signed(value);
    return this;
  }

  f32(value: number): this {
    return this.op('f32.const').#raw(floatBits(value, 4));
  }

  f64(value: number): this {
    return this.op('f64.const').#raw(floatBits(value, 8));
  }

  v128(bytes: Uint8Array): this {
    return this.op('v128.const').#raw(bytes);
  }

  /** A load or store; its address is on the stack, below the value of a store. Memories are numbered as they are imported. */
  memory(opcode: Opcode, offset = 0, memory = 0): this {
    this.op(opcode);
    this.#code.byte(alignment(opcode) | (memory === 0 ? 0 : NAMES_MEMORY));
    if (memory !== 0) this.#code.unsigned(memory);
    this.#code.unsigned(offset);
    return this;
  }

  /** `memory.copy` and `memory.fill` name their memories after the opcode: the first one, and from where it is copied. */
  bulk(opcode: 'memory.copy' | 'memory.fill', from = 0): this {
    return this.op(opcode).#raw(opcode === 'memory.copy' ? [0, from] : [0]);
  }

  /** A lane of `extract_lane` or `replace_lane`. */
  lane(opcode: Opcode, lane: number): this {
    return this.op(opcode).#raw([lane]);
  }

  /** Byte `i` of the result is byte `bytes[i]` of the two operands put end to end. */
  shuffle(bytes: readonly number[]): this {
    return this.op('i8x16.shuffle').#raw(bytes);
  }

  block(body: () => void): this {
    return this.#structured('block', body);
  }

  loop(body: () => void): this {
    return this.#structured('loop', body);
  }

  if(then: () => void, otherwise?: () => void): this {
    this.op('if').#raw([EMPTY_BLOCK]);
    then();
    if (otherwise !== undefined) {
      this.op('else');
      otherwise();
    }
    return this.op('end');
  }

  br(depth: number): this {
    return this.#indexed('br', depth);
  }

  brIf(depth: number): this {
    return this.#indexed('br_if', depth);
  }

  /** local += step (an immediate). */
  increment(local: Index, step: number): this {
    return this.get(local).i32(step).op('i32.add').set(local);
  }

  /** Runs the body while `counter < end`, checked before each turn; the body moves the counter by `step` itself if `step` is 0. */
  whileBelow(counter: Index, end: number | { local: Index }, step: number, body: () => void): this {
    const pushEnd = () => (typeof end === 'number' ? this.i32(end) : this.get(end.local));
    this.get(counter);
    pushEnd().op('i32.lt_s');
    return this.if(() => {
      this.loop(() => {
        body();
        if (step !== 0) this.increment(counter, step);
        this.get(counter);
        pushEnd().op('i32.lt_s').brIf(0);
      });
    });
  }

  /**
   * A local that holds one vector constant from the function's first instruction on.
   * V8 rebuilds an inline `v128.const` at every use, so loops read constants from locals.
   */
  constant(bytes: Uint8Array): Index {
    const key = bytes.join();
    const known = this.#constants.get(key);
    if (known !== undefined) return known;
    const local = this.local('v128');
    this.#constants.set(key, local);
    this.prologue(() => this.v128(bytes).set(local));
    return local;
  }

  /** Appends what `emit` emits to the instructions that run before everything else in the function. */
  prologue(emit: () => void): void {
    const body = this.#code;
    this.#code = this.#prologue;
    emit();
    this.#code = body;
  }

  /** The entry of the code section: size, locals in runs of equal type, instructions. */
  encode(out: ByteWriter): void {
    const runs: { type: ValueType; count: number }[] = [];
    for (const type of this.#locals) {
      const last = runs.at(-1);
      if (last?.type === type) last.count += 1;
      else runs.push({ type, count: 1 });
    }
    out.sized((content) => {
      content.unsigned(runs.length);
      for (const { count, type } of runs) {
        content.unsigned(count);
        content.byte(valueTypes[type]);
      }
      content.append(this.#prologue.bytes);
      content.append(this.#code.bytes);
      content.byte(opcodes.end);
    });
  }

  #raw(bytes: ArrayLike<number>): this {
    this.#code.append(bytes);
    return this;
  }

  #indexed(opcode: Opcode, index: Index): this {
    this.op(opcode);
    this.#code.unsigned(index);
    return this;
  }

  #structured(opcode: 'block' | 'loop', body: () => void): this {
    this.op(opcode).#raw([EMPTY_BLOCK]);
    body();
    return this.op('end');
  }
}

export interface MemoryImport {
  readonly module: string;
  readonly name: string;
  /** In pages of 64 KiB. */
  readonly minimum: number;
  readonly maximum?: number;
  /** A shared memory needs a maximum. */
  readonly shared?: boolean;
}

/** A module that imports memories and exports functions. */
export class ModuleBuilder {
  readonly #functions: FunctionBuilder[] = [];
  readonly #exports: { name: string; index: Index }[] = [];
  readonly #memories: readonly MemoryImport[];

  constructor(...memories: readonly MemoryImport[]) {
    this.#memories = memories;
  }

  /** Adds a function and returns its index, which `call` takes; an exported one has a name. */
  function(
    parameters: readonly ValueType[],
    results: readonly ValueType[],
    emit: (f: FunctionBuilder) => void,
    name?: string,
  ): Index {
    const builder = new FunctionBuilder(parameters, results);
    emit(builder);
    this.#functions.push(builder);
    const index = this.#functions.length - 1;
    if (name !== undefined) this.#exports.push({ name, index });
    return index;
  }

  encode(): Uint8Array<ArrayBuffer> {
    const types = new Map(this.#functions.map((f) => [typeOf(f).join(), typeOf(f)]));
    const indices = [...types.keys()];
    const out = new ByteWriter();
    out.append([0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00]);
    section(out, 1, [...types.values()], (content, type) => content.append(type));
    section(out, 2, this.#memories, writeMemoryImport);
    section(out, 3, this.#functions, (content, f) => content.unsigned(indices.indexOf(typeOf(f).join())));
    section(out, 7, this.#exports, (content, { name, index }) => {
      content.text(name);
      content.byte(0x00);
      content.unsigned(index);
    });
    section(out, 10, this.#functions, (content, f) => f.encode(content));
    return new Uint8Array(out.bytes);
  }
}

/** A section is a vector of items; an empty one is left out. */
function section<T>(
  out: ByteWriter,
  id: number,
  items: readonly T[],
  write: (content: ByteWriter, item: T) => void,
): void {
  if (items.length === 0) return;
  out.byte(id);
  out.sized((content) => {
    content.unsigned(items.length);
    for (const item of items) write(content, item);
  });
}

function typeOf({ parameters, results }: FunctionBuilder): number[] {
  const vector = (types: readonly ValueType[]) => [types.length, ...types.map((type) => valueTypes[type])];
  return [0x60, ...vector(parameters), ...vector(results)];
}

function writeMemoryImport(out: ByteWriter, { module, name, minimum, maximum, shared }: MemoryImport): void {
  out.text(module);
  out.text(name);
  out.byte(0x02);
  out.byte((maximum === undefined ? 0 : 1) | (shared === true ? 2 : 0));
  out.unsigned(minimum);
  if (maximum !== undefined) out.unsigned(maximum);
}
