/** The output layer in training: activation, loss of every row and δ = dLoss/dz, samples in lanes. */
import { outputLoss } from '../output-loss.ts';
import type { Index } from './assembler.ts';
import type { Expression } from './expression.ts';
import {
  addRowsKernel,
  forSampleGroups,
  type Kernel,
  type KernelContext,
  type KernelFunction,
  loadColumns,
  multiplied,
  storeColumns,
} from './kernel.ts';
import type { Lanes } from './lanes.ts';
import type { NetworkLayout } from './layout.ts';
import { scalarOffset } from './scalars.ts';

/** Outputs of at most this many units are unrolled; more are taken in blocks where each output stands for itself. */
const UNROLLED_UNITS = 16;

/** Part of a row: z, y and what comes of them. */
interface RowPart {
  readonly loss: Expression;
  readonly deltas: readonly Expression[];
}

/** Whether every output has its own loss and its own δ, so that a row can be cut. */
export function cutsIntoUnits(layout: Pick<NetworkLayout, 'plan'>): boolean {
  const { plan } = layout;
  const last = plan.layers[plan.layers.length - 1];
  return last.activation.entry.kind === 'elementwise' && plan.loss.entry.target_domain.kind !== 'label';
}

/**
 * z → row losses and δ, weighted and reduced. The loss of a row is NaN when a z of it is not finite,
 * whatever the activation makes of it.
 */
export function outputKernel(context: KernelContext): KernelFunction {
  const { layout } = context;
  const units = layout.plan.output_size;
  const emitRows = units > UNROLLED_UNITS && cutsIntoUnits(layout) ? emitCutRows : emitWholeRows;
  return addRowsKernel(context, (kernel) => {
    forSampleGroups(kernel, (sample) => emitRows(layout, kernel, sample));
  });
}

function emitWholeRows(layout: NetworkLayout, kernel: Kernel, sample: Index): void {
  const { o, zero } = kernel;
  const last = layout.layers[layout.layers.length - 1];
  const at = addresses(kernel, layout, sample);
  const z = loadColumns(o, last.activationInputs, at.z, 0, layout.plan.output_size);
  const { loss, deltas } = emitRow(o, layout, z, targetsOf(o, layout, at.y, 0, z.length));
  const stored = scaled(o, layout, deltas, at.row, zero);
  o.run([
    ...storeColumns(o, last.deltas, at.delta, 0, stored),
    { value: loss, base: at.row, offset: layout.rowLosses },
  ]);
}

/** As many units at a time as there are lanes; the row's loss runs along in a local. */
function emitCutRows(layout: NetworkLayout, kernel: Kernel, sample: Index): void {
  const { f, o, zero } = kernel;
  const { lanes } = o.shape;
  const units = layout.plan.output_size;
  const last = layout.layers[layout.layers.length - 1];
  const at = addresses(kernel, layout, sample);
  const [sum, unit] = [o.newLocal(), f.local('i32')];
  const emitUnits = (count: number) => {
    const z = loadColumns(o, last.activationInputs, at.z, 0, count);
    const y = loadColumns(o, layout.targets, at.y, 0, count);
    const parts = z.map((value, k) => emitRow(o, layout, [value], [y[k]]));
    const stored = scaled(
      o,
      layout,
      parts.map((part) => part.deltas[0]),
      at.row,
      zero,
    );
    const total = parts.reduce((partial, part) => o.add(partial, part.loss), o.local(sum));
    o.run([...storeColumns(o, last.deltas, at.delta, 0, stored), { value: total, local: sum }]);
    for (const address of [at.z, at.y, at.delta]) f.increment(address, 16);
  };
  f.v128(new Uint8Array(16)).set(sum).i32(0).set(unit);
  f.whileBelow(unit, units - (units % lanes), lanes, () => emitUnits(lanes));
  if (units % lanes > 0) emitUnits(units % lanes);
  o.run([{ value: o.local(sum), base: at.row, offset: layout.rowLosses }]);
}

function addresses({ f }: Kernel, layout: NetworkLayout, sample: Index) {
  const last = layout.layers[layout.layers.length - 1];
  return {
    z: multiplied(f, sample, last.activationInputs.stride),
    y: multiplied(f, sample, layout.targets.stride),
    delta: multiplied(f, sample, last.deltas.stride),
    row: multiplied(f, sample, layout.bytesPerNumber),
  };
}

/** Targets of a group of samples: a column per output, or the one column of labels. */
function targetsOf(o: Lanes, layout: NetworkLayout, at: Index, first: number, units: number): Expression[] {
  if (layout.plan.loss.entry.target_domain.kind === 'label') return [o.load(at, layout.targets.base)];
  return loadColumns(o, layout.targets, at, first, units);
}

/** Loss and δ of rows given as expressions: the joined activation and loss of output-loss.ts. */
export function emitRow(o: Lanes, { plan }: Pick<NetworkLayout, 'plan'>, z: Expression[], y: Expression[]): RowPart {
  const { activation } = plan.layers[plan.layers.length - 1];
  const { entry, options } = activation;
  const a: Expression[] = [];
  if (entry.kind === 'rowwise') entry.forward(o, z, a, 0, z.length);
  else for (const input of z) a.push(entry.forward(o, input, options));
  const deltas: Expression[] = [];
  const row = { z, a, y, gradient: deltas, units: z.length, start: 0, targetStart: 0 };
  const joined = outputLoss(activation, plan.loss);
  joined.gradient(o, row);
  const loss = z.reduce((sum, input) => o.mulAdd(input, o.constant(0), sum), joined.value(o, row));
  return { loss, deltas };
}

/** δ·(scale of the reduction · weight of the row). */
function scaled(o: Lanes, layout: NetworkLayout, deltas: readonly Expression[], row: Index, zero: Index): Expression[] {
  const scale = o.loadInvariant(zero, scalarOffset(layout, 'scale'));
  const factor = layout.weighted ? o.mul(scale, o.load(row, layout.rowWeights)) : scale;
  return deltas.map((delta) => o.mul(factor, delta));
}
