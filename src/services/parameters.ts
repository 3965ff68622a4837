/** Parameters as JSON text: written straight from the flat buffer, because they can be many millions of numbers. */
import type { FloatArray, Plan, PlannedLayer, TensorSlice } from '../engine/backend.ts';
import { statisticTensors, trainedTensors } from '../engine/parameters.ts';
import { ProblemError } from '../errors.ts';
import { jsonNumbers } from '../interop/json-numbers.ts';
import { bugMark } from './job-request.ts';
import type { JobModel } from './models.ts';

/**
 * All layers, or the one asked for.
 * @param layer 1-based
 * @throws {ProblemError} `not_found` when the network has no such layer
 */
export function chosenLayers({ layers }: Plan, layer: number | undefined): readonly PlannedLayer[] {
  const chosen = layer === undefined ? layers : layers.filter(({ number }) => number === layer);
  if (chosen.length > 0) return chosen;
  throw new ProblemError('not_found', `There is no layer ${layer}; the network has the layers 1 to ${layers.length}.`);
}

/**
 * In pieces of a row each, written when they are asked for.
 * @param layer 1-based; only this layer is written
 * @throws {ProblemError} `not_found` when the network has no such layer
 */
export function parametersJson({ job, plan, model }: JobModel, layer?: number): Iterable<string> {
  const { step, epoch, parameters_sha256: sha256, preprocessing } = model;
  const head = JSON.stringify({
    job_id: job.id,
    step,
    epoch,
    sha256,
    preprocessing,
    ...bugMark(job),
    ...(layer === undefined ? {} : { layer }),
  });
  return document(head, chosenLayers(plan, layer), model);
}

function* document(
  head: string,
  layers: readonly PlannedLayer[],
  { parameters, statistics }: Pick<JobModel['model'], 'parameters' | 'statistics'>,
): Generator<string> {
  yield `${head.slice(0, -1)},"layers":[`;
  for (const [index, layer] of layers.entries()) {
    const trained = trainedTensors(layer).map((tensor) => ({ ...tensor, values: parameters }));
    const untrained = statisticTensors(layer).map((tensor) => ({ ...tensor, values: statistics }));
    yield index === 0 ? '{' : ',{';
    for (const [number, { name, slice, values }] of [...trained, ...untrained].entries()) {
      yield `${number === 0 ? '' : ','}"${name}":`;
      yield* tensor(values, slice);
    }
    yield '}';
  }
  yield ']}';
}

/** A vector, or a matrix as a list of rows. */
function* tensor(values: FloatArray, { offset, length, shape }: TensorSlice): Generator<string> {
  const part = values.subarray(offset, offset + length);
  if (shape.length === 1) return yield jsonNumbers(part);
  const [rows, columns] = shape;
  yield '[';
  for (let row = 0; row < rows; row++) {
    yield `${row === 0 ? '' : ','}${jsonNumbers(part.subarray(row * columns, (row + 1) * columns))}`;
  }
  yield ']';
}
