/** The forward kernels: z = inputs·Wᵀ + b by tiles, and the activation in the tile's epilogue or in a pass of its own. */
import type { ElementwiseActivation } from '../activations.ts';
import type { Resolved } from '../options.ts';
import { FunctionBuilder, type Index } from './assembler.ts';
import { emitElementwise, sideBySide } from './elementwise.ts';
import type { Expression, Sink } from './expression.ts';
import {
  addRowsKernel,
  forSampleGroups,
  type Kernel,
  type KernelContext,
  type KernelFunction,
  loadColumns,
  multiplied,
  poisoned,
  storeColumns,
} from './kernel.ts';
import { Lanes } from './lanes.ts';
import type { LayerLayout, Rows } from './layout.ts';
import { emitProduct, type TileRow } from './product.ts';

/** Activations of at most this many instructions are computed in the epilogue of the product. */
const EPILOGUE_COST = 8;
/** Row by row activations are unrolled over their units. */
export const MAX_ROWWISE_UNITS = 512;

/** What the derivative of an activation reads, and whether it and the activation fit into an epilogue. */
export interface ActivationTraits {
  readonly elementwise: boolean;
  readonly readsInput: boolean;
  readonly forwardFits: boolean;
  readonly derivativeFits: boolean;
}

/** Finds out by building the formulas on two leaves. */
export function activationTraits(layer: LayerLayout['layer'], context: KernelContext): ActivationTraits {
  const { entry, options } = layer.activation;
  if (entry.kind === 'rowwise')
    return { elementwise: false, readsInput: false, forwardFits: false, derivativeFits: false };
  const o = new Lanes(new FunctionBuilder([], []), context.layout.plan.precision, context.mode);
  const [z, a] = [o.local(0), o.local(1)];
  const derivative = reachable(entry.derivative(o, z, a, options));
  const cost = (nodes: ReadonlySet<Expression>) => [...nodes].filter((node) => !node.cheap).length;
  return {
    elementwise: true,
    readsInput: derivative.has(z),
    forwardFits: cost(reachable(entry.forward(o, z, options))) <= EPILOGUE_COST,
    derivativeFits: cost(derivative) <= EPILOGUE_COST,
  };
}

function reachable(root: Expression): ReadonlySet<Expression> {
  const seen = new Set<Expression>();
  const visit = (node: Expression) => {
    if (seen.has(node)) return;
    seen.add(node);
    node.operands.forEach(visit);
  };
  visit(root);
  return seen;
}

/** Where the results of an epilogue go: the local holds row·stride + column. */
export function tileAddress(
  { f }: Kernel,
  rows: Rows,
): { at: Index; begin: (place: Omit<TileRow, 'row' | 'values'>) => void } {
  const at = f.local('i32');
  const begin = ({ firstRow, column }: Omit<TileRow, 'row' | 'values'>) =>
    f.get(firstRow).i32(rows.stride).op('i32.mul').get(column).op('i32.add').set(at);
  return { at, begin };
}

/** Vectors of a tile's row two by two: neighbours are stored together. */
export function inPairs(o: Lanes, vectors: number, sinks: (v: number) => readonly Sink[]): void {
  for (let v = 0; v < vectors; v += 2) {
    const pair = v + 1 < vectors ? [sinks(v), sinks(v + 1)] : [sinks(v)];
    o.run(sideBySide(pair));
  }
}

/**
 * z = inputs·Wᵀ + b. With `activation` the epilogue also stores a (and z only if `keepsInput`).
 * inputs: [rows, input_size]; z, a: [rows, units].
 * @param emit `emitRowProduct` for a function of the first row alone
 */
