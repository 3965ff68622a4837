import { describe, expect, it } from 'vitest';
import type { Arithmetic } from '../../../src/engine/arithmetic.ts';
import type { Precision } from '../../../src/engine/definition.ts';
import { float32 } from '../../../src/engine/math/float32.ts';
import { float64 } from '../../../src/engine/math/float64.ts';
import { type FunctionBuilder, ModuleBuilder } from '../../../src/engine/wasm/assembler.ts';
import { Lanes } from '../../../src/engine/wasm/lanes.ts';
import { differences, laneFunction } from './lane-function.ts';

const scalars: Record<Precision, Arithmetic<number, boolean>> = { float32, float64 };
const precisions = ['float32', 'float64'] as const;

/** Every pair of awkward numbers: zeros, subnormals, ties, ends of the range, infinities and NaN. */
function awkward(precision: Precision): number[] {
  const { fround } = Math;
  const round = precision === 'float32' ? fround : (x: number) => x;
  const ends =
    precision === 'float32'
      ? [2 ** -149, 2 ** -126, 3.4028234663852886e38]
      : [5e-324, 2 ** -1022, 1.7976931348623157e308];
  const positive = [0, 0.1, 0.5, 1, 1.5, 2.5, 3, 1 / 3, 7.25, 1e-5, 123456.7, 8388607.5, ...ends, Infinity].map(round);
  return [...positive, ...positive.map((x) => -x), Number.NaN];
}

type Formula = <T, M>(o: Arithmetic<T, M>, a: T, b: T) => T;
const operations: Record<string, Formula> = {
  add: (o, a, b) => o.add(a, b),
  sub: (o, a, b) => o.sub(a, b),
  mul: (o, a, b) => o.mul(a, b),
  div: (o, a, b) => o.div(a, b),
  sqrt: (o, a) => o.sqrt(a),
  neg: (o, a) => o.neg(a),
  abs: (o, a) => o.abs(a),
  nearest: (o, a) => o.nearest(a),
  mulAdd: (o, a, b) => o.mulAdd(a, b, o.constant(0.7)),
  minimum: (o, a, b) => o.minimum(a, b),
  maximum: (o, a, b) => o.maximum(a, b),
  'minimum with 0': (o, a) => o.minimum(o.constant(0), a),
  'minimum with -0': (o, a) => o.minimum(a, o.constant(-0)),
  'minimum with 1.5': (o, a) => o.minimum(a, o.constant(1.5)),
  'maximum with 0': (o, a) => o.maximum(a, o.constant(0)),
  'maximum with -0': (o, a) => o.maximum(o.constant(-0), a),
  'maximum with -1.5': (o, a) => o.maximum(a, o.constant(-1.5)),
  'select by less': (o, a, b) => o.select(o.less(a, b), a, o.constant(5)),
  'the larger by select': (o, a, b) => o.select(o.less(a, b), b, a),
  'the smaller by select': (o, a, b) => o.select(o.less(a, b), a, b),
  'positive part by select': (o, a) => o.select(o.less(a, o.constant(0)), o.constant(0), a),
  'select by lessOrEqual, 0 if true': (o, a, b) => o.select(o.lessOrEqual(a, b), o.constant(0), b),
  'select by equal, 0 if false': (o, a, b) => o.select(o.equal(a, b), a, o.constant(0)),
  'folded constants': (o, a) => o.mul(a, o.div(o.constant(1), o.sub(o.constant(0.3), o.constant(0.1)))),
  'a value used three times': (o, a, b) => o.mul(o.add(a, b), o.sub(o.add(a, b), o.sqrt(o.add(a, b)))),
};

describe.each(precisions)('strict lanes in %s', (precision) => {
  const numbers = awkward(precision);
  const left = numbers.flatMap((a) => numbers.map(() => a));
  const right = numbers.flatMap(() => numbers);

  it.each(Object.entries(operations))('give the bits of the scalar specification: %s', (_name, formula) => {
    const want = left.map((a, i) => formula(scalars[precision], a, right[i]));
    const run = laneFunction(precision, 'strict', 2, (o, [a, b]) => formula(o, a, b));
    expect(differences(run(left, right), want)).toEqual([]);
  });

  it('take numbers apart into exponent and mantissa, and scale by powers of two', () => {
    const positive = numbers.filter((x) => x >= 2 ** -126 && x < Infinity);
    const scalar = scalars[precision];
    const part = (name: 'exponent' | 'mantissa') =>
      laneFunction(precision, 'strict', 1, (o, [a]) => o[name](a))(positive);
    expect(differences(part('exponent'), positive.map(scalar.exponent))).toEqual([]);
    expect(differences(part('mantissa'), positive.map(scalar.mantissa))).toEqual([]);
    const powers = Array.from({ length: 254 }, (_, i) => i - 126);
    const scaled = laneFunction(precision, 'strict', 2, (o, [a, n]) => o.scale(a, n));
    const values = powers.map((n) => Math.fround(1.1 + n / 1000));
    expect(
      differences(
        scaled(values, powers),
        values.map((x, i) => scalar.scale(x, powers[i])),
      ),
    ).toEqual([]);
  });

  it('transpose a square of vectors', () => {
    const lanes = precision === 'float32' ? 4 : 2;
    const row = (i: number) => Array.from({ length: lanes }, (_, j) => 10 * i + j);
    const rows = Array.from({ length: lanes }, (_, i) => row(i));
    for (let column = 0; column < lanes; column++) {
      const run = laneFunction(precision, 'strict', lanes, (o, vectors) => o.transpose(vectors)[column]);
      expect(run(...rows)).toEqual(rows.map((_, i) => 10 * i + column));
    }
  });
});

