/** The layers of a job over time: kept as points beside the loss, read as columns. */
import type { Plan } from '../engine/backend.ts';
import type { NetworkDefinition } from '../engine/definition.ts';
import { plan } from '../engine/plan.ts';
import { toWire } from '../schemas/common.ts';
import type { LayerStatistics } from '../schemas/layers.ts';
import type { JobRecord, PointChunk, Store } from '../store/store.ts';
import {
  type Frame,
  type LayerFigure,
  layerFigures,
  type MeasuredTensor,
  measuredTensors,
  type TensorFigure,
  tensorFigures,
} from '../training/layer-statistics.ts';
import { namesOf } from '../training/states.ts';
import { stepsPerEpochOf } from './history.ts';
import { bugMark } from './job-request.ts';
import { chosenLayers } from './parameters.ts';

/** The index of a point is the number of its frame. */
const resolution = 'layers';

const tensorColumn = (layer: number, tensor: MeasuredTensor, figure: TensorFigure) => `${layer}.${tensor}.${figure}`;
const figureColumn = (layer: number, figure: LayerFigure) => `${layer}.${figure}`;

function valuesOf({ step, rows, layers }: Frame): readonly (readonly [string, number])[] {
  return [
    ['step', step],
    ['rows', rows],
    ...layers.flatMap(({ tensors, figures }, index): (readonly [string, number])[] => [
      ...namesOf(measuredTensors).flatMap((tensor) =>
        namesOf(tensorFigures).map(
          (figure) => [tensorColumn(index + 1, tensor, figure), tensors[tensor][figure]] as const,
        ),
      ),
      ...namesOf(layerFigures).flatMap((figure) => {
        const value = figures[figure];
        return value === null ? [] : [[figureColumn(index + 1, figure), value] as const];
      }),
    ]),
  ];
}

/** Consecutive frames as they are stored: at most one chunk. */
export function frameChunks(frames: readonly Frame[]): PointChunk[] {
  if (frames.length === 0) return [];
  const rows = frames.map(valuesOf);
  const series = rows[0].map(([name], column) => [name, Float64Array.from(rows, (row) => row[column][1])] as const);
  return [{ resolution, first: frames[0].number, count: frames.length, series: Object.fromEntries(series) }];
}

/** How many of the stored frames are of steps up to the given one: what a job that goes back to it keeps. */
export async function framesUpTo(
  store: Pick<Store, 'points'>,
  id: string,
  step: number,
): Promise<Readonly<Record<string, number>>> {
  let frames = 0;
  for await (const { series } of store.points.chunks(id, resolution)) {
    for (const sampled of series.step) if (sampled <= step) frames += 1;
  }
  return { [resolution]: frames };
}

/**
 * The statistics of all layers, or of one, at every sampled step so far.
 * @param recent frames of the attempt under way that are not stored yet
 * @param layer 1-based
 */
export async function readLayers(
  store: Pick<Store, 'points'>,
  job: JobRecord,
  recent: readonly Frame[],
  layer: number | undefined,
): Promise<LayerStatistics> {
  const chosen = chosenLayers(plan(job.network as NetworkDefinition), layer);
  const columns = new Map<string, number[]>();
  let last = 0;
  const add = ({ first, count, series }: PointChunk) => {
    for (const [name, values] of Object.entries(series)) {
      const column = columns.get(name) ?? [];
      columns.set(name, column);
      for (const value of values) column.push(value);
    }
    last = first + count - 1;
  };
  for await (const chunk of store.points.chunks(job.id, resolution)) add(chunk);
  for (const chunk of frameChunks(recent.filter(({ number }) => number > last))) add(chunk);
  const step = columns.get('step') ?? [];
  return {
    job_id: job.id,
    step,
    epoch: step.map((number) => Math.floor((number - 1) / stepsPerEpochOf(job)) + 1),
    rows: columns.get('rows') ?? [],
    layers: chosen.map((planned) => layerColumns(planned, columns)),
    ...bugMark(job),
  };
}

function layerColumns(
  { number, units, activation }: Plan['layers'][number],
  columns: ReadonlyMap<string, readonly number[]>,
): LayerStatistics['layers'][number] {
  const wire = (name: string) => (columns.get(name) ?? []).map(toWire);
  const tensors = namesOf(measuredTensors).map((tensor) => {
    const figures = namesOf(tensorFigures).map((figure) => [figure, wire(tensorColumn(number, tensor, figure))]);
    return [tensor, Object.fromEntries(figures)];
  });
  const figures = namesOf(layerFigures).map((figure) => {
    const name = figureColumn(number, figure);
    return [figure, columns.has(name) ? wire(name) : null];
  });
  return {
    layer: number,
    units,
    activation: activation.name,
    ...Object.fromEntries(tensors),
    ...Object.fromEntries(figures),
  };
}
