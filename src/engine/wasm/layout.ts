/**
 * Where everything lies in the memory of a compiled network. All places are byte addresses.
 *
 * Weights are kept in panels: `width` columns (units) side by side, one row per input, so that a tile of the forward
 * product reads them in order and a tile of the gradient updates them in order. A second copy, transposed, serves the
 * backward product. Parameters, each optimizer slot and (where gradients must be seen as a whole) the gradients are
 * blocks of one and the same layout, so a moment lies at a fixed distance from its parameter.
 */
import type { Plan, PlannedLayer, PlannedNormalization } from '../backend.ts';
import type { DataPart } from './data-memory.ts';
import { shapes } from './lane-shape.ts';
import type { Tile } from './product.ts';

/** A matrix in panels of columns: panel p begins at `offset + p·width·inner` numbers; the last may be narrower. */
export interface Panels {
  /** Within its block, in bytes. */
  readonly offset: number;
  /** Rows: the terms of the product that reads it. */
  readonly inner: number;
  /** Columns with padding. */
  readonly columns: number;
  /** Columns of a full panel. */
  readonly width: number;
}

/** How many panels there are, a narrower last one included. */
export const panelsIn = ({ columns, width }: Panels): number => Math.ceil(columns / width);

/** A matrix stored row by row with padding. */
export interface Rows {
  readonly base: number;
  readonly columns: number;
  /** From row to row, in bytes. */
  readonly stride: number;
}

/** What normalization remembers from forward to backward, and its running statistics; base addresses. */
export interface NormalizationLayout {
  readonly kind: PlannedNormalization['kind'];
  /** (z − mean)/√(variance + ε) */
  readonly normalized: Rows;
  /** 1/√(variance + ε): per unit for batch_norm, per sample for layer_norm. */
  readonly inverseDeviations: number;
  /** Within the statistics; batch_norm only. */
  readonly running: { readonly mean: number; readonly variance: number } | null;
}

/** The two factors of a gradient of weights, Σ_row inputs[row][k]·δ[row][unit]. */
export interface PackedFactors {
  /** Inputs in the order in which the tiles read them: those of a tile side by side, row of the batch after row. */
  readonly inputs: number;
  /** Bytes for one input, in all rows; as much for each input of a tile. */
  readonly perInput: number;
  /** δ in panels of units as wide as a tile, a row per row of the batch. */
  readonly deltas: number;
}

export interface LayerLayout {
  readonly layer: PlannedLayer;
  /** Units with padding. */
  readonly columns: number;
  readonly weights: Panels;
  /** Within the parameter block, in bytes; null where the layer has none. */
  readonly biases: number | null;
  readonly gamma: number | null;
  readonly beta: number | null;
  /** Wᵀ in panels, base address included; null for the first layer, whose input needs no gradient. */
  readonly transposed: Panels | null;
  /** z, also what normalization is given. */
  readonly preActivations: Rows;
  /** What the activation is given. */
  readonly activationInputs: Rows;
  readonly activations: Rows;
  /** After dropout: what the layer above is given. */
  readonly outputs: Rows;
  readonly deltas: Rows;
  /** Copies in the order in which the product of the weights' gradient reads them; null where they would not pay. */
  readonly packed: PackedFactors | null;
  readonly normalization: NormalizationLayout | null;
  /** Dropout factors; null without dropout. */
  readonly mask: Rows | null;
  /** The same side by side, as the generator makes them. */
  readonly factors: number;
}

