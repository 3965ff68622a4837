import { describe, expect, it } from 'vitest';
import { resolveOptimizer } from '../../../src/engine/optimizers.ts';
import { plan } from '../../../src/engine/plan.ts';
import { ModuleBuilder } from '../../../src/engine/wasm/assembler.ts';
import { weightGradientKernel } from '../../../src/engine/wasm/backward.ts';
import { PAGE } from '../../../src/engine/wasm/data-memory.ts';
import { WHOLE } from '../../../src/engine/wasm/kernel.ts';
import { createLayout } from '../../../src/engine/wasm/layout.ts';
import { pieceOf } from '../../../src/engine/wasm/next-rows.ts';
import { tileFor } from '../../../src/engine/wasm/product.ts';
import { scalarNames, wordOffset } from '../../../src/engine/wasm/scalars.ts';

interface Shape {
  readonly inputs: number;
  readonly units: number;
  readonly batch: number;
}

/** The kernel of the first layer's weights, alone in a module; the rows of the data end where the memory ends. */
function gradient({ inputs, units, batch }: Shape) {
  const optimizer = resolveOptimizer('sgd');
  const layers = [{ units, activation: 'relu' as const }];
  const layout = createLayout({
    plan: plan({ input_size: inputs, layers, loss: 'mean_squared_error', precision: 'float32' }),
    tile: tileFor(2, true),
    batch,
    threads: 1,
    slots: 0,
    storesGradients: false,
    labels: false,
    weighted: false,
    apart: [],
    optimizerScalars: scalarNames(optimizer),
  });
  const rows = 3 * batch;
  const pages = Math.ceil((layout.end + rows * inputs * 4) / PAGE);
  const module = new ModuleBuilder({ module: 'engine', name: 'memory', minimum: pages });
  const context = { module, layout, mode: 'fused' } as const;
  const rule = { optimizer, clip: { kind: 'none' } } as const;
  const { index } = weightGradientKernel(context, layout.inputs, layout.layers[0], rule);
  module.function(['i32', 'i32', 'i32'], [], (f) => f.get(0).get(1).get(2).call(index), 'run');
  const memory = new WebAssembly.Memory({ initial: pages });
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(module.encode()), { engine: { memory } });
  const { nextOrder } = layout;
  if (nextOrder === null) throw new Error('nothing is fetched');
  new Uint32Array(memory.buffer)[wordOffset(layout, 'inputs') / 4] = pages * PAGE - rows * inputs * 4;
  const run = exports.run as (rows: number, from: number, to: number) => void;
  return { rows, run, order: new Uint32Array(memory.buffer, nextOrder, layout.capacity) };
}

/** Numbers of a batch's rows that are read, found out by placing one after the other behind the end of the memory. */
function fetchedBy({ rows, run, order }: ReturnType<typeof gradient>, batch: number, from: number, to: number) {
  return Array.from({ length: batch }, (_, i) => i).filter((i) => {
    order.fill(rows - 1);
    order[i] = rows;
    try {
      run(batch, from, to);
      return false;
    } catch (thrown) {
      if (!String(thrown).includes('memory access out of bounds')) throw thrown;
      return true;
    }
  });
}

const upTo = (from: number, end: number) => Array.from({ length: end - from }, (_, i) => from + i);

describe('while the gradient of the first weights is computed', () => {
  const shape = { inputs: 784, units: 128, batch: 64 };

  it('every row of the next batch is fetched, and nothing behind the last one', () => {
    expect(fetchedBy(gradient(shape), 64, 0, WHOLE)).toEqual(upTo(0, 64));
  });

  it('a share of the columns fetches its share of the rows', () => {
    const kernel = gradient(shape);
    expect(fetchedBy(kernel, 64, 0, WHOLE / 4)).toEqual(upTo(0, 16));
    expect(fetchedBy(kernel, 64, WHOLE / 4, WHOLE)).toEqual(upTo(16, 64));
    expect(fetchedBy(kernel, 64, WHOLE / 2, WHOLE / 2)).toEqual([]);
  });

  it.each([
    [shape, 63],
    [shape, 1],
    [{ inputs: 785, units: 64, batch: 33 }, 33],
    [{ inputs: 1027, units: 31, batch: 17 }, 17],
    [{ inputs: 16384, units: 9, batch: 4 }, 4],
    [{ inputs: 20000, units: 9, batch: 3 }, 3],
    [{ inputs: 67, units: 200, batch: 511 }, 510],
    [{ inputs: 33, units: 40, batch: 1000 }, 999],
  ])('nothing behind the last row is read: %o, %d rows', (sizes, rows) => {
    const kernel = gradient(sizes);
    kernel.order.fill(kernel.rows - 1);
    const shares = [0, WHOLE / 2, WHOLE].flatMap((from) => [WHOLE / 2, WHOLE].map((to) => [from, to] as const));
    for (const [from, to] of shares) expect(() => kernel.run(rows, from, to)).not.toThrow();
  });
});

describe('the pieces of a row', () => {
  it('are read by whole numbers and lie within the row', () => {
    for (let rowBytes = 4; rowBytes < 9000; rowBytes += 4) {
      for (const batch of [1, 3, 4, 5, 15, 64, 257, 10_000]) {
        const piece = pieceOf(rowBytes, batch);
        if (piece === null) continue;
        const { step, bytes } = piece;
        const turns = Math.floor(batch / 4);
        if (step % 4 !== 0 || step === 0 || bytes > rowBytes || (turns - 1) * step + 4 > bytes)
          expect.unreachable(`${rowBytes} bytes, ${batch} rows: ${JSON.stringify(piece)}`);
      }
    }
    expect([pieceOf(3136, 64), pieceOf(3136, 3), pieceOf(8, 64)]).toEqual([{ step: 16, bytes: 256 }, null, null]);
  });
});
