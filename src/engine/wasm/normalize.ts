/**
 * Normalization inside the compiled step, as normalization.ts defines it. batch_norm keeps units in lanes and walks down
 * the rows; layer_norm keeps samples in lanes and walks along the units. Either way a sum has one accumulator.
 */
import type { PlannedNormalization } from '../backend.ts';
import type { Index } from './assembler.ts';
import { gradientSinks, type UpdateRule } from './backward.ts';
import type { Expression, Sink } from './expression.ts';
import {
  addColumnsKernel,
  addRowsKernel,
  type ColumnsKernel,
  forSampleGroups,
  type Kernel,
  type KernelContext,
  type KernelFunction,
  loadColumns,
  multiplied,
  poisoned,
  type RowsKernel,
  shareOfColumns,
  storeColumns,
} from './kernel.ts';
import type { Lanes } from './lanes.ts';
import type { LayerLayout, NetworkLayout, NormalizationLayout, Rows } from './layout.ts';
import { scalarOffset } from './scalars.ts';

/** A layer with normalization, and the places that go with it. */
interface Normalized {
  readonly layout: NetworkLayout;
  readonly current: LayerLayout;
  readonly planned: PlannedNormalization;
  readonly places: NormalizationLayout;
  /** Base addresses. */
  readonly gamma: number;
  readonly beta: number;
}

function normalizedLayer({ layout }: KernelContext, current: LayerLayout): Normalized | null {
  const { gamma, beta, normalization: places, layer } = current;
  if (layer.normalization === null || places === null || gamma === null || beta === null) return null;
  const { parameters } = layout;
  return { layout, current, planned: layer.normalization, places, gamma: parameters + gamma, beta: parameters + beta };
}

/** y = γ·(z − mean)/√(variance + ε) + β; in training batch_norm also moves its running statistics. */
export function normalizeKernel(
  context: KernelContext,
  current: LayerLayout,
  training: boolean,
): KernelFunction | null {
  const of = normalizedLayer(context, current);
  if (of === null) return null;
  if (of.places.kind === 'layer_norm') return addRowsKernel(context, (kernel) => emitLayerForward(kernel, of));
  return training
    ? addColumnsKernel(context, (kernel) => emitBatchForward(kernel, of))
    : addRowsKernel(context, (kernel) => emitBatchInference(kernel, of));
}

/** dLoss/dz from dLoss/dy, in place, and the gradients of γ and β. */
export function normalizeBackwardKernels(
  context: KernelContext,
  current: LayerLayout,
  rule: UpdateRule,
): KernelFunction[] {
  const of = normalizedLayer(context, current);
  if (of === null) return [];
  const throughScale = addColumnsKernel(context, (kernel) => emitThroughScale(context, kernel, of, rule));
  if (of.places.kind === 'batch_norm') return [throughScale];
  return [throughScale, addRowsKernel(context, (kernel) => emitLayerBackward(kernel, of))];
}

const ZERO = new Uint8Array(16);

/** Locals that start at 0 at this point of the code. */
function accumulators({ f, o }: Kernel, count: number): Index[] {
  return Array.from({ length: count }, () => {
    const local = o.newLocal();
    f.v128(ZERO).set(local);
    return local;
  });
}

/** Runs `body` for every vector of columns, with the byte offset of its first column. */
function forColumns(kernel: ColumnsKernel, { weights }: LayerLayout, body: (column: Index) => void): void {
  const { f, o } = kernel;
  const { first: column, end } = shareOfColumns(kernel, weights);
  f.whileBelow(column, { local: end }, 16, () => {
    body(column);
    o.clearLocals();
  });
}

/** Runs `body` for every row of the batch, from `first` if given, with the byte offset of the row at this column. */
function downRows(
  { f, count, first }: Kernel & Partial<RowsKernel>,
  stride: number,
  column: Index,
  body: (at: Index) => void,
): void {
  const [row, at] = [f.local('i32'), f.local('i32')];
  if (first === undefined) f.i32(0).set(row).get(column).set(at);
  else f.get(first).tee(row).i32(stride).op('i32.mul').get(column).op('i32.add').set(at);
  f.whileBelow(row, { local: count }, 1, () => {
    body(at);
    f.increment(at, stride);
  });
}

