/** What can be seen in the data and in a model without training anything. */
import type { Data, FloatArray, Plan } from '../../engine/backend.ts';
import { deadFraction, rootMeanSquare, saturatedFraction } from '../layer-statistics.ts';
import type { PreparedData } from '../prepare.ts';
import { tensorStatistics } from '../tensor-statistics.ts';
import { predictPass, sampleGradients, sampleRows, withoutDropout } from './sample.ts';

/** Values that are out of all proportion to the others of their column. */
export interface Outliers {
  /** 0-based rows of the data, ascending. */
  readonly rows: readonly number[];
  readonly column: number;
  readonly largest: number;
  /** Median size of the values of the column that are not 0. */
  readonly typical: number;
}

export interface DataFacts {
  /** Of the column where it is largest, as the network gets it. */
  readonly input_rms: number;
  readonly input_abs_max: number;
  readonly outliers: Outliers | null;
  /** Null for labels. */
  readonly target_rms: number | null;
  readonly target_abs_max: number | null;
  /** Share of the targets that the output activation cannot come near; 0 where the loss takes only those it can. */
  readonly unreachable_targets: number;
}

export interface LayerFacts {
  readonly layer: number;
  readonly activation: string;
  /** Null where it does not apply. */
  readonly dead_fraction: number | null;
  readonly saturated_fraction: number | null;
  /** Root mean square of the gradient of the weights. */
  readonly gradient_rms: number;
}

/** Rows that are looked at. */
const seenRows = 4096;
const outlierFactor = 1e4;
const mostOutlierRows = 0.1;

export function dataFacts(prepared: PreparedData, plan: Plan): DataFacts {
  const rows = sampleRows(prepared, seenRows);
  const { inputs, targets } = prepared.data;
  const columns = Array.from({ length: plan.input_size }, (_, column) =>
    columnOf(inputs, plan.input_size, column, rows),
  );
  const statistics = columns.map((values) => tensorStatistics(values));
  const labels = plan.loss.entry.target_domain.kind === 'label';
  const seenTargets = labels
    ? null
    : Float64Array.from(rows, (row) => row).map((row) => largestOf(targets, plan.output_size, row));
  const target = seenTargets && tensorStatistics(seenTargets);
  return {
    input_rms: Math.max(...statistics.map(rootMeanSquare)),
    input_abs_max: Math.max(...statistics.map(({ abs_max }) => abs_max)),
    outliers: findOutliers(columns, rows),
    target_rms: target && rootMeanSquare(target),
    target_abs_max: target?.abs_max ?? null,
    unreachable_targets: labels ? 0 : unreachable(targets, plan, rows),
  };
}

function columnOf(values: FloatArray, columns: number, column: number, rows: Uint32Array): Float64Array {
  return Float64Array.from(rows, (row) => values[row * columns + column]);
}

/** The target of a row that is farthest from 0. */
function largestOf(targets: FloatArray, outputs: number, row: number): number {
  let largest = 0;
  for (let i = row * outputs; i < (row + 1) * outputs; i++) {
    if (Math.abs(targets[i]) > Math.abs(largest)) largest = targets[i];
  }
  return largest;
}

function findOutliers(columns: readonly Float64Array[], rows: Uint32Array): Outliers | null {
  const found = new Set<number>();
  let worst: Omit<Outliers, 'rows'> | null = null;
  for (const [column, values] of columns.entries()) {
    const sizes = values
      .map(Math.abs)
      .filter((size) => size > 0)
      .sort();
    const typical = sizes[Math.floor((sizes.length - 1) / 2)] ?? 0;
    for (const [i, value] of values.entries()) {
      if (!(Math.abs(value) > outlierFactor * typical)) continue;
      found.add(rows[i]);
      if (worst === null || Math.abs(value) > Math.abs(worst.largest)) worst = { column, largest: value, typical };
    }
  }
  if (worst === null || found.size > mostOutlierRows * rows.length) return null;
  return { ...worst, rows: [...found].sort((a, b) => a - b) };
}

/** Targets outside the closed range of the output activation, for losses that allow any. */
function unreachable(targets: FloatArray, { layers, loss, output_size: outputs }: Plan, rows: Uint32Array): number {
  if (loss.entry.likelihood !== null) return 0;
  const { minimum, maximum } = layers[layers.length - 1].activation.entry.range;
  let outside = 0;
  for (const row of rows) {
    for (let i = row * outputs; i < (row + 1) * outputs; i++)
      if (targets[i] < minimum || targets[i] > maximum) outside += 1;
  }
  return outside / (rows.length * outputs);
}

/** What the layers of a model do on the rows. */
export function layerFacts(
  plan: Plan,
  values: { parameters: FloatArray; statistics: FloatArray },
  data: Data,
): LayerFacts[] {
  const { layers } = predictPass(plan, values, data);
  const { pass } = sampleGradients(withoutDropout(plan), values, data);
  return layers.map((current) => {
    const { number, activation, weights } = current.layer;
    const { range, relu_family, kind } = activation.entry;
    const bounded = kind === 'elementwise' && Number.isFinite(range.minimum) && Number.isFinite(range.maximum);
    return {
      layer: number,
      activation: activation.name,
      dead_fraction: relu_family ? deadFraction(current, data.rows) : null,
      saturated_fraction: bounded ? saturatedFraction(current) : null,
      gradient_rms: rootMeanSquare(tensorStatistics(pass.gradients, weights.offset, weights.length)),
    };
  });
}
