/**
 * A WebAssembly assembler: builds the bytes of a module, function by function.
 * It checks nothing that `WebAssembly.validate` checks. Source: WebAssembly core specification 3.0, "Binary Format".
 */
import { type Opcode, opcodes, type ValueType, valueTypes } from './opcodes.ts';

type Bytes = number[];
/** Index of a local variable or of a function. */
export type Index = number;

/** Unsigned LEB128. */
export function unsigned(value: number): Bytes {
  const bytes: Bytes = [];
  let rest = value >>> 0;
  do {
    const low = rest & 0x7f;
    rest >>>= 7;
    bytes.push(rest === 0 ? low : low | 0x80);
  } while (rest !== 0);
  return bytes;
}

/** Signed LEB128 of a 32-bit integer. */
export function signed(value: number): Bytes {
  const bytes: Bytes = [];
  let rest = value | 0;
  for (;;) {
    const low = rest & 0x7f;
    rest >>= 7;
    const done = (rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0);
    bytes.push(done ? low : low | 0x80);
    if (done) return bytes;
  }
}

const vector = (items: readonly Bytes[]): Bytes => [...unsigned(items.length), ...items.flat()];
const text = (value: string): Bytes => [...unsigned(value.length), ...new TextEncoder().encode(value)];
const floatBits = (value: number, bytes: 4 | 8): Uint8Array => {
  const view = new DataView(new ArrayBuffer(bytes));
  if (bytes === 4) view.setFloat32(0, value, true);
  else view.setFloat64(0, value, true);
  return new Uint8Array(view.buffer);
};

/** Natural alignments (log2) of the memory instructions in use. */
function alignment(opcode: Opcode): number {
  if (opcode === 'v128.load' || opcode === 'v128.store') return 4;
  return opcode.includes('64') ? 3 : 2;
}

/** The body of one function. Every method appends an instruction; structured control flow takes its body as a callback. */
export class FunctionBuilder {
  readonly parameters: readonly ValueType[];
  readonly results: readonly ValueType[];
  readonly #locals: ValueType[] = [];
  readonly #prologue: Bytes = [];
  #code: Bytes = [];
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
    if (code > 0xff) this.#code.push(code >> 16, ...unsigned(code & 0xffff));
    else this.#code.push(code);
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
    return this.op('i32.const').#raw(signed(value));
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

  /** A load or store; its address is on the stack, below the value of a store. */
  memory(opcode: Opcode, offset = 0): this {
    return this.op(opcode).#raw([alignment(opcode), ...unsigned(offset)]);
  }

  /** `memory.copy` and `memory.fill` name their memories after the opcode. */
  bulk(opcode: 'memory.copy' | 'memory.fill'): this {
    return this.op(opcode).#raw(opcode === 'memory.copy' ? [0, 0] : [0]);
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
    this.op('if').#raw([0x40]);
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

  encode(): Bytes {
    const runs: { type: ValueType; count: number }[] = [];
    for (const type of this.#locals) {
      const last = runs.at(-1);
      if (last?.type === type) last.count += 1;
      else runs.push({ type, count: 1 });
    }
    const locals = vector(runs.map((run) => [...unsigned(run.count), valueTypes[run.type]]));
    const size = locals.length + this.#prologue.length + this.#code.length + 1;
    return unsigned(size).concat(locals, this.#prologue, this.#code, [opcodes.end]);
  }

  #raw(bytes: Iterable<number>): this {
    for (const byte of bytes) this.#code.push(byte);
    return this;
  }

  #indexed(opcode: Opcode, index: Index): this {
    return this.op(opcode).#raw(unsigned(index));
  }

  #structured(opcode: 'block' | 'loop', body: () => void): this {
    this.op(opcode).#raw([0x40]);
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

/** A module that imports at most one memory and exports functions. */
export class ModuleBuilder {
  readonly #functions: FunctionBuilder[] = [];
  readonly #exports: { name: string; index: Index }[] = [];
  readonly #memory: MemoryImport | undefined;

  constructor(memory?: MemoryImport) {
    this.#memory = memory;
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
    const types = new Map<string, Bytes>();
    const typeIndices = this.#functions.map(({ parameters, results }) => {
      const type = [0x60, ...valueTypeVector(parameters), ...valueTypeVector(results)];
      types.set(type.join(), type);
      return [...types.keys()].indexOf(type.join());
    });
    const sections: [number, readonly Bytes[]][] = [
      [1, [...types.values()]],
      [2, this.#memory === undefined ? [] : [memoryImport(this.#memory)]],
      [3, typeIndices.map(unsigned)],
      [7, this.#exports.map(({ name, index }) => [...text(name), 0x00, ...unsigned(index)])],
      [10, this.#functions.map((f) => f.encode())],
    ];
    const bytes: Bytes = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];
    return new Uint8Array(sections.filter(([, items]) => items.length > 0).reduce(appendSection, bytes));
  }
}

const valueTypeVector = (types: readonly ValueType[]): Bytes => vector(types.map((type) => [valueTypes[type]]));

function memoryImport({ module, name, minimum, maximum, shared }: MemoryImport): Bytes {
  const flags = (maximum === undefined ? 0 : 1) | (shared === true ? 2 : 0);
  const limits = [flags, ...unsigned(minimum), ...(maximum === undefined ? [] : unsigned(maximum))];
  return [...text(module), ...text(name), 0x02, ...limits];
}

function appendSection(bytes: Bytes, [id, items]: [number, readonly Bytes[]]): Bytes {
  const content = unsigned(items.length).concat(...items);
  return bytes.concat(id, unsigned(content.length), content);
}
