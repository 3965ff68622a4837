/**
 * Finds out by experiment what the machine does with our code: whether multiply-add is fused, and whether V8's
 * revectorizer joins pairs of vectors. Both can fail without a sign, so neither is concluded from a version.
 */
import type { ArithmeticMode } from '../definition.ts';
import { ModuleBuilder } from './assembler.ts';
import { Lanes } from './lanes.ts';
import { emitProduct, type Tile, tileFor } from './product.ts';

/** A product of 48 × 256 and 256 × 64 numbers: it fits into the L1 and L2 caches and takes microseconds. */
const ROWS = 48;
const TERMS = 256;
const COLUMNS = 64;
const A = 1024;
const B = A + ROWS * TERMS * 4;
const C = B + TERMS * COLUMNS * 4;
const END = C + ROWS * COLUMNS * 4;

/** Multiply-adds of one call of a probe's product, each two floating-point operations. */
export const PROBE_OPERATIONS = 2 * ROWS * TERMS * COLUMNS;

/** A matrix product compiled with one shape of tile, to be timed; `result` is C as the panels' rows give it. */
export interface Probe {
  run(): void;
  result(): Float32Array;
}

export function productProbe(tile: Tile, mode: ArithmeticMode): Probe {
  const pages = Math.ceil(END / 65536);
  const module = new ModuleBuilder({ module: 'engine', name: 'memory', minimum: pages });
  module.function(
    [],
    [],
    (f) => {
      const [rows, at] = [f.local('i32'), f.local('i32')];
      const o = new Lanes(f, 'float32', mode);
      f.i32(ROWS).set(rows);
      emitProduct(
        f,
        o,
        tile,
        {
          a: A,
          aRow: TERMS * 4,
          aTerm: () => 4,
          b: B,
          bPanel: TERMS * tile.vectors * 16,
          bTerm: (vectors) => vectors * 16,
          terms: TERMS,
          rows: { local: rows },
          usualRows: ROWS,
          columns: COLUMNS,
        },
        ({ firstRow, column }) =>
          f
            .get(firstRow)
            .i32(COLUMNS * 4)
            .op('i32.mul')
            .get(column)
            .op('i32.add')
            .set(at),
        ({ row, values }) =>
          o.run(values.map((value, v) => ({ value, base: at, offset: C + row * COLUMNS * 4 + v * 16 }))),
      );
    },
    'run',
  );
  const memory = new WebAssembly.Memory({ initial: pages + 1 });
  const instance = new WebAssembly.Instance(new WebAssembly.Module(module.encode()), { engine: { memory } });
  const numbers = new Float32Array(memory.buffer, 0, END / 4);
  for (let i = 0; i < ROWS * TERMS; i++) numbers[A / 4 + i] = ((i * 37) % 64) / 63 - 0.4;
  // Element (k, j) is the same number wherever the panels of this tile put it.
  const width = tile.vectors * 4;
  for (let k = 0; k < TERMS; k++) {
    for (let j = 0; j < COLUMNS; j++) {
      const panel = Math.floor(j / width);
      numbers[B / 4 + panel * TERMS * width + k * width + (j % width)] = (((k * 11 + j) * 29) % 128) / 127 - 0.6;
    }
  }
  return { run: instance.exports.run as () => void, result: () => numbers.slice(C / 4, END / 4) };
}

/** Seconds per call, the least of several measurements: noise only adds. */
export function secondsPerCall(probe: Probe, now: () => number, rounds = 20, calls = 10): number {
  let least = Infinity;
  for (let round = 0; round < rounds; round++) {
    const start = now();
    for (let call = 0; call < calls; call++) probe.run();
    least = Math.min(least, (now() - start) / 1000 / calls);
  }
  return least;
}

/** Pairs count as fused when the wide tile is clearly faster: 2 times on x64, below 0.8 times where it only spills. */
const CLEARLY_FASTER = 1.3;

export interface RevectorizerProbe {
  readonly revectorized: boolean;
  /** Speed of the wide tile as a multiple of the narrow one's. */
  readonly speedup: number;
  /** Whether both gave the same bits. */
  readonly same_bits: boolean;
}

/**
 * Compares a tile of four vectors per row with one of a single vector, which has no pairs to join. `now` is a clock in
 * milliseconds.
 */
export function probeRevectorizer(now: () => number): RevectorizerProbe {
  const narrow = productProbe(tileFor(1, true), 'fused');
  const wide = productProbe({ rows: 6, vectors: 4 }, 'fused');
  const [slow, fast] = [secondsPerCall(narrow, now), secondsPerCall(wide, now)];
  const [expected, got] = [narrow.result(), wide.result()];
  const sameBits = expected.every((value, i) => Object.is(value, got[i]));
  const speedup = slow / fast;
  return { revectorized: sameBits && speedup > CLEARLY_FASTER, speedup, same_bits: sameBits };
}

let fusesHere: boolean | undefined;

/** Whether compiled multiply-adds in this arithmetic round once on this machine. Found once per process. */
export function roundsOnce(arithmetic: ArithmeticMode): boolean {
  if (arithmetic === 'strict') return false;
  fusesHere ??= probeFused();
  return fusesHere;
}

/** Whether `fused` arithmetic rounds once here: (1 + 2⁻¹²)² − 1 keeps its last term 2⁻²⁴ only then. */
export function probeFused(): boolean {
  const memory = new WebAssembly.Memory({ initial: 1 });
  const module = new ModuleBuilder({ module: 'engine', name: 'memory', minimum: 1 });
  module.function(
    [],
    [],
    (f) => {
      const at = f.local('i32');
      const o = new Lanes(f, 'float32', 'fused');
      const x = o.load(at, 0);
      o.run([{ value: o.mulAdd(x, x, o.constant(-1)), base: at, offset: 16 }]);
    },
    'run',
  );
  const instance = new WebAssembly.Instance(new WebAssembly.Module(module.encode()), { engine: { memory } });
  const numbers = new Float32Array(memory.buffer);
  numbers[0] = 1 + 2 ** -12;
  (instance.exports.run as () => void)();
  return numbers[4] === 2 ** -11 + 2 ** -24;
}
