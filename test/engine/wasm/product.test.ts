import { describe, expect, it } from 'vitest';
import { ModuleBuilder } from '../../../src/engine/wasm/assembler.ts';
import { Lanes } from '../../../src/engine/wasm/lanes.ts';
import { emitProduct, type Tile, tileFor } from '../../../src/engine/wasm/product.ts';
import { noise } from './compare.ts';

const { fround } = Math;
const GUARD = 12345.5;
const A = 4096;
const B = A + 140 * 130 * 4;
const C = B + 140 * 144 * 4;
const PAGES = 5;

interface Sizes {
  readonly rows: number;
  readonly terms: number;
  readonly columns: number;
}

/** Compiles c = a·b for these sizes, rows and terms known or only counted at run time, and runs it on noise. */
function product(tile: Tile, { rows, terms, columns }: Sizes, dynamic: boolean) {
  const padded = Math.ceil(columns / 8) * 8;
  const width = tile.vectors * 4;
  const stride = (padded + 16) * 4;
  const module = new ModuleBuilder({ module: 'engine', name: 'memory', minimum: PAGES });
  const body = (f: Parameters<Parameters<ModuleBuilder['function']>[2]>[0]) => {
    const o = new Lanes(f, 'float32', 'strict');
    const at = f.local('i32');
    const sizes = dynamic
      ? { rows: { local: 0 }, terms: { local: 1 }, usualRemainder: rows % 2 === 0 ? rows % tile.rows : 0 }
      : { rows, terms, usualRemainder: 0 };
    const panels = {
      a: A,
      aRow: terms * 4,
      aTerm: 4,
      b: B,
      bPanel: terms * width * 4,
      bTerm: (vectors: number) => vectors * 16,
    };
    emitProduct(
      f,
      o,
      tile,
      { ...panels, ...sizes, columns: padded },
      ({ firstRow, column }) => f.get(firstRow).i32(stride).op('i32.mul').get(column).op('i32.add').set(at),
      ({ row, values }) => o.run(values.map((value, v) => ({ value, base: at, offset: C + row * stride + v * 16 }))),
    );
  };
  module.function(['i32', 'i32'], [], body, 'run');
  const memory = new WebAssembly.Memory({ initial: PAGES });
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(module.encode()), { engine: { memory } });
  const numbers = new Float32Array(memory.buffer);
  for (let i = 0; i < rows * terms; i++) numbers[A / 4 + i] = noise(i) - 0.5;
  const b = (k: number, j: number) => (j < columns ? fround(noise(k * columns + j + 5000) - 0.5) : 0);
  for (let j = 0; j < padded; j++) {
    const panel = Math.floor(j / width);
    const panelWidth = Math.min(width, padded - panel * width);
    for (let k = 0; k < terms; k++) {
      numbers[B / 4 + panel * width * terms + k * panelWidth + (j - panel * width)] = b(k, j);
    }
  }
  numbers.fill(GUARD, C / 4);
  (exports.run as (rows: number, terms: number) => void)(rows, terms);
  return { numbers, stride: stride / 4, padded, b };
}

describe.each([
  ['narrow', tileFor(2, false)],
  ['wide', { rows: 4, vectors: 4 }],
  ['of one vector', tileFor(1, false)],
] as const)('a %s tile', (_name, tile) => {
  it.each([1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 127])(
    'sums %d rows, terms or columns in ascending order and writes nothing beside them',
    (n) => {
      const faults: string[] = [];
      for (const sizes of [
        { rows: n, terms: 5, columns: 9 },
        { rows: 7, terms: n, columns: 9 },
        { rows: 7, terms: 5, columns: n },
      ]) {
        for (const dynamic of [false, true]) {
          const { rows, terms } = sizes;
          const { numbers, stride, padded, b } = product(tile, sizes, dynamic);
          const computed = dynamic ? Math.ceil(rows / tile.rows) * tile.rows : rows;
          for (let i = 0; i < computed + 4; i++) {
            for (let j = 0; j < stride; j++) {
              const got = numbers[C / 4 + i * stride + j];
              if (i >= rows && i < computed) continue;
              let want = GUARD;
              if (i < rows && j < padded) {
                want = 0;
                for (let k = 0; k < terms; k++) want = fround(want + fround(numbers[A / 4 + i * terms + k] * b(k, j)));
              }
              if (!Object.is(got, want)) faults.push(`${JSON.stringify(sizes)} (${i}, ${j}): got ${got}, want ${want}`);
            }
          }
        }
      }
      expect(faults).toEqual([]);
    },
  );
});
