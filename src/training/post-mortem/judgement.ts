/** How good a model is: one loss for all variants of a job, whatever they scale, so that they can be compared. */
import type { BackendState, Data, FloatArray, Plan } from '../../engine/backend.ts';
import { targetsPerRow } from '../../engine/reference/backend.ts';
import { dataLoss } from '../../engine/reference/forward.ts';
import { gather, type PreparedData, unscale } from '../prepare.ts';
import type { RunRequest } from '../request.ts';
import { exactPlan, predictPass, sampleRows } from './sample.ts';

/** Values that one judgement may touch, and the rows that it has at most and at least. */
const judgedValues = 5e7;
const judgedRows = { most: 256, least: 16 } as const;

type Values = Pick<BackendState, 'parameters' | 'statistics'>;

export interface Judgement {
  /** The rows, as the network gets them. */
  readonly data: Data;
  /** Their loss in float64, in the unit of the client's targets, without dropout and l1 and l2 terms. */
  loss(values: Values): number;
  /** The loss of a network whose parameters are all 0. */
  naive(): number;
}

/** Judges models of a request on a sample of its training rows. */
export function judgementOf({ data: given }: RunRequest, prepared: PreparedData, plan: Plan): Judgement {
  const exact = exactPlan(plan);
  const affordable = Math.floor(judgedValues / plan.parameter_count);
  const rows = sampleRows(prepared, Math.max(judgedRows.least, Math.min(judgedRows.most, affordable)));
  const data = gather(prepared.data, rows, plan);
  const { targets: scaling } = prepared.preprocessing;
  const isScaled = scaling !== null && plan.loss.entry.likelihood === null;
  const targets = isScaled ? rowsOf(given.targets, targetsPerRow(plan), rows) : null;
  const loss = (values: Values): number => {
    const pass = predictPass(exact, values, data);
    if (targets !== null) {
      const { activations } = pass.layers[pass.layers.length - 1];
      activations.set(unscale(scaling, activations));
      pass.targets = targets;
    }
    return dataLoss(pass);
  };
  const naive = (): number => {
    const nothing = new Float64Array(plan.parameter_count);
    return loss({ parameters: nothing, statistics: new Float64Array(plan.statistic_count).fill(1) });
  };
  return { data, loss, naive };
}

function rowsOf(values: FloatArray, columns: number, rows: Uint32Array): Float64Array {
  const gathered = new Float64Array(rows.length * columns);
  rows.forEach((row, i) => {
    gathered.set(values.subarray(row * columns, (row + 1) * columns), i * columns);
  });
  return gathered;
}
