/** The tiles strategy: a network as a module of kernels and one function that runs a whole step of them. */
import type { Plan } from '../backend.ts';
import type { ArithmeticMode } from '../definition.ts';
import { ModuleBuilder } from './assembler.ts';
import {
  biasGradientKernel,
  hiddenDeltaKernel,
  propagateKernel,
  type UpdateRule,
  updateKernel,
  weightGradientKernel,
} from './backward.ts';
import { type DataPart, LARGEST_MEMORY, PAGE } from './data-memory.ts';
import { activationKernel, activationTraits, forwardKernel } from './forward.ts';
import { gatherKernel } from './gather.ts';
import { emitInference } from './inference.ts';
import { addWholeKernel, type KernelContext, type KernelFunction, WHOLE } from './kernel.ts';
import { createLayout, type LayerLayout, type NetworkLayout, panelsIn, type Rows } from './layout.ts';
import { maskKernel } from './mask.ts';
import { normalizeBackwardKernels, normalizeKernel } from './normalize.ts';
import { outputKernel } from './output.ts';
import { packInputsKernel } from './packing.ts';
import { emitPhases } from './phases.ts';
import type { emitProduct, Tile } from './product.ts';
import { emitRowProduct } from './row-product.ts';
import { scalarNames } from './scalars.ts';
import { checkKernel, lossKernel, penaltyKernel, squaresKernel } from './sums.ts';
import { transposeKernel } from './transpose.ts';

/** All that the code of a network depends on: equal values, equal modules. */
export interface TilesOptions {
  readonly plan: Plan;
  readonly rule: UpdateRule;
  readonly batch: number;
  readonly mode: ArithmeticMode;
  readonly tile: Tile;
  readonly weighted: boolean;
  /** What of the data is read from memories of its own. */
  readonly apart: readonly DataPart[];
  /** Whether the step is there in phases as well. */
  readonly phased: boolean;
  /** How many threads may carry them out together; where more than one, the memory is shared. */
  readonly threads: number;
  /** Whether the step is there at all: a network that only predicts is compiled sooner. */
  readonly trains: boolean;
}

/** The functions of the module; most take the number of rows. Without training only the first three are there. */
export interface TilesExports {
  /** `chunkOutputs` of rows whose inputs lie in `chunkInputs`, in inference mode. Takes the first row, the end, a thread's number. */
  readonly infer: (first: number, end: number, part: number) => void;
  /** Likewise `chunkLosses`, of rows whose targets lie in `chunkOutputs`. */
  readonly evaluate: (first: number, end: number, part: number) => void;
  /** Refreshes what is derived from the parameters, after they were set from outside. */
  readonly refresh: (rows: number) => void;
  /** Gather, forward, loss, backward; and the update, unless gradients are clipped by their norm. */
  readonly step: (rows: number) => void;
  /** Σg², and the update from stored gradients; only when gradients are clipped by their norm. */
  readonly squares?: (rows: number) => void;
  readonly update?: (rows: number) => void;
  readonly check: (rows: number) => void;
}

export function tilesLayout({ plan, rule, batch, tile, weighted, apart, threads }: TilesOptions): NetworkLayout {
  const { entry, options } = rule.optimizer;
  return createLayout({
    plan,
    tile,
    batch,
    weighted,
    apart,
    threads,
    slots: entry.slots(options).length,
    storesGradients: rule.clip.kind === 'norm',
    labels: plan.loss.entry.target_domain.kind === 'label',
    optimizerScalars: scalarNames(rule.optimizer),
  });
}