export interface NetworkLayout {
  readonly plan: Plan;
  readonly tile: Tile;
  readonly bytesPerNumber: 4 | 8;
  /** Rows of the batch, and with the padding that whole tiles and whole vectors need. */
  readonly batch: number;
  readonly capacity: number;
  /** Parts of the rows end at its multiples: whole tiles and whole groups of samples, since both reach past the last row. */
  readonly granule: number;
  readonly inputs: Rows;
  /** How many threads there may be, and how many rows each takes through the layers at a time when it predicts. */
  readonly threads: number;
  readonly piece: number;
  /** Rows that are predicted or evaluated by one call; what comes in and goes out lies side by side. */
  readonly chunk: number;
  readonly chunkInputs: number;
  /** Where the first layer finds them: where they lie, or in `inputs` where each thread has buffers of its own. */
  readonly given: Rows;
  /** Outputs of a prediction, or targets of an evaluation. */
  readonly chunkOutputs: number;
  readonly chunkLosses: number;
  /** A cache line per thread: a vector, all 0 if all outputs of its rows are finite. */
  readonly checks: number;
  /** A row of targets per sample; labels lie side by side. */
  readonly targets: Rows;
  /** Whether every row of the data has a weight. */
  readonly weighted: boolean;
  /** What of the data lies in memories of its own. */
  readonly apart: readonly DataPart[];
  /** One per row: weights of the rows, losses of the rows. */
  readonly rowWeights: number;
  readonly rowLosses: number;
  readonly layers: readonly LayerLayout[];
  readonly parameters: number;
  /** Size of one block of parameters, moments or gradients. */
  readonly blockBytes: number;
  readonly slots: readonly number[];
  /** Running means and variances. */
  readonly statistics: number;
  /** Parameters, slots and running statistics, side by side: what a snapshot holds. */
  readonly stateBytes: number;
  /** 0 when gradients go straight into the update. */
  readonly gradients: number;
  /** Copy of the state at the start of a block of steps. */
  readonly snapshot: number;
  /** Numbers of one step: the engine's own and the optimizer's; see scalars.ts. */
  readonly scalars: number;
  readonly optimizerScalars: readonly string[];
  /** Row numbers of a batch, 32-bit. */
  readonly order: number;
  /** Those of the batch after it, which `fetchNextRows` reads; null where it has no use for them. */
  readonly nextOrder: number | null;
  /** 32-bit words of one step; see `wordOffset`. */
  readonly words: number;
  /** Results of a step; see `resultOffset`. */
  readonly results: number;
  /** From here on: what of the data set has no memory of its own. */
  readonly end: number;
}

export const CACHE_LINE = 64;
/** Prediction takes so many rows at a time, whatever the batches of training are: their values stay in the caches. */
const PIECE_ROWS = 192;
/** Fewer rows in each of many threads would read the weights too often. */
const LEAST_PIECE_ROWS = 24;
/** What threads predict together, so that they seldom wait for each other: so much of inputs and outputs. */
const CHUNK_BYTES = 2 ** 20;

const roundUp = (value: number, multiple: number) => Math.ceil(value / multiple) * multiple;

/** Shorter rows may lie side by side. */
const LONG_ROW = 256;

/**
 * From row to row, in bytes. Long rows are an odd number of cache lines apart: products read down the columns too, and so
 * a column falls into all sets of the L1 cache in turn, not into a few of them.
 */
function strideOf(bytes: number): number {
  if (bytes < LONG_ROW) return roundUp(bytes, 16);
  const lines = Math.ceil(bytes / CACHE_LINE);
  return (lines % 2 === 0 ? lines + 1 : lines) * CACHE_LINE;
}

/** Inputs of a batch beyond this do not stay in the L2 cache; every panel of units reads all of them, down the columns. */
const PACKED_BYTES = 3 * 2 ** 17;
/** Fewer panels than this are over sooner than the inputs are packed. */
const PACKED_PANELS = 4;

function leastCommonMultiple(a: number, b: number): number {
  let multiple = a;
  while (multiple % b !== 0) multiple += a;
  return multiple;
}

/** Rows of a piece and of a chunk; a thread alone gains nothing from chunks of more than a piece. */
function inferenceRows(rowBytes: number, granule: number, threads: number): { piece: number; chunk: number } {
  const piece = roundUp(Math.max(PIECE_ROWS / threads, LEAST_PIECE_ROWS), granule);
  return { piece, chunk: threads === 1 ? piece : Math.max(threads * piece, Math.floor(CHUNK_BYTES / rowBytes)) };
}

/** Batches that are fetched before they are copied: fewer bytes are there soon enough, more would not stay in the L2 cache. */
const FETCHED_BATCH = { least: 2 ** 16, most: 2 ** 18 };

/** Hands out consecutive places, each at a cache line. */
class Places {
  end: number;

  constructor(start: number) {
    this.end = start;
  }

  take(bytes: number): number {
    const place = this.end;
    this.end = roundUp(place + bytes, CACHE_LINE);
    return place;
  }
}

export interface LayoutOptions {
  readonly plan: Plan;
  readonly tile: Tile;
  readonly batch: number;
  readonly threads: number;
  readonly slots: number;
  readonly storesGradients: boolean;
  readonly labels: boolean;
  readonly weighted: boolean;
  readonly apart: readonly DataPart[];
  /** Names of the optimizer's numbers of one step. */
  readonly optimizerScalars: readonly string[];
}