describe('fused lanes', () => {
  it('differ from strict ones only by the missing rounding of the product', () => {
    const a = Array.from({ length: 1000 }, (_, i) => Math.fround(1 + i / 997));
    const run = laneFunction('float32', 'fused', 1, (o, [x]) => o.mulAdd(x, x, o.constant(-1)));
    const fused = a.map((x) => Math.fround(x * x - 1)); // x² is exact in float64 and so is x² − 1
    const strict = a.map((x) => float32.mulAdd(x, x, -1));
    expect([differences(run(a), fused).length, differences(run(a), strict).length]).toContain(0);
  });
});

describe('the graph', () => {
  it('holds equal subexpressions once and reads a value used twice from a local', () => {
    const module = new ModuleBuilder({ module: 'env', name: 'memory', minimum: 1 });
    module.function(['i32'], [], (f) => {
      const o = new Lanes(f, 'float32', 'strict');
      const sum = () => o.add(o.load(0, 0), o.load(0, 16));
      expect(sum()).toBe(sum());
      o.run([{ value: o.mul(sum(), sum()), base: 0, offset: 32 }]);
    });
    const bytes = module.encode();
    expect(WebAssembly.validate(bytes)).toBe(true);
    const adds = [...bytes].filter((byte, i) => byte === 0xe4 && bytes[i - 1] === 0xfd);
    expect(adds).toHaveLength(1);
  });

  /** Bytes of a function that `emit` fills. */
  const bytesOf = (emit: (o: Lanes, f: FunctionBuilder) => void): number[] => {
    const module = new ModuleBuilder({ module: 'env', name: 'memory', minimum: 1 });
    module.function(['i32'], [], (f) => emit(new Lanes(f, 'float32', 'strict'), f), 'run');
    const bytes = module.encode();
    expect(WebAssembly.validate(bytes)).toBe(true);
    return [...bytes];
  };

  it('makes one instruction of the larger of two', () => {
    const bytes = bytesOf((o) => {
      const [a, b] = [o.load(0, 0), o.load(0, 16)];
      o.run([{ value: o.select(o.less(a, b), b, a), base: 0, offset: 32 }]);
    });
    const opcodesAfterPrefix = bytes.filter((_, i) => bytes[i - 1] === 0xfd);
    const [pmax, lessThan] = [0xeb, 0x43];
    expect(opcodesAfterPrefix).toContain(pmax);
    expect(opcodesAfterPrefix).not.toContain(lessThan);
  });

  it('emits chains side by side, and what is postponed bit by bit from the values that are there already', () => {
    const bytes = bytesOf((o, f) => {
      const groups = [0, 64].map((at) => {
        const root = o.sqrt(o.load(0, at));
        return { now: o.add(root, root), later: o.mul(root, root), at };
      });
      const postponed = o.runSideBySide(
        groups.map(({ now, at }) => [{ value: now, base: 0, offset: at + 16 }]),
        groups.map(({ later, at }) => [{ value: later, base: 0, offset: at + 32 }]),
      );
      f.get(0).op('drop');
      for (const _ of postponed) f.get(0).op('drop');
    });
    const names: Record<number, string> = { 227: 'sqrt', 228: 'add', 230: 'mul' };
    const order = bytes.flatMap((byte, i) => (bytes[i - 1] === 0xfd ? (names[byte] ?? []) : []));
    expect(order).toEqual(['sqrt', 'sqrt', 'add', 'add', 'mul', 'mul']);
    const memory = new WebAssembly.Memory({ initial: 1 });
    const module = new WebAssembly.Module(Uint8Array.from(bytes));
    const { run } = new WebAssembly.Instance(module, { env: { memory } }).exports;
    const numbers = new Float32Array(memory.buffer);
    numbers.fill(4, 0, 4).fill(9, 16, 20);
    (run as (at: number) => void)(0);
    expect([4, 8, 20, 24].map((i) => numbers[i])).toEqual([4, 4, 6, 9]);
  });
});
