/** Measuring a model on rows, in batches, so that memory does not grow with the data. */
import type { Backend, Data } from '../engine/backend.ts';
import type { ConfusionMatrix } from './class-counts.ts';
import { accumulate, type MetricSpec } from './metrics.ts';
import { unscale } from './prepare.ts';
import type { Preprocessing } from './preprocessing.ts';
import type { TargetKind } from './target-kind.ts';

/** Rows that are predicted at a time. */
const chunkRows = 1024;

export interface Evaluation {
  /** By series; null where the rows leave it undefined. */
  readonly values: Readonly<Record<string, number | null>>;
  readonly confusion_matrix: ConfusionMatrix | null;
  /** The area under the ROC curve of each output; null unless `roc_auc` was asked for. */
  readonly areas: readonly (number | null)[] | null;
}

export interface EvaluationContext {
  readonly metrics: readonly MetricSpec[];
  readonly preprocessing: Preprocessing;
  readonly target_kind: TargetKind;
}

/**
 * The metrics on the given rows in inference mode, in the unit of the client's data.
 * @param data scaled, as the network wants it
 */
export function measure(backend: Backend, data: Data, context: EvaluationContext): Evaluation {
  const { metrics, preprocessing, target_kind } = context;
  if (metrics.length === 0) return { values: {}, confusion_matrix: null, areas: null };
  const { input_size, output_size, layers } = backend.plan;
  const collected = accumulate(metrics, {
    target_kind,
    output_size,
    log_outputs: layers.at(-1)?.activation.name === 'log_softmax',
  });
  const targetColumns = data.targets.length / data.rows;
  for (let from = 0; from < data.rows; from += chunkRows) {
    const to = Math.min(from + chunkRows, data.rows);
    const outputs = backend.predict(data.inputs.subarray(from * input_size, to * input_size), to - from);
    const targets = data.targets.subarray(from * targetColumns, to * targetColumns);
    collected.add(unscale(preprocessing.targets, outputs), unscale(preprocessing.targets, targets), to - from);
  }
  return { values: collected.finish(), confusion_matrix: collected.confusionMatrix(), areas: collected.areas() };
}

/** How good a model is on rows. */
export interface Judgement {
  /** In the unit that the network was trained in: of scaled targets where they were scaled. */
  readonly loss: number;
  /** By series; null where the rows leave it undefined. */
  readonly metrics: Readonly<Record<string, number | null>>;
  readonly confusion_matrix: ConfusionMatrix | null;
  readonly areas: Evaluation['areas'];
}

/** Mean loss and metrics; see {@link measure}. */
export function judge(backend: Backend, data: Data, context: EvaluationContext): Judgement {
  const { values, ...tables } = measure(backend, data, context);
  return { loss: backend.evaluate(data), metrics: values, ...tables };
}
