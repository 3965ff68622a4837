import { describe, expect, it } from 'vitest';
import { ModuleBuilder } from '../../../src/engine/wasm/assembler.ts';
import { ByteWriter } from '../../../src/engine/wasm/byte-writer.ts';
import { splatBytes } from '../../../src/engine/wasm/lane-shape.ts';

function written(write: (out: ByteWriter) => void): number[] {
  const out = new ByteWriter();
  write(out);
  return [...out.bytes];
}

const header = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];

describe('LEB128', () => {
  it.each([
    [0, [0x00]],
    [127, [0x7f]],
    [128, [0x80, 0x01]],
    [624485, [0xe5, 0x8e, 0x26]],
    [0xffffffff, [0xff, 0xff, 0xff, 0xff, 0x0f]],
  ])('writes %d unsigned', (value, bytes) => {
    expect(written((out) => out.unsigned(value))).toEqual(bytes);
  });

  it.each([
    [0, [0x00]],
    [63, [0x3f]],
    [64, [0xc0, 0x00]],
    [-1, [0x7f]],
    [-64, [0x40]],
    [-65, [0xbf, 0x7f]],
    [-123456, [0xc0, 0xbb, 0x78]],
    [-(2 ** 31), [0x80, 0x80, 0x80, 0x80, 0x78]],
  ])('writes %d signed', (value, bytes) => {
    expect(written((out) => out.signed(value))).toEqual(bytes);
  });
});

describe('a module', () => {
  it('with one exported function is, byte for byte, what the specification says', () => {
    const module = new ModuleBuilder();
    module.function(['i32', 'i32'], ['i32'], (f) => f.get(0).get(1).op('i32.add'), 'add');
    expect([...module.encode()]).toEqual([
      ...header,
      ...[0x01, 0x07, 0x01, 0x60, 0x02, 0x7f, 0x7f, 0x01, 0x7f],
      ...[0x03, 0x02, 0x01, 0x00],
      ...[0x07, 0x07, 0x01, 0x03, 0x61, 0x64, 0x64, 0x00, 0x00],
      ...[0x0a, 0x09, 0x01, 0x07, 0x00, 0x20, 0x00, 0x20, 0x01, 0x6a, 0x0b],
    ]);
  });

  it('declares a shared memory with its maximum, and locals in runs of equal type', () => {
    const module = new ModuleBuilder({ module: 'e', name: 'm', minimum: 1, maximum: 200, shared: true });
    module.function([], [], (f) => {
      for (const type of ['i32', 'i32', 'v128'] as const) f.local(type);
    });
    expect([...module.encode()]).toEqual([
      ...header,
      ...[0x01, 0x04, 0x01, 0x60, 0x00, 0x00],
      ...[0x02, 0x0a, 0x01, 0x01, 0x65, 0x01, 0x6d, 0x02, 0x03, 0x01, 0xc8, 0x01],
      ...[0x03, 0x02, 0x01, 0x00],
      ...[0x0a, 0x08, 0x01, 0x06, 0x02, 0x02, 0x7f, 0x01, 0x7b, 0x0b],
    ]);
  });

  it('encodes SIMD, relaxed SIMD and atomic instructions with their prefix and immediates', () => {
    const module = new ModuleBuilder({ module: 'e', name: 'm', minimum: 1, maximum: 1, shared: true });
    module.function(['i32'], [], (f) => {
      f.get(0).get(0).memory('v128.load', 16).get(0).memory('v128.load32_splat', 4);
      f.get(0).memory('v128.load').op('f32x4.relaxed_madd').memory('v128.store', 300);
      f.get(0).i32(1).i32(0).op('drop').memory('i32.atomic.store');
    });
    const bytes = module.encode();
    expect(WebAssembly.validate(bytes)).toBe(true);
    expect(Buffer.from(bytes).includes(Buffer.from([0xfd, 0x00, 0x04, 0x10, 0x20, 0x00, 0xfd, 0x09, 0x02, 0x04]))).toBe(
      true,
    );
    expect(Buffer.from(bytes).includes(Buffer.from([0xfd, 0x85, 0x02, 0xfd, 0x0b, 0x04, 0xac, 0x02]))).toBe(true);
    expect(Buffer.from(bytes).includes(Buffer.from([0xfe, 0x17, 0x02, 0x00]))).toBe(true);
  });

  it('reads one of several memories and writes another', () => {
    const memories = ['to', 'from'].map((name) => ({ module: 'e', name, minimum: 1 }));
    const module = new ModuleBuilder(...memories);
    module.function(
      [],
      [],
      (f) => {
        f.i32(0).i32(0).memory('i32.load', 300, 1).memory('i32.store', 8);
        f.i32(16).i32(300).i32(8).bulk('memory.copy', 1);
      },
      'copy',
    );
    const [to, from] = memories.map(() => new WebAssembly.Memory({ initial: 1 }));
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(module.encode()), { e: { to, from } });
    new Int32Array(from.buffer).set([5, 6, 7], 75);
    (exports.copy as () => void)();
    expect([...new Int32Array(to.buffer, 8, 5)]).toEqual([5, 0, 5, 6, 0]);
  });

  it('runs loops and branches', () => {
    const module = new ModuleBuilder();
    module.function(
      ['i32'],
      ['i32'],
      (f) => {
        const [sum, i] = [f.local('i32'), f.local('i32')];
        f.whileBelow(i, { local: 0 }, 1, () => {
          f.get(i).i32(1).op('i32.and');
          f.if(
            () => f.get(sum).get(i).op('i32.add').set(sum),
            () => f.increment(sum, 100),
          );
        });
        f.get(sum);
      },
      'sum',
    );
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(module.encode()));
    const sum = exports.sum as (n: number) => number;
    expect([0, 1, 2, 7].map(sum)).toEqual([0, 100, 101, 409]);
  });

  it('sets a constant once, in front of the body, however often it is used', () => {
    const module = new ModuleBuilder();
    const two = splatBytes('float32', 2);
    module.function([], [], (f) => {
      const first = f.constant(two);
      f.get(first).op('drop');
      expect(f.constant(two)).toBe(first);
    });
    const bytes = Buffer.from(module.encode());
    const constant = Buffer.from([0xfd, 0x0c, ...two, 0x21, 0x00]);
    expect(bytes.indexOf(constant)).toBeGreaterThan(0);
    expect(bytes.indexOf(constant)).toBe(bytes.lastIndexOf(constant));
    expect(WebAssembly.validate(new Uint8Array(bytes))).toBe(true);
  });
});
