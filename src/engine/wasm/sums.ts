/** The sums that close a step: the loss of the batch, the l1 and l2 terms, the norm of the gradients, the finite check. */
import type { PlannedLayer } from '../backend.ts';
import type { Index } from './assembler.ts';
import {
  addColumnsKernel,
  addRowsKernel,
  addWholeKernel,
  type Kernel,
  type KernelContext,
  type KernelFunction,
  once,
} from './kernel.ts';
import type { LayerLayout, Panels } from './layout.ts';
import { resultOffset, scalarOffset } from './scalars.ts';

/** loss = scale·Σ_row weight·loss of the row, rows ascending, plus the l1 and l2 terms of `penaltyKernel`. */
export function lossKernel(context: KernelContext): KernelFunction {
  const { layout } = context;
  return addColumnsKernel(context, (kernel) => {
    const { f, o, count, zero } = kernel;
    const [sum, row, at] = [o.newLocal(), f.local('i32'), f.local('i32')];
    once(kernel, () => {
      f.whileBelow(row, { local: count }, 1, () => {
        const loss = o.loadSplat(at, layout.rowLosses);
        const term = layout.weighted ? o.mul(o.loadSplat(at, layout.rowWeights), loss) : loss;
        o.run([{ value: o.add(o.local(sum), term), local: sum }]);
        f.increment(at, layout.bytesPerNumber);
      });
      const data = o.mul(o.loadInvariant(zero, scalarOffset(layout, 'scale')), o.local(sum));
      // 0 where no layer is penalized.
      const penalty = o.load(zero, resultOffset(layout, 'penalty'));
      o.run([{ value: o.add(data, penalty), base: zero, offset: resultOffset(layout, 'loss') }]);
    });
  });
}

/**
 * penalty = Σ over the layers of l1·Σ|w| + l2·Σw², or null without one. It is divided like the rows, because it has to be
 * done before the weights change; the thread that has the first row does all of it.
 */
export function penaltyKernel(context: KernelContext): KernelFunction | null {
  const { layout } = context;
  if (!layout.layers.some(penalized)) return null;
  return addRowsKernel(context, (kernel) => {
    const { f, o, first, zero } = kernel;
    f.get(first).op('i32.eqz');
    f.if(() => {
      const total = emitPenalty(context, kernel);
      o.run([{ value: o.local(total), base: zero, offset: resultOffset(layout, 'penalty') }]);
    });
  });
}

const penalized = ({ layer: { l1, l2 } }: LayerLayout) => l1 !== 0 || l2 !== 0;

/** Σ over the layers of l1·Σ|w| + l2·Σw², weights unit by unit as in the flat buffer; a local that holds it. */
function emitPenalty({ layout }: KernelContext, kernel: Kernel): Index {
  const layers = layout.layers.filter(penalized);
  const { o } = kernel;
  const total = o.newLocal();
  for (const { layer, weights } of layers) {
    const [absolute, squares] = [o.newLocal(), o.newLocal()];
    for (const local of [absolute, squares]) kernel.f.v128(new Uint8Array(16)).set(local);
    forWeights(kernel, layout.bytesPerNumber, weights, layer.units, (at) => {
      const w = o.loadSplat(at, layout.parameters + weights.offset);
      o.run([
        { value: o.add(o.local(absolute), o.abs(w)), local: absolute },
        { value: o.mulAdd(w, w, o.local(squares)), local: squares },
      ]);
    });
    o.run([{ value: addTerms(kernel, layer, total, absolute, squares), local: total }]);
  }
  return total;
}

function addTerms({ o }: Kernel, { l1, l2 }: PlannedLayer, total: Index, absolute: Index, squares: Index) {
  let sum = o.local(total);
  if (l1 !== 0) sum = o.mulAdd(o.constant(l1), o.local(absolute), sum);
  return l2 === 0 ? sum : o.mulAdd(o.constant(l2), o.local(squares), sum);
}

/** Runs the body for every weight in the order of the flat buffer, with the byte offset of the weight in its panels. */
function forWeights({ f }: Kernel, bytes: number, panels: Panels, units: number, body: (at: Index) => void): void {
  const [panel, unit, k, at] = [f.local('i32'), f.local('i32'), f.local('i32'), f.local('i32')];
  const emitPanel = (width: number, used: number) => {
    f.i32(0).set(unit);
    f.whileBelow(unit, used, 1, () => {
      f.get(panel)
        .i32(panels.width * panels.inner * bytes)
        .op('i32.mul')
        .get(unit)
        .i32(bytes)
        .op('i32.mul')
        .op('i32.add')
        .set(at);
      f.i32(0).set(k);
      f.whileBelow(k, panels.inner, 1, () => {
        body(at);
        f.increment(at, width * bytes);
      });
    });
  };
  const whole = Math.floor(units / panels.width);
  f.i32(0).set(panel);
  f.whileBelow(panel, whole, 1, () => emitPanel(panels.width, panels.width));
  const rest = units - whole * panels.width;
  if (rest > 0) emitPanel(panels.columns - whole * panels.width, rest);
}

/** Σ g² over all gradients in the order of the flat buffer, in float64 whatever the precision. */
export function squaresKernel(context: KernelContext, name: string): void {
  const { layout } = context;
  const bytes = layout.bytesPerNumber;
  addWholeKernel(context, name, (kernel) => {
    const { f, zero } = kernel;
    const [sum, g] = [f.local('f64'), f.local('f64')];
    const addSquare = (at: Index, offset: number) => {
      f.get(at).memory(bytes === 4 ? 'f32.load' : 'f64.load', layout.gradients + offset);
      if (bytes === 4) f.op('f64.promote_f32');
      f.tee(g).get(g).op('f64.mul').get(sum).op('f64.add').set(sum);
    };
    for (const { layer, weights, biases, gamma, beta } of layout.layers) {
      forWeights(kernel, bytes, weights, layer.units, (at) => addSquare(at, weights.offset));
      for (const vector of [biases, gamma, beta]) {
        if (vector === null) continue;
        const at = f.local('i32');
        f.i32(0).set(at);
        f.whileBelow(at, layer.units * bytes, bytes, () => addSquare(at, vector));
      }
    }
    f.get(zero).get(sum).memory('f64.store', resultOffset(layout, 'squares'));
  });
}

/**
 * check = Σ x·0 over the parameters and moments: 0 if all of them, padding included, are finite, else NaN. A sum per
 * vector of a cache line, so that memory and not the latency of an addition sets the pace.
 */
export function checkKernel(context: KernelContext, name: string): void {
  const { layout } = context;
  addWholeKernel(context, name, ({ f, o, zero }) => {
    const sums = Array.from({ length: 4 }, () => o.newLocal());
    for (const block of [layout.parameters, ...layout.slots]) {
      const at = f.local('i32');
      f.whileBelow(at, layout.blockBytes, 16 * sums.length, () => {
        o.run(
          sums.map((sum, i) => ({
            value: o.mulAdd(o.load(at, block + i * 16), o.constant(0), o.local(sum)),
            local: sum,
          })),
        );
      });
    }
    const check = sums.map((sum) => o.local(sum)).reduce((sum, value) => o.add(sum, value));
    o.run([{ value: check, base: zero, offset: resultOffset(layout, 'check') }]);
  });
}