/** 1/√(variance + ε); NaN for an infinite variance, which would turn all of its group into a harmless β. */
function inverseOfGroup(o: Lanes, variance: Index, epsilon: number): Expression {
  return poisoned(o, inverseDeviation(o, o.local(variance), epsilon), o.local(variance));
}

/** 1/√(variance + ε) */
function inverseDeviation(o: Lanes, variance: Expression, epsilon: number): Expression {
  return o.div(o.constant(1), o.sqrt(o.add(variance, o.constant(epsilon))));
}

function runningOf({ layout, places }: Normalized): { readonly mean: number; readonly variance: number } {
  if (places.running === null) throw new TypeError('batch_norm has running statistics');
  return { mean: layout.statistics + places.running.mean, variance: layout.statistics + places.running.variance };
}

function emitBatchForward(kernel: ColumnsKernel, of: Normalized): void {
  const { o } = kernel;
  const { places, current, planned } = of;
  const { preActivations: z, activationInputs: y } = current;
  const running = runningOf(of);
  forColumns(kernel, current, (column) => {
    const [mean, variance, inverse] = accumulators(kernel, 3);
    emitBatchMoments(kernel, of, column, mean, variance);
    moveRunning(kernel, of, column, [running.mean, mean, null], [running.variance, variance, 'unbias']);
    const deviation = inverseOfGroup(o, variance, planned.epsilon);
    o.run([{ value: deviation, local: inverse }]);
    o.run([{ value: o.local(inverse), base: column, offset: places.inverseDeviations }]);
    downRows(kernel, z.stride, column, (at) => {
      const [n, value] = normalized(o, of, column, o.load(at, z.base), o.local(mean), o.local(inverse));
      o.run([
        { value: n, base: at, offset: places.normalized.base },
        { value, base: at, offset: y.base },
      ]);
    });
  });
}

/** By the running statistics, so each row is on its own. */
function emitBatchInference(kernel: RowsKernel, of: Normalized): void {
  const { f, o } = kernel;
  const { preActivations: z, activationInputs: y } = of.current;
  const running = runningOf(of);
  const column = f.local('i32');
  f.whileBelow(column, (z.columns / o.shape.lanes) * 16, 16, () => {
    const [mean, inverse] = accumulators(kernel, 2);
    const deviation = inverseDeviation(o, o.load(column, running.variance), of.planned.epsilon);
    o.run([
      { value: o.load(column, running.mean), local: mean },
      { value: deviation, local: inverse },
    ]);
    downRows(kernel, z.stride, column, (at) => {
      const [, value] = normalized(o, of, column, o.load(at, z.base), o.local(mean), o.local(inverse));
      o.run([{ value, base: at, offset: y.base }]);
    });
    o.clearLocals();
  });
}

/** n = (z − mean)·inverse and γ·n + β. */
function normalized(
  o: Lanes,
  { gamma, beta }: Normalized,
  column: Index,
  z: Expression,
  mean: Expression,
  inverse: Expression,
): readonly [Expression, Expression] {
  const n = o.mul(o.sub(z, mean), inverse);
  return [n, o.mulAdd(o.load(column, gamma), n, o.load(column, beta))];
}

/** Mean and biased variance of one vector of units over the rows, in two passes. */
function emitBatchMoments(
  kernel: Kernel,
  { layout, current }: Normalized,
  column: Index,
  mean: Index,
  variance: Index,
): void {
  const { o, zero } = kernel;
  const { preActivations: z } = current;
  const size = () => o.loadInvariant(zero, scalarOffset(layout, 'rows'));
  downRows(kernel, z.stride, column, (at) => o.run([{ value: o.add(o.local(mean), o.load(at, z.base)), local: mean }]));
  o.run([{ value: o.div(o.local(mean), size()), local: mean }]);
  downRows(kernel, z.stride, column, (at) => {
    const deviation = o.sub(o.load(at, z.base), o.local(mean));
    o.run([{ value: o.mulAdd(deviation, deviation, o.local(variance)), local: variance }]);
  });
  o.run([{ value: o.div(o.local(variance), size()), local: variance }]);
}

