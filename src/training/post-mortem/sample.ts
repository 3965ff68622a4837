/** What a model computes on a fixed sample of the training rows, without any run: for judging it before and after. */
import type { BackendState, Data, FloatArray, Plan } from '../../engine/backend.ts';
import { backwardPass, type Gradients } from '../../engine/reference/backward.ts';
import { forward } from '../../engine/reference/forward.ts';
import { createPass, type Pass, setPass } from '../../engine/reference/pass.ts';
import { correctRules, type PassRules } from '../../engine/reference/rules.ts';
import { gather, type PreparedData } from '../prepare.ts';

type Values = Pick<BackendState, 'parameters' | 'statistics'>;

/** At most so many rows, evenly spread over the training rows. */
export function sampleRows({ rows }: Pick<PreparedData, 'rows'>, most: number): Uint32Array {
  const count = Math.min(rows.length, most);
  return Uint32Array.from({ length: count }, (_, i) => rows[Math.floor((i * rows.length) / count)]);
}

export function sampleOf(prepared: PreparedData, plan: Plan, most: number): Data {
  return gather(prepared.data, sampleRows(prepared, most), plan);
}

/** The same network without what is random in it. */
export function withoutDropout(plan: Plan): Plan {
  return { ...plan, layers: plan.layers.map((layer) => ({ ...layer, dropout: 0 })) };
}

/** The same network in float64, without what is random in it: the truth that runs are held against. */
export const exactPlan = (plan: Plan): Plan => ({ ...withoutDropout(plan), precision: 'float64' });

export function predictPass(plan: Plan, values: Values, data: Data): Pass {
  const pass = createPass(plan, data.rows);
  setPass(pass, values, { inputs: data.inputs, targets: data.targets, row_weights: data.weights ?? null });
  forward(pass, 'predict');
  return pass;
}

/** Loss and gradients over the rows. */
export function sampleGradients(plan: Plan, values: Values, data: Data, rules: PassRules = correctRules): Gradients {
  return backwardPass(plan, values, data, undefined, rules);
}

export function absMax(values: FloatArray): number {
  let largest = 0;
  for (const value of values) {
    const size = Math.abs(value);
    if (!(size <= largest)) largest = size;
    if (Number.isNaN(largest)) return largest;
  }
  return largest;
}
