/** What a trained model says: outputs for rows, and how good they are where the truth is known. */
import type { Limits } from '../config.ts';
import { encodeRows, type Features } from '../datasets/features.ts';
import type { Plan } from '../engine/backend.ts';
import { type Problem, refuse } from '../errors.ts';
import { jsonNumbers } from '../interop/json-numbers.ts';
import { type Matrix, matrixProblems } from '../schemas/data.ts';
import type { EvaluateInput, Evaluation } from '../schemas/prediction.ts';
import { decisions } from '../training/decisions.ts';
import { type MetricSpec, metricProblem, usualMetrics } from '../training/metrics.ts';
import type { TrainingPool } from '../training/pool.ts';
import { inputProblems, sourceProblems } from './data-checks.ts';
import { featureProblems } from './job-admission.ts';
import { bugMark, type KeptRequest } from './job-request.ts';
import { type DatasetSource, findRows } from './job-sources.ts';
import { wireJudgement } from './judgements.ts';
import type { JobModel, Models } from './models.ts';
import { over } from './networks.ts';

export interface PredictionContext {
  readonly limits: Limits;
  readonly models: Models;
  readonly pool: TrainingPool;
  readonly datasets: DatasetSource;
}

/**
 * The outputs and labels as JSON text: there can be very many.
 * @param given rows of numbers, or rows in the columns of the data set that the job was trained on
 */
export async function predict(
  { models, pool }: PredictionContext,
  job_id: string,
  given: readonly unknown[],
): Promise<string> {
  const { job, plan, definition, model } = await models.newest(job_id);
  const { features } = job.request as KeptRequest;
  const inputs = inputsOf(given, plan, features);
  const outputs = await pool.predict({ network: definition, model, inputs: inputs.values, rows: inputs.rows });
  const size = plan.output_size;
  const rows = Array.from({ length: inputs.rows }, (_, row) => outputs.subarray(row * size, (row + 1) * size));
  const decide = decisions({ target_kind: model.target_kind, output_size: size }, features?.classes ?? null);
  const labels = decide && rows.map((_, row) => decide(outputs, row * size));
  const head = JSON.stringify({
    job_id: job.id,
    step: model.step,
    parameters_sha256: model.parameters_sha256,
    ...bugMark(job),
  });
  const tail = labels === null ? '' : `,"labels":${JSON.stringify(labels)}`;
  return `${head.slice(0, -1)},"outputs":[${rows.map(jsonNumbers).join(',')}]${tail}}`;
}

/** Rows of one number per feature, or in the client's columns where the job remembers them. */
function inputsOf(rows: readonly unknown[], plan: Plan, features: Features | undefined): Matrix {
  if (features === undefined) {
    const { matrix, problems } = matrixProblems(rows, '/inputs');
    refuse(matrix === null ? problems : inputProblems(matrix, plan, '/inputs'));
    return matrix as Matrix;
  }
  const { values, problems } = encodeRows(features, rows, '/inputs');
  refuse(problems);
  return { rows: rows.length, columns: plan.input_size, values: values as Float64Array, flat: false };
}

export async function evaluate(context: PredictionContext, job_id: string, input: EvaluateInput): Promise<Evaluation> {
  const found = await context.models.of(job_id);
  const problems: Problem[] = [];
  const { features, sample_weights } = found.job.request as KeptRequest;
  const weights = typeof sample_weights === 'string' ? sample_weights : undefined;
  const data = await findRows(input, '', { planned: found.plan, sources: context, problems, weights });
  if (data !== null) {
    problems.push(...featureProblems(features, data.features, '/dataset_id'));
    problems.push(...(await sourceProblems(data, found.plan, '')));
  }
  const { specs, problems: unfit } = chosenMetrics(input.metrics, found);
  refuse([...problems, ...unfit]);
  if (data === null) throw new TypeError('admitted without data');
  refuse(rankProblems(specs, data.inputs.rows * found.plan.output_size, context.limits), 'limit_exceeded');
  const { definition: network, model } = found;
  const rows = { rows: data.inputs.rows, inputs: data.inputs.values, targets: data.targets.values };
  const answer = await context.pool.evaluate({ network, model, data: rows, metrics: specs });
  return {
    job_id,
    step: model.step,
    ...bugMark(found.job),
    ...wireJudgement({ rows: rows.rows, ...answer }, { ...found, ...model, classes: features?.classes ?? undefined }),
  };
}

/** Every other metric is a sum over batches; ranks need all scores at once: 9 bytes each. */
function rankProblems(specs: readonly MetricSpec[], scores: number, limits: Limits): Problem[] {
  if (!specs.includes('roc_auc')) return [];
  return over(limits, 'max_memory_bytes', 9 * scores, '/metrics', 'roc_auc would need about', 'bytes');
}

function chosenMetrics(named: readonly MetricSpec[] | undefined, { plan, model }: JobModel) {
  const context = { target_kind: model.target_kind, output_size: plan.output_size };
  const problems = (named ?? []).flatMap((spec, i): Problem[] => {
    const reason = metricProblem(spec, context);
    return reason === null ? [] : [{ pointer: `/metrics/${i}`, code: 'not_allowed', detail: `${reason}.` }];
  });
  return { specs: named ?? usualMetrics(context), problems };
}
