/** The backward kernels: δ of the layer below by tiles, gradients by tiles whose epilogue is the optimizer's update. */
import type { PlannedLayer } from '../backend.ts';
import { biasOptions, type Optimizer } from '../optimizers.ts';
import type { Resolved } from '../options.ts';
import type { Index } from './assembler.ts';
import { emitAlong, emitElementwise } from './elementwise.ts';
import type { Expression, Sink } from './expression.ts';
import { activationTraits, inPairs, tileAddress } from './forward.ts';
import {
  addColumnsKernel,
  addRowsKernel,
  forSampleGroups,
  type Kernel,
  type KernelContext,
  type KernelFunction,
  loadColumns,
  multiplied,
  once,
  shareOfColumns,
  shareOfPanels,
  storeColumns,
} from './kernel.ts';
import type { Lanes } from './lanes.ts';
import type { LayerLayout, Rows } from './layout.ts';
import { fetchNextRows } from './next-rows.ts';
import { gradientFactors, type SumsSinks } from './packing.ts';
import { emitPanels, emitProduct } from './product.ts';
import { scalarNames, scalarOffset } from './scalars.ts';

/** dLoss/da·mask·f'(y) for one vector; `element` addresses a row of one common stride. */
function throughActivation(
  o: Lanes,
  { layer, activationInputs: y, activations: a }: LayerLayout,
  gradient: Expression,
  load: (rows: Rows) => Expression,
): Expression {
  const { entry, options } = layer.activation;
  if (entry.kind === 'rowwise') throw new TypeError('not an elementwise activation');
  return o.mul(gradient, entry.derivative(o, load(y), load(a), options));
}

/**
 * dLoss/d(outputs of the layer below)[row][k] = Σ_unit δ[row][unit]·W[unit][k], and times the derivative of the layer
 * below's activation where that fits into the epilogue. Both [rows, units of the layer below].
 */
export function propagateKernel(context: KernelContext, current: LayerLayout, below: LayerLayout): KernelFunction {
  const { layout } = context;
  const { transposed, deltas } = current;
  if (transposed === null) throw new TypeError('the first layer propagates nothing');
  const fused = below.mask === null && activationTraits(below.layer, context).derivativeFits;
  return addRowsKernel(context, (kernel) => {
    const { f, o, first, count } = kernel;
    const target = tileAddress(kernel, below.deltas);
    emitProduct(
      f,
      o,
      layout.tile,
      {
        a: deltas.base,
        aRow: deltas.stride,
        aTerm: () => layout.bytesPerNumber,
        b: transposed.offset,
        bPanel: transposed.width * transposed.inner * layout.bytesPerNumber,
        bTerm: (vectors) => vectors * 16,
        terms: transposed.inner,
        rows: { local: count },
        firstRow: first,
        usualRows: layout.batch,
        columns: transposed.columns,
      },
      target.begin,
      ({ row, vectors, values }) =>
        inPairs(o, vectors, (v) => {
          const offset = row * below.deltas.stride + v * 16;
          // All rows of one layer have the same stride.
          const load = (rows: Rows) => o.load(target.at, rows.base + offset);
          const value = fused ? throughActivation(o, below, values[v], load) : values[v];
          return [{ value, base: target.at, offset: below.deltas.base + offset }];
        }),
    );
  });
}

/** What remains between `propagateKernel` and dLoss/dy: mask and activation in a pass of their own; null if nothing does. */
export function hiddenDeltaKernel(context: KernelContext, current: LayerLayout): KernelFunction | null {
  if (current.layer.activation.entry.kind === 'rowwise') return rowwiseDeltaKernel(context, current);
  if (current.mask === null && activationTraits(current.layer, context).derivativeFits) return null;
  return addRowsKernel(context, ({ f, o, first, count }) => {
    const { deltas, columns, mask } = current;
    emitElementwise(f, o, { rows: { local: count }, firstRow: first, columns, stride: deltas.stride }, (element, v) => {
      const load = (rows: Rows) => o.load(element, rows.base + v);
      const gradient = mask === null ? load(deltas) : o.mul(load(deltas), load(mask));
      return [{ value: throughActivation(o, current, gradient, load), base: element, offset: deltas.base + v }];
    });
  });
}

