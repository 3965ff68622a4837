import { describe, expect, it } from 'vitest';
import { ModuleBuilder } from '../../../src/engine/wasm/assembler.ts';
import { Lanes } from '../../../src/engine/wasm/lanes.ts';
import { opcodes } from '../../../src/engine/wasm/opcodes.ts';

/** Offsets of the vector instructions of one kind, as they follow each other in a module. */
function offsetsOf(bytes: Uint8Array, opcode: 'v128.load' | 'v128.store'): number[] {
  const [prefix, code] = [opcodes[opcode] >> 16, opcodes[opcode] & 0xffff];
  const offsets: number[] = [];
  // Prefix, instruction, alignment, offset: a byte each.
  for (let i = 0; i + 3 < bytes.length; i++) {
    if (bytes[i] === prefix && bytes[i + 1] === code && bytes[i + 2] === 4) offsets.push(bytes[i + 3]);
  }
  return offsets;
}

describe('values that are stored side by side', () => {
  const module = new ModuleBuilder({ module: 'engine', name: 'memory', minimum: 1 });
  module.function(
    ['i32'],
    [],
    (f) => {
      const o = new Lanes(f, 'float32', 'strict');
      o.run([0, 16].map((offset) => ({ value: o.mul(o.load(0, offset), o.constant(2)), base: 0, offset })));
    },
    'twice',
  );
  const bytes = module.encode();

  it('are stored from the upper to the lower, so that V8 stores a joined pair once', () => {
    expect(offsetsOf(bytes, 'v128.load')).toEqual([0, 16]);
    expect(offsetsOf(bytes, 'v128.store')).toEqual([16, 0]);
  });

  it('are all computed before the first of them is stored', () => {
    const memory = new WebAssembly.Memory({ initial: 1 });
    const numbers = new Float32Array(memory.buffer);
    numbers.set([1, 2, 3, 4, 5, 6, 7, 8]);
    const { twice } = new WebAssembly.Instance(new WebAssembly.Module(bytes), { engine: { memory } }).exports;
    (twice as (at: number) => void)(0);
    expect([...numbers.subarray(0, 9)]).toEqual([2, 4, 6, 8, 10, 12, 14, 16, 0]);
    // All loads of the code come before its first store.
    const [store] = [opcodes['v128.store']].map((code) => [code >> 16, code & 0xffff]);
    const firstStore = bytes.findIndex((_, i) => store.every((byte, k) => bytes[i + k] === byte));
    expect(offsetsOf(bytes.subarray(0, firstStore), 'v128.load')).toEqual([0, 16]);
  });
});
