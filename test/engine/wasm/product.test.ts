import { describe, expect, it } from 'vitest';
import { ModuleBuilder } from '../../../src/engine/wasm/assembler.ts';
import { Lanes } from '../../../src/engine/wasm/lanes.ts';
import { emitProduct, lastTiles, type Tile, tileFor } from '../../../src/engine/wasm/product.ts';
import { noise } from './compare.ts';

const { fround } = Math;
const GUARD = 12345.5;
const A = 4096;
const PREPARED = 64;

interface Sizes {
  readonly rows: number;
  readonly terms: number;
  readonly columns: number;
}

interface Variant {
  /** Whether rows and terms are known only when the code runs, or the rows alone. */
  readonly dynamic: boolean | 'rows';
  readonly blockRows?: number;
  /** Absent: the rows, where they are even. */
  readonly usualRows?: number;
}

/** Compiles c = a·b for these sizes and runs it on noise. Behind b a panel of it can be read, and no more. */
function product(tile: Tile, { rows, terms, columns }: Sizes, { dynamic, usualRows, ...blocks }: Variant) {
  const padded = Math.ceil(columns / 8) * 8;
  const width = tile.vectors * 4;
  const stride = (padded + 16) * 4;
  const C = A + (rows + tile.rows) * terms * 4;
  const lengthOfB = terms * padded * 4;
  const behind = terms * width * 4;
  const PAGES = Math.ceil((C + (rows + tile.rows + 4) * stride + lengthOfB + behind) / 65536);
  const B = PAGES * 65536 - behind - lengthOfB;
  const module = new ModuleBuilder({ module: 'engine', name: 'memory', minimum: PAGES });
  const body = (f: Parameters<Parameters<ModuleBuilder['function']>[2]>[0]) => {
    const o = new Lanes(f, 'float32', 'strict');
    const at = f.local('i32');
    const sizes = {
      rows: dynamic ? { local: 0 } : rows,
      terms: dynamic === true ? { local: 1 } : terms,
      ...(dynamic && (usualRows ?? rows % 2 === 0) && { usualRows: usualRows ?? rows }),
    };
    const beforePanel = () => f.i32(PREPARED).i32(PREPARED).memory('i32.load').i32(1).op('i32.add').memory('i32.store');
    const panels = {
      a: A,
      aRow: terms * 4,
      aTerm: () => 4,
      b: B,
      bPanel: terms * width * 4,
      bTerm: (vectors: number) => vectors * 16,
    };
    emitProduct(
      f,
      o,
      tile,
      { ...panels, ...sizes, ...blocks, columns: padded, beforePanel },
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
  numbers.fill(GUARD, C / 4, B / 4);
  (exports.run as (rows: number, terms: number) => void)(rows, terms);
  const prepared = new Int32Array(memory.buffer)[PREPARED / 4];
  return { prepared, numbers: numbers.subarray(C / 4), a: numbers.subarray(A / 4), stride: stride / 4, padded, b };
}

/** What differs from the sums in ascending order, and what was written beside them. */
function faultsOf(tile: Tile, sizes: Sizes, variant: Variant): string[] {
  const faults: string[] = [];
  const { rows, terms } = sizes;
  const { numbers, a, stride, padded, b } = product(tile, sizes, variant);
  const computed = variant.dynamic ? Math.ceil(rows / tile.rows) * tile.rows : rows;
  for (let i = 0; i < computed + 4; i++) {
    for (let j = 0; j < stride; j++) {
      const got = numbers[i * stride + j];
      if (i >= rows && i < computed) continue;
      let want = GUARD;
      if (i < rows && j < padded) {
        want = 0;
        for (let k = 0; k < terms; k++) want = fround(want + fround(a[i * terms + k] * b(k, j)));
      }
      if (!Object.is(got, want)) faults.push(`${JSON.stringify(sizes)} (${i}, ${j}): got ${got}, want ${want}`);
    }
  }
  return faults;
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
          const { rows } = sizes;
          faults.push(...faultsOf(tile, sizes, { dynamic }));
          if (rows > tile.rows) faults.push(...faultsOf(tile, sizes, { dynamic, blockRows: tile.rows }));
          if (rows > 5 * tile.rows) faults.push(...faultsOf(tile, sizes, { dynamic, blockRows: 2 * tile.rows }));
        }
      }
      expect(faults).toEqual([]);
    },
  );

  it('sums any number of rows where its last tiles are cut for another', () => {
    const faults: string[] = [];
    for (const usualRows of [1, 2, 3, 4, 5, 6, 7, 8, 9, 20, 21]) {
      for (let rows = 1; rows <= 2 * usualRows; rows++) {
        faults.push(...faultsOf(tile, { rows, terms: 5, columns: 9 }, { dynamic: 'rows', usualRows }));
      }
    }
    expect(faults).toEqual([]);
  });

  it('fetches the panels of a large matrix ahead without reading behind what is there', () => {
    const large = { rows: 2 * tile.rows + 3, terms: 513, columns: 136 };
    expect(large.terms * large.columns * 4).toBeGreaterThan(2 ** 18);
    for (const dynamic of [false, 'rows'] as const) expect(faultsOf(tile, large, { dynamic })).toEqual([]);
    expect(faultsOf(tile, { rows: 1, terms: 3, columns: 22000 }, { dynamic: false })).toEqual([]);
  });

  it('prepares each panel once, whatever blocks the rows are taken in', () => {
    const panels = Math.ceil(40 / (tile.vectors * 4));
    for (const blocks of [{}, { blockRows: tile.rows }, { blockRows: 2 * tile.rows }]) {
      const { prepared } = product(tile, { rows: 33, terms: 5, columns: 40 }, { dynamic: false, ...blocks });
      expect(prepared).toBe(panels);
    }
  });
});

describe('the last tiles', () => {
  const six = { rows: 6, vectors: 4 };
  it.each([
    [128, [4, 4]],
    [49, [5, 4, 4]],
    [51, [5, 4]],
    [64, [4]],
    [65, [5]],
    [66, []],
    [3, [3]],
    [7, [4, 3]],
    [0, []],
  ])('of %d rows in tiles of six are %j', (rows, tiles) => {
    expect(lastTiles(rows, six)).toEqual(tiles);
  });

  it('are high enough to hide the latency of an accumulation, with whole tiles before them, wherever rows suffice', () => {
    for (const height of [4, 5, 6, 13]) {
      for (let rows = height * height; rows < height * height + height; rows++) {
        const last = lastTiles(rows, { rows: height, vectors: 1 });
        expect((rows - last.reduce((sum, count) => sum + count, 0)) % height).toBe(0);
        expect(Math.min(height, ...last)).toBeGreaterThanOrEqual((2 * height) / 3);
        expect(Math.max(0, ...last)).toBeLessThanOrEqual(height);
      }
    }
  });
});
