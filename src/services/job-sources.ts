/** What a job refers to: the rows of stored data sets, and the parameters that it starts from. */

import type { Plan } from '../engine/backend.ts';
import type { NetworkDefinition, Parameters } from '../engine/definition.ts';
import type { LossName, LossSpec } from '../engine/losses.ts';
import { fromWire, ParameterShapeError } from '../engine/parameters.ts';
import { type InitialParameters, plan } from '../engine/plan.ts';
import type { Problem } from '../errors.ts';
import type { JobInput } from '../schemas/job.ts';
import type { JobRecord, Store } from '../store/store.ts';
import { decodeArrays, type NamedArrays } from './array-blob.ts';
import type { LabelledRows } from './data-checks.ts';
import type { KeptRequest } from './job-request.ts';

/** Where the rows of stored data sets come from. */
export interface DatasetSource {
  /**
   * The rows on shared memory, the targets in the form that the network needs; `undefined` when there is no such data set.
   * @param network unknown: only whether the data set is there matters then
   * @param weights the column that holds the weights of the rows, and is no feature
   */
  load(
    id: string,
    network?: { readonly loss: LossSpec; readonly output_size: number },
    weights?: string,
  ): Promise<LabelledRows | undefined>;
}

/** Where the parameters of other jobs come from. */
export interface ModelSource {
  /** Definition and parameters of a checkpoint; `undefined` when there is no such job or checkpoint. */
  startFrom(
    job_id: string,
    step: number | undefined,
  ): Promise<{ readonly wire: Parameters; readonly step: number } | undefined>;
}

/** A problem of an id in a body. */
export const missing = (pointer: string, kind: string, id: string): Problem => ({
  pointer,
  code: 'not_found',
  detail: `There is no ${kind} with the id ${JSON.stringify(id)}.`,
});

/** What decides the form of the targets of a stored data set. */
export const readerOf = ({ loss, output_size }: Plan) => ({ loss: loss.name as LossName, output_size });

interface Search {
  readonly planned: Plan | null;
  readonly sources: { readonly datasets: DatasetSource };
  readonly problems: Problem[];
  /** The column of data sets that holds the weights of their rows. */
  readonly weights: string | undefined;
}

/** Inline rows, or those of a stored data set. */
export async function findRows(
  { data, dataset_id }: { readonly data?: LabelledRows | undefined; readonly dataset_id?: string | undefined },
  pointer: string,
  { planned, sources, problems, weights }: Search,
): Promise<LabelledRows | null> {
  if (dataset_id === undefined) return data ?? null;
  const reader = planned === null ? undefined : readerOf(planned);
  const loaded = await sources.datasets.load(dataset_id, reader, weights);
  if (loaded === undefined) problems.push(missing(`${pointer}/dataset_id`, 'data set', dataset_id));
  return loaded ?? null;
}

interface Initial {
  readonly values: InitialParameters;
  readonly origin: NonNullable<KeptRequest['initial_parameters']>;
}

/** The start that the client has asked for; null when there is none, or it does not fit. */
export async function findInitial(
  { initial_parameters: given }: JobInput,
  planned: Plan,
  { models }: { readonly models: ModelSource },
  problems: Problem[],
): Promise<Initial | null> {
  if (given === undefined) return null;
  if (given.job_id === undefined) {
    const values = readParameters(planned, given.layers, '/initial_parameters', problems);
    return values && { values, origin: { given: true } };
  }
  const start = await models.startFrom(given.job_id, given.step);
  if (start === undefined) {
    const what = given.step === undefined ? 'trained job' : `checkpoint of step ${given.step} of a job`;
    problems.push(missing('/initial_parameters/job_id', what, given.job_id));
    return null;
  }
  const values = readParameters(planned, start.wire.layers, '/initial_parameters/job_id', problems);
  return values && { values, origin: { job_id: given.job_id, step: start.step } };
}

/** Matrices of the wire as flat buffers; what does not fit is reported with its shape. */
export function readParameters(
  planned: Plan,
  layers: unknown,
  pointer: string,
  problems: Problem[],
): InitialParameters | null {
  if (!Array.isArray(layers)) {
    problems.push({
      pointer: `${pointer}/layers`,
      code: 'wrong_type',
      detail: 'layers must be an array, one object per layer.',
    });
    return null;
  }
  try {
    return fromWire(planned, { layers });
  } catch (error) {
    if (!(error instanceof ParameterShapeError)) throw error;
    const inBody = !pointer.endsWith('/job_id');
    for (const { path, expected, found } of error.problems) {
      const detail = `${inBody ? '' : `${path}: `}The network needs ${expected}, but this is ${found}.`;
      problems.push({ pointer: inBody ? `${pointer}${path}` : pointer, code: 'shape_mismatch', detail });
    }
    return null;
  }
}

/** The numbers of a job are not there any more. */
export class DataGoneError extends Error {}

/** The numbers that a job is trained with: its own copy, and the rows of its data set. */
export async function readArrays(
  store: Pick<Store, 'blobs'>,
  datasets: DatasetSource,
  job: JobRecord,
): Promise<NamedArrays> {
  const blob = job.data_key === null ? undefined : await store.blobs.get(job.data_key);
  if (job.data_key !== null && blob === undefined) throw new DataGoneError(`the data of ${job.id} are gone`);
  const own = blob === undefined ? {} : decodeArrays(blob);
  if (job.dataset_id === null) return own;
  const { sample_weights } = job.request as KeptRequest;
  const column = typeof sample_weights === 'string' ? sample_weights : undefined;
  const rows = await datasets.load(job.dataset_id, readerOf(plan(job.network as NetworkDefinition)), column);
  if (rows === undefined) throw new DataGoneError(`the data set ${job.dataset_id} is gone`);
  const weights = rows.weights ?? null;
  return { ...own, inputs: rows.inputs.values, targets: rows.targets.values, ...(weights && { weights }) };
}
