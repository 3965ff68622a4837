/** A job's request in the form in which it is kept: options in the record, matrices in one blob; and back to a run. */
import type { Features } from '../datasets/features.ts';
import type { Data, FloatArray, Plan } from '../engine/backend.ts';
import type { ClipGradients, NetworkDefinition } from '../engine/definition.ts';
import type { InitialParameters } from '../engine/plan.ts';
import type { JobInput } from '../schemas/job.ts';
import type { Metadata, NewWebhook } from '../store/store.ts';
import { defaultMonitor } from '../training/monitor.ts';
import type { LearningRateChange, RunRequest, Validation } from '../training/request.ts';
import type { SplitPart } from '../training/split.ts';
import type { NamedArrays } from './array-blob.ts';
import type { LabelledRows } from './data-checks.ts';

type Elsewhere =
  | 'network'
  | 'network_id'
  | 'data'
  | 'dataset_id'
  | 'validation'
  | 'sample_weights'
  | 'initial_parameters'
  | 'metadata'
  | 'priority'
  | 'external_id'
  | 'webhooks';

/** Every option of a job with its default filled in; where the client gave matrices, their size or origin. */
export interface KeptRequest extends Omit<JobInput, Elsewhere> {
  readonly data: { readonly rows: number; readonly sha256: string };
  /** Columns and classes of the data set, which may be deleted before the model is asked. */
  readonly features?: Features | undefined;
  readonly validation?:
    | { readonly fraction: number }
    | { readonly rows: readonly number[] }
    | { readonly data: { readonly rows: number } }
    | undefined;
  /** The column that holds them, or how many were given. */
  readonly sample_weights?: string | { readonly rows: number } | undefined;
  readonly initial_parameters?:
    | { readonly job_id: string; readonly step: number }
    | { readonly given: true }
    | undefined;
  /** The job that this one was made from, and the fix of its diagnosis that was applied. */
  readonly forked_from?: { readonly job_id: string; readonly step: number; readonly fix: string } | undefined;
}

/** Everything that an admitted job consists of, with its numbers still in memory. */
export interface AdmittedJob {
  readonly network_id: string | null;
  readonly dataset_id: string | null;
  readonly definition: NetworkDefinition;
  readonly plan: Plan;
  readonly request: KeptRequest;
  readonly arrays: NamedArrays;
  /** Rows that are left to train on. */
  readonly rows: number;
  readonly steps: number;
  readonly metadata: Metadata;
  readonly priority: number;
  readonly external_id: string | null;
  readonly webhooks: readonly NewWebhook[];
}

export interface RequestParts {
  readonly data: LabelledRows;
  readonly data_sha256: string;
  readonly validation: LabelledRows | null;
  /** Of the training rows; null where there are none. */
  readonly weights: FloatArray | null;
  readonly initial: InitialParameters | null;
  readonly initial_origin: KeptRequest['initial_parameters'];
}

/** The options as they are kept. */
export function keptRequest(input: JobInput, parts: RequestParts): KeptRequest {
  const {
    network,
    network_id,
    data,
    dataset_id,
    validation,
    sample_weights: weights,
    initial_parameters,
    ...rest
  } = input;
  const { metadata, priority, external_id, webhooks, ...options } = rest;
  const { fraction, rows } = validation ?? {};
  const heldOut =
    fraction !== undefined
      ? { fraction }
      : rows !== undefined
        ? { rows }
        : parts.validation && { data: { rows: parts.validation.inputs.rows } };
  return {
    ...options,
    data: { rows: parts.data.inputs.rows, sha256: parts.data_sha256 },
    ...(parts.data.features === undefined ? {} : { features: parts.data.features }),
    ...(weights === undefined
      ? {}
      : { sample_weights: typeof weights === 'string' ? weights : { rows: weights.rows } }),
    ...(heldOut === null ? {} : { validation: heldOut }),
    ...(parts.initial_origin === undefined ? {} : { initial_parameters: parts.initial_origin }),
  };
}

/** The matrices of a request by the names under which the blob keeps them. */
export function arraysOf({
  data,
  validation,
  weights,
  initial,
}: Pick<RequestParts, 'data' | 'validation' | 'weights' | 'initial'>): NamedArrays {
  return {
    inputs: data.inputs.values,
    targets: data.targets.values,
    ...(weights === null ? {} : { weights }),
    ...(validation === null
      ? {}
      : { 'validation.inputs': validation.inputs.values, 'validation.targets': validation.targets.values }),
    ...(initial === null
      ? {}
      : { parameters: Float64Array.from(initial.parameters), statistics: Float64Array.from(initial.statistics) }),
  };
}

/** What the pool is given: the same for the same record and arrays, whenever it is asked. */
export function runRequest(
  definition: NetworkDefinition,
  kept: KeptRequest,
  arrays: NamedArrays,
  changes: readonly LearningRateChange[] = [],
): RunRequest {
  const validation = validationOf(kept, arrays);
  const stopping = kept.early_stopping;
  const schedules = kept.learning_rate_schedule;
  return {
    network: definition,
    data: { rows: kept.data.rows, inputs: arrays.inputs, targets: arrays.targets, weights: arrays.weights },
    validation,
    test: kept.test as SplitPart | undefined,
    class_weights: kept.class_weights,
    class_names: kept.features?.classes ?? undefined,
    epochs: kept.epochs,
    batch_size: Math.min(kept.batch_size, kept.data.rows),
    shuffle: kept.shuffle,
    seed: kept.seed,
    optimizer: kept.optimizer,
    learning_rate_schedule: Array.isArray(schedules) ? schedules : [schedules],
    clip_gradients: kept.clip_gradients as ClipGradients | undefined,
    early_stopping: stopping && { ...stopping, monitor: stopping.monitor ?? defaultMonitor({ validation }) },
    target: kept.target,
    metrics: kept.metrics,
    scaling: kept.standardize ? { inputs: 'standardize' } : kept.scaling,
    initial_parameters: initialOf(definition, arrays),
    checkpoint: kept.checkpoint,
    limits: { max_runtime_seconds: kept.limits.max_runtime_seconds },
    arithmetic: kept.arithmetic,
    simulate_bug: kept.simulate_bug,
    learning_rate_changes: changes,
    statistics: kept.statistics,
  };
}

function validationOf({ validation }: KeptRequest, arrays: NamedArrays): Validation | undefined {
  if (validation === undefined || !('data' in validation)) return validation;
  const data: Data = {
    rows: validation.data.rows,
    inputs: arrays['validation.inputs'],
    targets: arrays['validation.targets'],
  };
  return { data };
}

function initialOf({ precision }: NetworkDefinition, arrays: NamedArrays): InitialParameters | undefined {
  const { parameters, statistics } = arrays;
  if (parameters === undefined) return undefined;
  if (precision === 'float64') return { parameters, statistics };
  return { parameters: Float32Array.from(parameters), statistics: Float32Array.from(statistics) };
}

/** A job with a bug put in says so wherever its numbers are shown. */
export function bugMark({ request }: { readonly request: unknown }): { readonly simulate_bug?: string } {
  const { simulate_bug } = request as KeptRequest;
  return simulate_bug === undefined ? {} : { simulate_bug };
}