/** The bytes of the network's module; it imports its memory as `engine.memory`, those of the data by the names of the parts. */
export function emitTiles(options: TilesOptions, layout: NetworkLayout): Uint8Array<ArrayBuffer> {
  const minimum = Math.ceil(layout.end / PAGE);
  const shared = { shared: true, maximum: LARGEST_MEMORY };
  const module = new ModuleBuilder(
    { module: 'engine', name: 'memory', minimum, ...(options.threads > 1 ? shared : {}) },
    ...options.apart.map((name) => ({ module: 'engine', name, minimum: 1, ...shared })),
  );
  const context: KernelContext = { module, layout, mode: options.mode };
  const { training, inference, single } = forward(context, options.trains);
  const output = outputKernel(context);
  // The copies of the weights are for the way back.
  const transposes = options.trains ? layout.layers.map((current) => transposeKernel(context, current)) : [];
  sequence(context, 'refresh', transposes);
  if (options.trains) emitTraining(context, options, { forward: training, output, transposes });
  emitInference(context, { forward: inference, single, output }, options.threads > 1);
  return module.encode();
}

/** What a step has in common with prediction and with `refresh`. */
interface SharedKernels {
  readonly forward: readonly (KernelFunction | null)[];
  readonly output: KernelFunction;
  readonly transposes: readonly (KernelFunction | null)[];
}

/** Adds `step`, `check` and what clipping by the norm needs. */
function emitTraining(
  context: KernelContext,
  { rule, phased }: TilesOptions,
  { forward, output, transposes }: SharedKernels,
): void {
  const { layout } = context;
  const outward = [gatherKernel(context), ...forward, output, penaltyKernel(context)];
  const loss = lossKernel(context);
  const inward = backward(context, rule);
  const clipsNorm = rule.clip.kind === 'norm';
  const end = clipsNorm ? [] : transposes;
  const updates = inward.map(({ deltas, gradients }, i) => {
    const current = layout.layers.length - 1 - i;
    return [...deltas, inShares(layout.layers[current], layout, [...gradients, end[current] ?? null])];
  });
  sequence(context, 'step', [...outward, loss, ...updates.flat()]);
  const [deltas, gradients] = [inward.flatMap((layer) => layer.deltas), inward.flatMap((layer) => layer.gradients)];
  if (phased) emitPhases(context, 'step', [...outward, ...deltas, loss, ...gradients, ...end]);
  if (clipsNorm) {
    squaresKernel(context, 'squares');
    const update = [updateKernel(context, rule), ...transposes];
    sequence(context, 'update', update);
    if (phased) emitPhases(context, 'update', update);
  }
  checkKernel(context, 'check');
}

/** Kernels of columns, of which each share is carried out by one after the other before the next share is. */
interface Shares {
  readonly count: number;
  readonly kernels: readonly (KernelFunction | null)[];
}

/** Weights that stay in a core's caches from their update to their transposition. */
const SHARE_BYTES = 2 ** 17;

/** In so many shares that what one kernel has made of the weights is still in the caches when the next one reads it. */
function inShares(
  { weights, transposed }: LayerLayout,
  { bytesPerNumber }: NetworkLayout,
  kernels: Shares['kernels'],
): Shares {
  const bytes = weights.inner * weights.columns * bytesPerNumber;
  return { count: transposed === null ? 1 : Math.min(panelsIn(weights), Math.ceil(bytes / SHARE_BYTES)), kernels };
}

/** An exported function by which one thread carries out kernels one after the other. */
function sequence(context: KernelContext, name: string, kernels: readonly (KernelFunction | Shares | null)[]): void {
  addWholeKernel(context, name, ({ f, count }) => {
    for (const kernel of kernels) {
      if (kernel === null) continue;
      if ('kernels' in kernel) {
        for (let share = 0; share < kernel.count; share++) {
          const [from, to] = [share, share + 1].map((end) => Math.floor((end * WHOLE) / kernel.count));
          for (const { index } of kernel.kernels.filter((one) => one !== null)) {
            f.get(count).i32(from).i32(to).call(index);
          }
        }
      } else if (kernel.split === 'rows') f.i32(0).get(count).call(kernel.index);
      else f.get(count).i32(0).i32(WHOLE).call(kernel.index);
    }
  });
}

