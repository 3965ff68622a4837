/** `uniforms` of prng.ts as compiled code, which draws the same numbers several times as fast. */
import { philoxInput, type Uniforms, uniforms } from '../prng.ts';
import { type FunctionBuilder, type Index, ModuleBuilder } from './assembler.ts';
import { compiledModule } from './modules.ts';
import { DRAWN_BLOCKS, DRAWN_BYTES, emitDraw } from './philox.ts';

/** Fewer are drawn sooner than the code is compiled. */
const COMPILED_FROM = 50_000;

/** Drawn at a time: they stay in the L1 cache until they are copied. Even, since two come from each block. */
const CHUNK = 2048;

type Draw = (
  firstBlock: number,
  blocks: number,
  aLow: number,
  aHigh: number,
  stream: number,
  seedLow: number,
  seedHigh: number,
) => void;

/** `uniforms(count, seed, stream, a)`, compiled where that pays. */
export const compiledUniforms: Uniforms = (count, seed, stream, a) => {
  if (count < COMPILED_FROM) return uniforms(count, seed, stream, a);
  const { draw, chunk } = compile();
  const { key, counter } = philoxInput(seed, stream, a, 0, 0);
  const numbers = new Float64Array(count);
  for (let start = 0; start < count; start += CHUNK) {
    const size = Math.min(CHUNK, count - start);
    draw(start / 2, Math.ceil(size / 2), counter[1], counter[2], counter[3], key[0], key[1]);
    numbers.set(size === CHUNK ? chunk : chunk.subarray(0, size), start);
  }
  return numbers;
};

function compile(): { readonly draw: Draw; readonly chunk: Float64Array } {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 });
  const module = compiledModule({ code: 'uniforms' }, () => {
    const builder = new ModuleBuilder({ module: 'engine', name: 'memory', minimum: 1 });
    builder.function(['i32', 'i32', 'i32', 'i32', 'i32', 'i32', 'i32'], [], emitUniforms, 'draw');
    return builder.encode();
  });
  const { exports } = new WebAssembly.Instance(module, { engine: { memory } });
  return { draw: exports.draw as Draw, chunk: new Float64Array(memory.buffer, 0, CHUNK) };
}

/** Two numbers from each of the blocks, four blocks at a time, side by side from address 0. */
function emitUniforms(f: FunctionBuilder): void {
  const [firstBlock, blocks, aLow, aHigh, stream, seedLow, seedHigh]: Index[] = [0, 1, 2, 3, 4, 5, 6];
  const [done, at, block] = [f.local('i32'), f.local('i32'), f.local('i32')];
  f.whileBelow(done, { local: blocks }, DRAWN_BLOCKS, () => {
    f.get(firstBlock).get(done).op('i32.add').set(block);
    // A number takes the place of the two words that it is made of.
    emitDraw(f, { aLow, aHigh, stream, seedLow, seedHigh }, block, at);
    for (let offset = 0; offset < DRAWN_BYTES; offset += 8) {
      f.get(at);
      emitUnit(f, at, offset);
      f.memory('f64.store', offset);
    }
    f.increment(at, DRAWN_BYTES);
  });
}

/** ((high >>> 5)·2²⁶ + (low >>> 6))·2⁻⁵³, exactly, of two words in memory. */
function emitUnit(f: FunctionBuilder, at: Index, offset: number): void {
  f.get(at)
    .memory('i32.load', offset)
    .i32(5)
    .op('i32.shr_u')
    .op('f64.convert_i32_u')
    .f64(2 ** 26)
    .op('f64.mul');
  f.get(at)
    .memory('i32.load', offset + 4)
    .i32(6)
    .op('i32.shr_u')
    .op('f64.convert_i32_u')
    .op('f64.add');
  f.f64(2 ** -53).op('f64.mul');
}