export function forwardKernel(
  context: KernelContext,
  inputs: Rows,
  current: LayerLayout,
  activation: Resolved<ElementwiseActivation> | null,
  outputs: Rows,
  keepsInput: boolean,
  emit = emitProduct,
): KernelFunction {
  const { layout } = context;
  const { weights, preActivations: z } = current;
  return addRowsKernel(context, (kernel) => {
    const { f, o, first, count } = kernel;
    const [zAt, aAt] = [tileAddress(kernel, z), tileAddress(kernel, outputs)];
    emit(
      f,
      o,
      layout.tile,
      {
        a: inputs.base,
        aRow: inputs.stride,
        aTerm: () => layout.bytesPerNumber,
        b: layout.parameters + weights.offset,
        bPanel: weights.width * weights.inner * layout.bytesPerNumber,
        bTerm: (vectors) => vectors * 16,
        terms: weights.inner,
        rows: { local: count },
        firstRow: first,
        usualRows: layout.batch,
        columns: weights.columns,
      },
      (place) => {
        zAt.begin(place);
        aAt.begin(place);
      },
      ({ row, vectors, column, values }) =>
        inPairs(o, vectors, (v) => {
          const sum = values[v];
          const { biases } = current;
          const value = biases === null ? sum : o.add(sum, o.load(column, layout.parameters + biases + v * 16));
          const store = (at: Index, rows: Rows, stored: Expression): Sink => ({
            value: stored,
            base: at,
            offset: rows.base + row * rows.stride + v * 16,
          });
          if (activation === null) return [store(zAt.at, z, value)];
          const a = poisoned(o, activation.entry.forward(o, value, activation.options), value);
          const activated = store(aAt.at, outputs, a);
          return keepsInput ? [store(zAt.at, z, value), activated] : [activated];
        }),
    );
  });
}

/** a = f(y), and a·mask where there is one, from y = activation inputs in memory. */
export function activationKernel(context: KernelContext, current: LayerLayout, training: boolean): KernelFunction {
  const { entry } = current.layer.activation;
  return entry.kind === 'rowwise'
    ? rowwiseKernel(context, current, training)
    : elementwiseKernel(context, current, { entry, options: current.layer.activation.options }, training);
}

function elementwiseKernel(
  context: KernelContext,
  current: LayerLayout,
  { entry, options }: Pick<Resolved<ElementwiseActivation>, 'entry' | 'options'>,
  training: boolean,
): KernelFunction {
  const { activationInputs: y, activations: a, outputs, mask, columns } = current;
  return addRowsKernel(context, ({ f, o, first, count }) => {
    emitElementwise(f, o, { rows: { local: count }, firstRow: first, columns, stride: y.stride }, (element, v) => {
      const input = o.load(element, y.base + v);
      const value = poisoned(o, entry.forward(o, input, options), input);
      if (mask === null || !training) return [{ value, base: element, offset: outputs.base + v }];
      const dropped = o.mul(value, o.load(element, mask.base + v));
      return [
        { value, base: element, offset: a.base + v },
        { value: dropped, base: element, offset: outputs.base + v },
      ];
    });
  });
}

/** Rows of samples in lanes: every formula over a row is unrolled over the units. */
function rowwiseKernel(context: KernelContext, current: LayerLayout, training: boolean): KernelFunction {
  const { entry } = current.layer.activation;
  if (entry.kind !== 'rowwise') throw new TypeError('not a rowwise activation');
  const { units } = current.layer;
  const { activationInputs: y, activations, outputs, mask } = current;
  return addRowsKernel(context, (kernel) => {
    const { f, o } = kernel;
    forSampleGroups(kernel, (sample) => {
      const at = multiplied(f, sample, y.stride);
      const z = loadColumns(o, y, at, 0, units);
      const a: Expression[] = [];
      entry.forward(o, z, a, 0, units);
      const values = a.map((value, k) => poisoned(o, value, z[k]));
      if (mask === null || !training) {
        o.run(storeColumns(o, outputs, at, 0, values));
        return;
      }
      const factors = loadColumns(o, mask, at, 0, units);
      const dropped = values.map((value, k) => o.mul(value, factors[k]));
      o.run([...storeColumns(o, activations, at, 0, values), ...storeColumns(o, outputs, at, 0, dropped)]);
    });
  });
}