/** running ← (1 − momentum)·running + momentum·batch, the variance unbiased. */
function moveRunning(
  { o, zero }: Kernel,
  { layout, planned }: Normalized,
  column: Index,
  ...moved: (readonly [place: number, batch: Index, factor: string | null])[]
): void {
  const [keep, take] = [o.constant(1 - planned.momentum), o.constant(planned.momentum)];
  o.run(
    moved.map(([place, batch, factor]): Sink => {
      const value =
        factor === null ? o.local(batch) : o.mul(o.loadInvariant(zero, scalarOffset(layout, factor)), o.local(batch));
      return { value: o.mulAdd(keep, o.load(column, place), o.mul(take, value)), base: column, offset: place };
    }),
  );
}

/** y = γ·n + β: dγ = Σ δ·n, dβ = Σ δ over the rows, δ ← δ·γ; for batch_norm also through n, whose groups are the columns. */
function emitThroughScale(context: KernelContext, kernel: ColumnsKernel, of: Normalized, rule: UpdateRule): void {
  const { o, zero } = kernel;
  const { layout, current, places } = of;
  const { deltas, gamma, beta } = current;
  const { normalized } = places;
  if (gamma === null || beta === null) throw new TypeError('normalization has gamma and beta');
  const batch = places.kind === 'batch_norm';
  forColumns(kernel, current, (column) => {
    const [scale, shift, sum, projection] = accumulators(kernel, 4);
    downRows(kernel, deltas.stride, column, (at) => {
      const [delta, n] = [o.load(at, deltas.base), o.load(at, normalized.base)];
      const scaled = o.mul(delta, o.load(column, of.gamma));
      const groupSums: Sink[] = [
        { value: o.add(o.local(sum), scaled), local: sum },
        { value: o.mulAdd(scaled, n, o.local(projection)), local: projection },
      ];
      o.run([
        { value: o.mulAdd(delta, n, o.local(scale)), local: scale },
        { value: o.add(o.local(shift), delta), local: shift },
        ...(batch ? groupSums : []),
        { value: scaled, base: at, offset: deltas.base },
      ]);
    });
    if (batch) {
      const size = o.loadInvariant(zero, scalarOffset(layout, 'rows'));
      o.run([
        { value: o.div(o.local(sum), size), local: sum },
        { value: o.div(o.local(projection), size), local: projection },
      ]);
      downRows(kernel, deltas.stride, column, (at) => {
        const group = {
          mean: o.local(sum),
          along: o.local(projection),
          inverse: o.load(column, places.inverseDeviations),
        };
        const value = centered(o, o.load(at, deltas.base), o.load(at, normalized.base), group);
        o.run([{ value, base: at, offset: deltas.base }]);
      });
    }
    o.run(gradientSinks(context, kernel, rule, { base: column, offset: gamma }, o.local(scale), false));
    o.run(gradientSinks(context, kernel, rule, { base: column, offset: beta }, o.local(shift), false));
  });
}

/** (δ − mean(δ) − n·mean(δ·n))·1/√(variance + ε) */
function centered(
  o: Lanes,
  delta: Expression,
  n: Expression,
  { mean, along, inverse }: { mean: Expression; along: Expression; inverse: Expression },
): Expression {
  return o.mul(o.sub(o.sub(delta, mean), o.mul(n, along)), inverse);
}

/** Runs `body` for blocks of as many units as there are lanes; locals hold unit·bytes and the addresses of the samples there. */
function alongUnits(
  { f, o }: Kernel,
  units: number,
  sampleAt: Index,
  body: (at: Index, unit: Index, count: number) => void,
): void {
  const [at, unit] = [f.local('i32'), f.local('i32')];
  const { lanes } = o.shape;
  const whole = (units - (units % lanes)) / lanes;
  f.get(sampleAt).set(at).i32(0).set(unit);
  f.whileBelow(unit, whole * 16, 16, () => {
    body(at, unit, lanes);
    f.increment(at, 16);
  });
  if (units % lanes > 0) body(at, unit, units % lanes);
}