export function createLayout({
  plan,
  tile,
  batch,
  threads,
  slots,
  storesGradients,
  labels,
  ...rest
}: LayoutOptions): NetworkLayout {
  const { bytes, lanes } = shapes[plan.precision];
  // An even number of vectors per row of a tile is what the revectorizer needs.
  const columnGranule = tile.vectors % 4 === 0 ? 2 * lanes : lanes;
  const width = tile.vectors * lanes;
  const granule = leastCommonMultiple(tile.rows, lanes);
  const { piece, chunk } = inferenceRows((plan.input_size + plan.output_size) * bytes, granule, threads);
  const capacity = roundUp(roundUp(Math.max(batch, threads * piece), tile.rows), lanes) + lanes;
  const places = new Places(CACHE_LINE);
  const rows = (columns: number, count = capacity): Rows => {
    const padded = roundUp(columns, columnGranule);
    const stride = strideOf(padded * bytes);
    return { base: places.take(count * stride), columns: padded, stride };
  };
  const block = new Places(0);
  const statistics = new Places(0);
  const panels = (where: Places, inner: number, columns: number): Panels => {
    const padded = roundUp(columns, columnGranule);
    return { offset: where.take(inner * padded * bytes), inner, columns: padded, width };
  };
  const scalars = places.take(64 * 8);
  const words = places.take(CACHE_LINE);
  const results = places.take(CACHE_LINE);
  const order = places.take(capacity * 4);
  const batchBytes = batch * plan.input_size * bytes;
  const isFetched = batchBytes >= FETCHED_BATCH.least && batchBytes <= FETCHED_BATCH.most;
  const nextOrder = isFetched ? places.take(capacity * 4) : null;
  const inputs = rows(plan.input_size);
  const chunkInputs = places.take(chunk * plan.input_size * bytes + CACHE_LINE);
  const sideBySide = { base: chunkInputs, columns: plan.input_size, stride: plan.input_size * bytes };
  const chunkOutputs = places.take(chunk * plan.output_size * bytes + CACHE_LINE);
  const chunkLosses = places.take(chunk * bytes);
  const checks = places.take(threads * CACHE_LINE);
  const targets = labels ? { base: places.take(capacity * bytes), columns: 1, stride: bytes } : rows(plan.output_size);
  const rowWeights = places.take(capacity * bytes);
  const rowLosses = places.take(capacity * bytes);
  const perInput = roundUp(capacity * bytes, CACHE_LINE);
  const layers = plan.layers.map((layer, index): LayerLayout => {
    const { units, normalization } = layer;
    const vector = (present: unknown) => (present === null ? null : block.take(roundUp(units, columnGranule) * bytes));
    const preActivations = rows(units);
    const activations = rows(units);
    return {
      layer,
      columns: roundUp(units, columnGranule),
      weights: panels(block, layer.input_size, units),
      biases: vector(layer.biases),
      gamma: vector(normalization),
      beta: vector(normalization),
      transposed: index === 0 ? null : panels(places, units, layer.input_size),
      preActivations,
      activationInputs: normalization === null ? preActivations : rows(units),
      activations,
      outputs: layer.dropout === 0 ? activations : rows(units),
      deltas: rows(units),
      packed:
        layer.input_size * batch * bytes >= PACKED_BYTES && units >= PACKED_PANELS * width
          ? {
              perInput,
              inputs: places.take(perInput * layer.input_size),
              deltas: places.take(capacity * roundUp(units, width) * bytes),
            }
          : null,
      normalization: normalization && {
        kind: normalization.kind,
        normalized: rows(units),
        inverseDeviations: places.take((Math.max(capacity, units) + 4 * lanes) * bytes),
        running:
          normalization.running_mean === null
            ? null
            : { mean: statistics.take(units * bytes + 64), variance: statistics.take(units * bytes + 64) },
      },
      mask: layer.dropout === 0 ? null : rows(units),
      factors: layer.dropout === 0 ? 0 : places.take((roundUp(capacity * units, 16) + 16) * bytes),
    };
  });
  const blockBytes = block.end;
  const parameters = places.take(blockBytes);
  const slotPlaces = Array.from({ length: slots }, () => places.take(blockBytes));
  const statisticsPlace = places.take(statistics.end);
  const stateBytes = places.end - parameters;
  const gradients = storesGradients ? places.take(blockBytes) : 0;
  const snapshot = places.take(stateBytes);
  return {
    ...rest,
    plan,
    tile,
    bytesPerNumber: bytes,
    batch,
    capacity,
    granule,
    inputs,
    threads,
    piece,
    chunk,
    chunkInputs,
    given: threads === 1 ? sideBySide : inputs,
    chunkOutputs,
    chunkLosses,
    checks,
    targets,
    rowWeights,
    rowLosses,
    layers,
    parameters,
    blockBytes,
    slots: slotPlaces,
    statistics: statisticsPlace,
    stateBytes,
    gradients,
    snapshot,
    scalars,
    order,
    nextOrder,
    words,
    results,
    end: places.end,
  };
}

/** The number of the memory in which a part of the data lies, as the module imports them: 0 is that of the network. */
export const memoryOfPart = ({ apart }: NetworkLayout, part: DataPart): number => apart.indexOf(part) + 1;
