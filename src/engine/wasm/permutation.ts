/** `permutation` of prng.ts as compiled code, which draws the same numbers several times as fast. */
import { permutation, philoxInput, type Stream } from '../prng.ts';
import { type FunctionBuilder, type Index, ModuleBuilder } from './assembler.ts';
import { compiledModule, isCompiled } from './modules.ts';
import { DRAWN_BLOCKS, DRAWN_BYTES, emitDraw } from './philox.ts';

/** Numbers drawn before the code is compiled: that takes about as long as drawing them. */
const COMPILE_AFTER = 50_000;
/** Where an earlier run has left the code, as long as its memory takes. */
const REUSE_AFTER = 2_000;

const description = { code: 'permutation' };

/** Where the order lies in memory: behind the words that were drawn last. */
const ORDER = DRAWN_BYTES;

type Draw = (n: number, aLow: number, aHigh: number, stream: number, seedLow: number, seedHigh: number) => void;

/** Draws one random order of the same length after the other. */
export class Permuter {
  readonly #n: number;
  readonly #compileAfter: number;
  #drawn = 0;
  #compiled: { readonly draw: Draw; readonly order: Uint32Array } | null = null;

  /** @param compileAfter so many numbers have been drawn */
  constructor(n: number, compileAfter = isCompiled(description) ? REUSE_AFTER : COMPILE_AFTER) {
    this.#n = n;
    this.#compileAfter = compileAfter;
  }

  get isCompiled(): boolean {
    return this.#compiled !== null;
  }

  /** `permutation(n, seed, stream, epoch)`; the array is overwritten by the next call. */
  order(seed: number, stream: Stream, epoch: number): Uint32Array {
    if (this.#drawn >= this.#compileAfter) this.#compiled ??= compile(this.#n);
    this.#drawn += this.#n;
    if (this.#compiled === null) return permutation(this.#n, seed, stream, epoch);
    const { key, counter } = philoxInput(seed, stream, epoch, 0, 0);
    this.#compiled.draw(this.#n, counter[1], counter[2], counter[3], key[0], key[1]);
    return this.#compiled.order;
  }
}

function compile(n: number): { readonly draw: Draw; readonly order: Uint32Array } {
  const pages = Math.ceil((ORDER + n * 4) / 65536);
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  const module = compiledModule(description, () => {
    const builder = new ModuleBuilder({ module: 'engine', name: 'memory', minimum: 1 });
    builder.function(['i32', 'i32', 'i32', 'i32', 'i32', 'i32'], [], emitPermutation, 'draw');
    return builder.encode();
  });
  const { exports } = new WebAssembly.Instance(module, { engine: { memory } });
  return { draw: exports.draw as Draw, order: new Uint32Array(memory.buffer, ORDER, n) };
}

/** Fisher–Yates: for last = n − 1 … 1 the entries last and word mod (last + 1) change places. */
function emitPermutation(f: FunctionBuilder): void {
  const [n, aLow, aHigh, stream, seedLow, seedHigh]: Index[] = [0, 1, 2, 3, 4, 5];
  const [at, i, last, block, drawn] = Array.from({ length: 5 }, () => f.local('i32'));
  f.whileBelow(i, { local: n }, 1, () => f.get(at).get(i).memory('i32.store', ORDER).increment(at, 4));
  f.get(n).i32(1).op('i32.sub').set(last);
  f.get(last).i32(0).op('i32.gt_s');
  f.if(() =>
    f.loop(() => {
      f.i32(0).set(drawn);
      emitDraw(f, { aLow, aHigh, stream, seedLow, seedHigh }, block, drawn);
      f.loop(() => {
        emitExchange(f, last, drawn);
        f.increment(drawn, 4).get(drawn).i32(DRAWN_BYTES).op('i32.lt_u');
        f.get(last).i32(0).op('i32.ne').op('i32.and').brIf(0);
      });
      f.increment(block, DRAWN_BLOCKS).get(last).brIf(0);
    }),
  );
}

/** Unless the word would favour small numbers: entries last and word mod (last + 1) change places, and last −= 1. */
function emitExchange(f: FunctionBuilder, last: Index, drawn: Index): void {
  const [word, bound, chosen, a, b, row] = Array.from({ length: 6 }, () => f.local('i32'));
  f.get(drawn).memory('i32.load', 0).set(word);
  f.get(last).i32(1).op('i32.add').set(bound);
  f.get(word).get(bound).op('i32.rem_u').set(chosen);
  // word − chosen ≤ 2³² − bound, modulo 2³²: bound is at least 2.
  f.get(word).get(chosen).op('i32.sub').i32(0).get(bound).op('i32.sub').op('i32.le_u');
  f.if(() => {
    f.get(last).i32(2).op('i32.shl').set(a).get(chosen).i32(2).op('i32.shl').set(b);
    f.get(a).memory('i32.load', ORDER).set(row);
    f.get(a).get(b).memory('i32.load', ORDER).memory('i32.store', ORDER);
    f.get(b).get(row).memory('i32.store', ORDER);
    f.increment(last, -1);
  });
}