function rowwiseDeltaKernel(context: KernelContext, current: LayerLayout): KernelFunction {
  const { entry } = current.layer.activation;
  if (entry.kind !== 'rowwise') throw new TypeError('not a rowwise activation');
  const { activations: a, deltas, layer, mask } = current;
  return addRowsKernel(context, (kernel) => {
    const { f, o } = kernel;
    forSampleGroups(kernel, (sample) => {
      const at = multiplied(f, sample, a.stride);
      const factors = mask === null ? null : loadColumns(o, mask, at, 0, layer.units);
      const gradient = loadColumns(o, deltas, at, 0, layer.units).map((g, k) => (factors ? o.mul(g, factors[k]) : g));
      entry.backward(o, loadColumns(o, a, at, 0, layer.units), gradient, 0, layer.units);
      o.run(storeColumns(o, deltas, at, 0, gradient));
    });
  });
}

/** How a finished gradient is used: it updates its parameter at once, or is stored to be clipped first. */
export interface UpdateRule {
  readonly optimizer: Resolved<Optimizer>;
  readonly clip: { readonly kind: 'none' | 'norm' } | { readonly kind: 'value'; readonly limit: number };
}

/** The stores that follow from a gradient: those of the update, or the one into the gradient block. */
export function gradientSinks(
  context: KernelContext,
  kernel: Kernel,
  rule: UpdateRule,
  place: { readonly base: Index; readonly offset: number },
  gradient: Expression,
  decays: boolean,
): Sink[] {
  const { layout } = context;
  if (rule.clip.kind === 'norm')
    return [{ value: gradient, base: place.base, offset: layout.gradients + place.offset }];
  return updateSinks(context, kernel, rule, place, gradient, decays);
}

/** p, slots ← update(p, g, slots) for one vector at `base` + `offset` within the block. */
export function updateSinks(
  { layout }: KernelContext,
  { o, zero }: Kernel,
  rule: UpdateRule,
  { base, offset }: { readonly base: Index; readonly offset: number },
  gradient: Expression,
  decays: boolean,
): Sink[] {
  const scalar = (name: string) => o.loadInvariant(zero, scalarOffset(layout, name));
  const places = [layout.parameters, ...layout.slots].map((block) => block + offset);
  const values = updatedValues(
    o,
    rule,
    places.map((place) => o.load(base, place)),
    gradient,
    scalar,
    decays,
  );
  return values.map((value, i) => ({ value, base, offset: places[i] }));
}

/** Parameter and slots after the update by a finished gradient, given them before it. */
export function updatedValues(
  o: Lanes,
  { optimizer, clip }: UpdateRule,
  [parameter, ...slots]: readonly Expression[],
  gradient: Expression,
  scalar: (name: string) => Expression,
  decays: boolean,
): Expression[] {
  const names = scalarNames(optimizer);
  const scalars = Object.fromEntries(names.map((name) => [name, scalar(name)]));
  const clipped = clip.kind === 'value' ? clippedByValue(o, gradient, clip.limit) : gradient;
  const options = decays ? optimizer.options : biasOptions(optimizer.options);
  const updated = optimizer.entry.update(o, { parameter, gradient: clipped, slots, scalars }, options);
  return [updated.parameter, ...updated.slots];
}

/** As clipping.ts; an infinite gradient becomes NaN, so that it is not hidden. */
function clippedByValue(o: Lanes, gradient: Expression, maxValue: number): Expression {
  const limit = o.constant(maxValue);
  const clipped = o.minimum(o.maximum(gradient, o.neg(limit)), limit);
  return o.mulAdd(gradient, o.constant(0), clipped);
}

/** g + 2·l2·w + l1·sign(w). */
function withPenalty(o: Lanes, { l1, l2 }: PlannedLayer, gradient: Expression, weight: () => Expression): Expression {
  let g = gradient;
  if (l2 !== 0) g = o.mulAdd(o.constant(2 * l2), weight(), g);
  if (l1 === 0) return g;
  const [zero, step] = [o.constant(0), o.constant(l1)];
  const slope = o.select(o.less(zero, weight()), step, o.select(o.less(weight(), zero), o.neg(step), zero));
  return o.add(g, slope);
}

/**
 * dW[k][unit] = Σ_row inputs[row][k]·δ[row][unit], used where it stands: in the registers of the tile. Where δ is packed,
 * db[unit] = Σ_row δ[row][unit] likewise, on the way.
 */
