/** From a request's data to what the back end trains and validates on: split, then scaled by the training rows. */
import type { Data, FloatArray, Plan } from '../engine/backend.ts';
import { floatArrays } from '../engine/float-arrays.ts';
import { sharedFloats } from '../engine/wasm/data-memory.ts';
import { classOf, type MetricContext } from './metric-context.ts';
import { applyScaling, type FittedScaling, fitScaling, invertScaling, type Preprocessing } from './preprocessing.ts';
import type { RunRequest } from './request.ts';
import { rowWeights } from './row-weights.ts';
import { type Split, type SplitPart, splitRows } from './split.ts';
import { type TargetKind, targetKind } from './target-kind.ts';

export interface PreparedData {
  /** All rows of the request with their weights; `rows` says which of them are trained on. */
  readonly data: Data;
  readonly rows: Uint32Array;
  readonly validation: Data | null;
  readonly test: Data | null;
  /** What metrics are measured on while training: the validation rows, or the training rows when there are none. */
  readonly measured: Data;
  readonly preprocessing: Preprocessing;
  readonly target_kind: TargetKind;
}

/**
 * Splits and scales the data of a request. Everything depends on the request alone, so a resumed run sees the same numbers.
 * @throws {RangeError} when no row is left to train on
 */
export function prepareData(request: RunRequest, plan: Plan): PreparedData {
  const { data, validation } = request;
  const target_kind = targetKind(request.network.loss, plan.output_size, data.targets);
  const context = { target_kind, output_size: plan.output_size };
  const parts = split(request, labelsOf(data, context));
  const preprocessing = fitPreprocessing(request, plan, parts.train);
  // Weights are for training alone: what is measured counts every row once.
  // Where compiled code reads them, so that this is the only copy.
  const scaled = scaleData({ ...data, weights: undefined }, preprocessing, plan, sharedFloatsFor);
  const weights = rowWeights(data, parts.train, context, request.class_weights, request.class_names);
  const gathered = (rows: Uint32Array): Data | null => (rows.length === 0 ? null : gather(scaled, rows, plan));
  const ownData = validation !== undefined && 'data' in validation ? validation.data : null;
  const heldOut = ownData === null ? gathered(parts.validation) : scaleData(ownData, preprocessing, plan);
  const tested = gathered(parts.test);
  return {
    data: weights === undefined ? scaled : { ...scaled, weights },
    rows: parts.train,
    validation: heldOut,
    test: tested,
    measured: heldOut ?? (tested === null ? scaled : gather(scaled, parts.train, plan)),
    preprocessing,
    target_kind,
  };
}

/** The numbers of the rows that are trained on and of those held out. */
function split({ data, validation: wanted, test, seed }: RunRequest, labels: ArrayLike<number> | undefined): Split {
  const validation: SplitPart | undefined = wanted === undefined || 'data' in wanted ? undefined : wanted;
  const none = new Uint32Array(0);
  if (validation === undefined && test === undefined) {
    return { train: Uint32Array.from({ length: data.rows }, (_, row) => row), validation: none, test: none };
  }
  return splitRows(data.rows, { validation, test }, seed, labels);
}

/** One class number per row where rows have a class, so that a split can keep the proportions. */
function labelsOf({ rows, targets }: Data, context: MetricContext): ArrayLike<number> | undefined {
  const ofClass = classOf(context);
  return ofClass === null ? undefined : Uint32Array.from({ length: rows }, (_, row) => ofClass(targets, row));
}

function fitPreprocessing({ data, scaling }: RunRequest, plan: Plan, rows: Uint32Array): Preprocessing {
  const { inputs, targets } = scaling ?? {};
  return {
    inputs: inputs === undefined ? null : fitScaling(inputs, { values: data.inputs, columns: plan.input_size, rows }),
    targets:
      targets === undefined ? null : fitScaling(targets, { values: data.targets, columns: plan.output_size, rows }),
  };
}

/** A new array in the network's precision; the array itself where nothing is to be done. */
export function scale(scaling: FittedScaling | null, values: FloatArray, plan: Plan, allocate = floatsFor): FloatArray {
  return scaling === null ? values : applyScaling(scaling, values, allocate(plan, values.length));
}

/** From the network's outputs to the client's numbers. */
export function unscale(scaling: FittedScaling | null, values: FloatArray): FloatArray {
  return scaling === null ? values : invertScaling(scaling, values, new Float64Array(values.length));
}

export function scaleData(data: Data, preprocessing: Preprocessing, plan: Plan, allocate = floatsFor): Data {
  return {
    ...data,
    inputs: scale(preprocessing.inputs, data.inputs, plan, allocate),
    targets: scale(preprocessing.targets, data.targets, plan, allocate),
  };
}

/** Copies the given rows into a data set of their own. */
export function gather(data: Data, rows: Uint32Array, plan: Plan): Data {
  const rowsOf = (values: FloatArray): FloatArray => {
    const columns = values.length / data.rows;
    const gathered = floatsFor(plan, rows.length * columns);
    rows.forEach((row, i) => {
      gathered.set(values.subarray(row * columns, (row + 1) * columns), i * columns);
    });
    return gathered;
  };
  return {
    rows: rows.length,
    inputs: rowsOf(data.inputs),
    targets: rowsOf(data.targets),
    weights: data.weights === undefined ? undefined : rowsOf(data.weights),
  };
}

const sharedFloatsFor = ({ precision }: Plan, length: number) => sharedFloats(precision, length);

const floatsFor = ({ precision }: Plan, length: number): FloatArray => new floatArrays[precision](length);