function emitLayerForward(kernel: RowsKernel, of: Normalized): void {
  const { f, o } = kernel;
  const { current, planned, places } = of;
  const { preActivations: z, activationInputs: y } = current;
  const { units } = current.layer;
  const { bytes } = o.shape;
  forSampleGroups(kernel, (sample) => {
    const [sampleAt, samplePlace] = [multiplied(f, sample, z.stride), multiplied(f, sample, bytes)];
    const [mean, variance, inverse] = accumulators(kernel, 3);
    const load = (rows: Rows, at: Index, count: number) => loadColumns(o, rows, at, 0, count);
    alongUnits(kernel, units, sampleAt, (at, _unit, count) => {
      const value = load(z, at, count).reduce((sum, entry) => o.add(sum, entry), o.local(mean));
      o.run([{ value, local: mean }]);
    });
    o.run([{ value: o.div(o.local(mean), o.constant(units)), local: mean }]);
    alongUnits(kernel, units, sampleAt, (at, _unit, count) => {
      const deviations = load(z, at, count).map((entry) => o.sub(entry, o.local(mean)));
      const value = deviations.reduce((sum, deviation) => o.mulAdd(deviation, deviation, sum), o.local(variance));
      o.run([{ value, local: variance }]);
    });
    o.run([{ value: o.div(o.local(variance), o.constant(units)), local: variance }]);
    o.run([{ value: inverseOfGroup(o, variance, planned.epsilon), local: inverse }]);
    o.run([{ value: o.local(inverse), base: samplePlace, offset: places.inverseDeviations }]);
    alongUnits(kernel, units, sampleAt, (at, unit, count) => {
      const n = load(z, at, count).map((entry) => o.mul(o.sub(entry, o.local(mean)), o.local(inverse)));
      const values = n.map((entry, k) =>
        o.mulAdd(o.loadSplat(unit, of.gamma + k * bytes), entry, o.loadSplat(unit, of.beta + k * bytes)),
      );
      o.run([...storeColumns(o, places.normalized, at, 0, n), ...storeColumns(o, y, at, 0, values)]);
    });
  });
}

function emitLayerBackward(kernel: RowsKernel, { current, places }: Normalized): void {
  const { f, o } = kernel;
  const { deltas, layer } = current;
  const { normalized } = places;
  forSampleGroups(kernel, (sample) => {
    const [sampleAt, samplePlace] = [multiplied(f, sample, deltas.stride), multiplied(f, sample, o.shape.bytes)];
    const [sum, projection] = accumulators(kernel, 2);
    const load = (rows: Rows, at: Index, count: number) => loadColumns(o, rows, at, 0, count);
    alongUnits(kernel, layer.units, sampleAt, (at, _unit, count) => {
      const [delta, n] = [load(deltas, at, count), load(normalized, at, count)];
      o.run([
        { value: delta.reduce((total, entry) => o.add(total, entry), o.local(sum)), local: sum },
        {
          value: delta.reduce((total, entry, k) => o.mulAdd(entry, n[k], total), o.local(projection)),
          local: projection,
        },
      ]);
    });
    const size = o.constant(layer.units);
    o.run([
      { value: o.div(o.local(sum), size), local: sum },
      { value: o.div(o.local(projection), size), local: projection },
    ]);
    alongUnits(kernel, layer.units, sampleAt, (at, _unit, count) => {
      const [delta, n] = [load(deltas, at, count), load(normalized, at, count)];
      const group = {
        mean: o.local(sum),
        along: o.local(projection),
        inverse: o.load(samplePlace, places.inverseDeviations),
      };
      o.run(
        storeColumns(
          o,
          deltas,
          at,
          0,
          delta.map((entry, k) => centered(o, entry, n[k], group)),
        ),
      );
    });
  });
}
