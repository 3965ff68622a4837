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

/** @param layer 1-based; only this layer is written */
export function parametersJson({ job, plan, model }: JobModel, layer?: number): string {
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
  const layers = chosenLayers(plan, layer).map((planned) => {
    const trained = trainedTensors(planned).map(({ name, slice }) => `"${name}":${tensor(model.parameters, slice)}`);
    const untrained = statisticTensors(planned).map(
      ({ name, slice }) => `"${name}":${tensor(model.statistics, slice)}`,
    );
    return `{${[...trained, ...untrained].join(',')}}`;
  });
  return `${head.slice(0, -1)},"layers":[${layers.join(',')}]}`;
}

/** A vector, or a matrix as a list of rows. */
function tensor(values: FloatArray, { offset, length, shape }: TensorSlice): string {
  const part = values.subarray(offset, offset + length);
  if (shape.length === 1) return jsonNumbers(part);
  const [rows, columns] = shape;
  return `[${Array.from({ length: rows }, (_, row) => jsonNumbers(part.subarray(row * columns, (row + 1) * columns))).join(',')}]`;
}