export function weightGradientKernel(
  context: KernelContext,
  inputs: Rows,
  current: LayerLayout,
  rule: UpdateRule,
): KernelFunction {
  const { layout } = context;
  const { biases, weights, layer } = current;
  return addColumnsKernel(context, (kernel) => {
    const { f, o, count } = kernel;
    const at = f.local('i32');
    const sinksOfSums = biases === null ? null : biasSinks(context, kernel, biases, rule);
    emitProduct(
      f,
      o,
      layout.tile,
      {
        ...gradientFactors(kernel, layout, inputs, current, sinksOfSums),
        terms: { local: count },
        rows: weights.inner,
        columns: weights.columns,
        panels: shareOfPanels(kernel, weights),
        fetch: current.transposed === null ? fetchNextRows(kernel, layout, weights) : null,
      },
      ({ panel, firstRow, vectors }) => {
        f.get(panel)
          .i32(weights.width * weights.inner * layout.bytesPerNumber)
          .op('i32.mul');
        f.get(firstRow)
          .i32(vectors * 16)
          .op('i32.mul')
          .op('i32.add')
          .set(at);
      },
      ({ row, vectors, values }) =>
        inPairs(o, vectors, (v) => {
          const offset = weights.offset + (row * vectors + v) * 16;
          const weight = () => o.load(at, layout.parameters + offset);
          const gradient = withPenalty(o, layer, values[v], weight);
          return gradientSinks(context, kernel, rule, { base: at, offset }, gradient, true);
        }),
    );
  });
}

/** What becomes of the sums of δ over the rows, the gradient of the biases at this place. */
function biasSinks(context: KernelContext, kernel: Kernel, biases: number, rule: UpdateRule): SumsSinks {
  return (base, sums) =>
    sums.flatMap((sum, v) =>
      gradientSinks(context, kernel, rule, { base, offset: biases + v * 16 }, kernel.o.local(sum), false),
    );
}

/** Vectors of biases summed side by side, to hide the latency of the additions. */
const BIAS_VECTORS = 4;

/** db[unit] = Σ_row δ[row][unit], rows ascending; null where the kernel of the weights sums them. */
export function biasGradientKernel(
  context: KernelContext,
  current: LayerLayout,
  rule: UpdateRule,
): KernelFunction | null {
  const { biases, deltas, packed, weights } = current;
  if (biases === null || packed !== null) return null;
  return addColumnsKernel(context, (kernel) => {
    const { f, o, count } = kernel;
    const { first: column, end } = shareOfColumns(kernel, weights);
    const sinksOf = biasSinks(context, kernel, biases, rule);
    const [row, at] = [f.local('i32'), f.local('i32')];
    const emitColumns = (width: number) => {
      const sums = Array.from({ length: width }, () => o.newLocal());
      for (const sum of sums) f.v128(new Uint8Array(16)).set(sum);
      f.i32(0).set(row).get(column).set(at);
      f.whileBelow(row, { local: count }, 1, () => {
        o.run(sums.map((sum, v) => ({ value: o.add(o.local(sum), o.load(at, deltas.base + v * 16)), local: sum })));
        f.increment(at, deltas.stride);
      });
      o.run(sinksOf(column, sums));
      o.clearLocals();
      f.increment(column, width * 16);
    };
    const wholeEnd = f.local('i32');
    f.get(end)
      .i32((BIAS_VECTORS - 1) * 16)
      .op('i32.sub')
      .set(wholeEnd);
    f.whileBelow(column, { local: wholeEnd }, 0, () => emitColumns(BIAS_VECTORS));
    f.whileBelow(column, { local: end }, 0, () => emitColumns(1));
  });
}
/** The update of the whole block from stored gradients, scaled by the clip factor. */
export function updateKernel(context: KernelContext, rule: UpdateRule): KernelFunction {
  const { layout } = context;
  const bytes = layout.bytesPerNumber;
  return addColumnsKernel(context, (kernel) => {
    const { f, o, zero } = kernel;
    const element = f.local('i32');
    const update = (start: number, columns: number, decays: boolean) =>
      emitAlong(f, o, element, columns * bytes, (v) => {
        const factor = o.loadInvariant(zero, scalarOffset(layout, 'clip_factor'));
        const gradient = o.mul(factor, o.load(element, layout.gradients + start + v));
        return updateSinks(context, kernel, rule, { base: element, offset: start + v }, gradient, decays);
      });
    for (const { weights } of layout.layers) {
      const { inner, width, offset } = weights;
      const [full, last] = [Math.floor(weights.columns / width), weights.columns % width];
      const panel = f.local('i32');
      emitPanels(
        f,
        { panel, full, range: shareOfPanels(kernel, weights) },
        () =>
          f
            .get(panel)
            .i32(inner * width * bytes)
            .op('i32.mul')
            .set(element),
        () => update(offset, inner * width, true),
        last > 0 ? () => update(offset, inner * last, true) : null,
      );
    }
    once(kernel, () => {
      for (const { biases, gamma, beta, columns } of layout.layers) {
        for (const start of [biases, gamma, beta]) {
          if (start === null) continue;
          f.i32(0).set(element);
          update(start, columns, false);
        }
      }
    });
  });
}