/** The kernels of a forward pass, in order; most serve both kinds of pass. */
interface ForwardKernels {
  readonly training: readonly (KernelFunction | null)[];
  readonly inference: readonly (KernelFunction | null)[];
  /** Inference for one row. */
  readonly single: readonly (KernelFunction | null)[];
}

function forward(context: KernelContext, trains: boolean): ForwardKernels {
  const { layers, inputs, given } = context.layout;
  const kernels = layers.map((current, index) => {
    const below = index === 0 ? { training: inputs, inference: given } : sameRows(layers[index - 1].outputs);
    return forwardLayer(context, below, current, { last: index === layers.length - 1, trains });
  });
  return {
    training: kernels.flatMap(({ training }) => training),
    inference: kernels.flatMap(({ inference }) => inference),
    single: kernels.flatMap(({ single }) => single),
  };
}

/** What a layer reads in either kind of pass. */
type Below = Readonly<Record<'training' | 'inference', Rows>>;

const sameRows = (rows: Rows): Below => ({ training: rows, inference: rows });

/** In training the last layer stops before its activation, which belongs to the loss; dropout is for training alone. */
function forwardLayer(
  context: KernelContext,
  below: Below,
  current: LayerLayout,
  { last, trains }: Readonly<Record<'last' | 'trains', boolean>>,
): ForwardKernels {
  const { activation, normalization } = current.layer;
  const { entry } = activation;
  const traits = activationTraits(current.layer, context);
  const forTraining = <T>(emit: () => T) => (trains ? emit() : null);
  const pack = forTraining(() => packInputsKernel(context, below.training, current));
  const passes = (kernel: (rows: Rows, emit?: typeof emitProduct) => KernelFunction) => {
    const inference = kernel(below.inference);
    const training = below.inference === below.training ? inference : forTraining(() => kernel(below.training));
    // Who trains on larger batches does not ask for single rows.
    const single = context.layout.batch === 1 ? kernel(below.inference, emitRowProduct) : inference;
    return { training, inference, single };
  };
  if (entry.kind === 'elementwise' && traits.forwardFits && !current.mask && !normalization && !last) {
    const elementwise = { ...activation, entry };
    const fused = passes((rows, emit) =>
      forwardKernel(context, rows, current, elementwise, current.outputs, traits.readsInput, emit),
    );
    return { training: [pack, fused.training], inference: [fused.inference], single: [fused.single] };
  }
  const product = passes((rows, emit) => forwardKernel(context, rows, current, null, current.outputs, true, emit));
  const inferred = normalizeKernel(context, current, false);
  const normalize =
    normalization?.kind === 'batch_norm' ? forTraining(() => normalizeKernel(context, current, true)) : inferred;
  const activate = activationKernel(context, current, false);
  const drops = current.mask !== null && !last;
  return {
    training: [
      pack,
      drops ? forTraining(() => maskKernel(context, current)) : null,
      product.training,
      normalize,
      drops ? forTraining(() => activationKernel(context, current, true)) : last ? null : activate,
    ],
    inference: [product.inference, inferred, activate],
    single: [product.single, inferred, activate],
  };
}

interface BackwardKernels {
  /** δ of this layer's product, then of the layer below. */
  readonly deltas: readonly (KernelFunction | null)[];
  /** Gradients of this layer, and the updates by them. */
  readonly gradients: readonly (KernelFunction | null)[];
}

/** From the last layer down: the layer below's δ first, since the update changes the weights it needs. */
function backward(context: KernelContext, rule: UpdateRule): BackwardKernels[] {
  const { layers, inputs } = context.layout;
  return layers.toReversed().map((current) => {
    const index = layers.indexOf(current);
    const below = index === 0 ? null : layers[index - 1];
    return {
      deltas: [
        ...normalizeBackwardKernels(context, current, rule),
        below && propagateKernel(context, current, below),
        below && hiddenDeltaKernel(context, below),
      ],
      gradients: [
        weightGradientKernel(context, below?.outputs ?? inputs, current, rule),
        biasGradientKernel(context, current, rule),
      ],
    };
  });
}
