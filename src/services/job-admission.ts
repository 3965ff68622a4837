/** Whether a job can be trained: everything that its fields say together, every problem at once, before anything is allocated. */
import type { Limits } from '../config.ts';
import { type Features, featureMismatch } from '../datasets/features.ts';
import type { Plan } from '../engine/backend.ts';
import type { LossName } from '../engine/losses.ts';
import { estimate, plan } from '../engine/plan.ts';
import { type Bug, bugs } from '../engine/reference/bugs.ts';
import { type Problem, refuse } from '../errors.ts';
import type { JobInput } from '../schemas/job.ts';
import { definitionOf, type NetworkInput } from '../schemas/network.ts';
import type { Store } from '../store/store.ts';
import { metricProblem, seriesName } from '../training/metrics.ts';
import { partSize } from '../training/split.ts';
import { targetKind } from '../training/target-kind.ts';
import { type LabelledRows, sourceProblems } from './data-checks.ts';
import { digestOfArrays } from './digest.ts';
import { type AdmittedJob, arraysOf, keptRequest } from './job-request.ts';
import { type DatasetSource, findInitial, findRows, type ModelSource, missing } from './job-sources.ts';
import { inputOf, networkProblems, over } from './networks.ts';
import { heldOutParts, splitProblems } from './split-checks.ts';
import { newWebhooks, type WebhookPolicy, webhookProblems } from './webhooks/admission.ts';
import { weightProblems } from './weight-checks.ts';

export interface AdmissionSources {
  readonly store: Pick<Store, 'networks'>;
  readonly datasets: DatasetSource;
  readonly models: ModelSource;
  readonly limits: Limits;
  readonly webhooks: WebhookPolicy;
}

/**
 * Checks a job whose fields are well formed.
 * @throws {ProblemError} with every problem
 */
export async function admit(input: JobInput, sources: AdmissionSources): Promise<AdmittedJob> {
  const problems: Problem[] = [];
  const network = await findNetwork(input, sources, problems);
  const planned = network === null ? null : plan(definitionOf(network));
  const weights = typeof input.sample_weights === 'string' ? input.sample_weights : undefined;
  const find = { planned, sources, problems, weights };
  const data = await findRows(input, '', find);
  const validation = input.validation === undefined ? null : await findRows(input.validation, '/validation', find);
  problems.push(...optionProblems(input, sources.limits));
  problems.push(...webhookProblems(input, sources.webhooks, sources.limits));
  if (planned !== null && data !== null) problems.push(...(await fitProblems(input, planned, data, validation)));
  const initial = planned === null ? null : await findInitial(input, planned, sources, problems);
  if (planned !== null && data !== null) problems.push(...memoryProblems(input, planned, data, sources.limits));
  refuse(problems, problems.every(({ code }) => code === 'limit_exceeded') ? 'limit_exceeded' : 'validation_failed');
  const rows = data as LabelledRows;
  const values = initial?.values ?? null;
  const given = input.sample_weights;
  const weighted = { weights: typeof given === 'object' ? given.values : (rows.weights ?? null) };
  const arrays = arraysOf({ data: rows, validation, ...weighted, initial: values });
  const parts = {
    data: rows,
    data_sha256: await digestOfArrays(arrays),
    validation,
    ...weighted,
    initial: values,
    initial_origin: initial?.origin,
  };
  return {
    network_id: input.network_id ?? null,
    dataset_id: input.dataset_id ?? null,
    definition: definitionOf(network as NetworkInput),
    plan: planned as Plan,
    request: keptRequest(input, parts),
    arrays,
    rows: trainedRows(input, rows),
    steps: input.epochs * Math.ceil(trainedRows(input, rows) / input.batch_size),
    metadata: input.metadata,
    priority: input.priority,
    external_id: input.external_id ?? null,
    webhooks: newWebhooks(input, sources.webhooks),
  };
}

async function findNetwork(
  { network, network_id }: JobInput,
  { store, limits }: AdmissionSources,
  problems: Problem[],
): Promise<NetworkInput | null> {
  if (network !== undefined) {
    const found = networkProblems(network, limits, '/network');
    problems.push(...found);
    return found.length === 0 ? network : null;
  }
  const record = await store.networks.get(network_id as string);
  if (record === undefined) problems.push(missing('/network_id', 'network', network_id as string));
  return record === undefined ? null : inputOf(record);
}

/** Rows that are left to train on. */
function trainedRows(input: JobInput, { inputs }: LabelledRows): number {
  return heldOutParts(input).reduce((left, { part }) => left - partSize(part, inputs.rows), inputs.rows);
}

function optionProblems(input: JobInput, limits: Limits): Problem[] {
  const { max_runtime_seconds: runtime = 0 } = input.limits;
  const metadataBytes = Buffer.byteLength(JSON.stringify(input.metadata));
  return [
    ...over(limits, 'max_epochs', input.epochs, '/epochs', 'The job has', 'epochs'),
    ...over(limits, 'max_batch_size', input.batch_size, '/batch_size', 'The batch has', 'rows'),
    ...over(limits, 'max_runtime_seconds', runtime, '/limits/max_runtime_seconds', 'The job may run', 'seconds'),
    ...over(limits, 'max_metadata_bytes', metadataBytes, '/metadata', 'The metadata have', 'bytes as JSON'),
    ...monitorProblems(input),
  ];
}

/** Everything that watches a series must name one that is measured. */
function monitorProblems(input: JobInput): Problem[] {
  const measured = [
    'loss',
    ...(input.validation === undefined ? [] : ['validation_loss']),
    ...input.metrics.map(seriesName),
  ];
  const schedules = Array.isArray(input.learning_rate_schedule)
    ? input.learning_rate_schedule
    : [input.learning_rate_schedule];
  const watched: (readonly [string, string | undefined])[] = [
    ['/early_stopping/monitor', input.early_stopping?.monitor],
    ['/target/monitor', input.target?.monitor],
    ...input.webhooks.map(({ threshold }, i) => [`/webhooks/${i}/threshold/monitor`, threshold?.monitor] as const),
    ...schedules.map((schedule, i) => {
      const place = Array.isArray(input.learning_rate_schedule)
        ? `/learning_rate_schedule/${i}`
        : '/learning_rate_schedule';
      return [`${place}/monitor`, typeof schedule === 'string' ? undefined : schedule.monitor] as const;
    }),
  ];
  return watched.flatMap(([pointer, series]): Problem[] => {
    if (series === undefined || measured.includes(series)) return [];
    const why = series === 'validation_loss' ? 'there is no validation' : 'the job does not measure it';
    const detail = `${JSON.stringify(series)} cannot be watched: ${why}. Measured are ${measured.join(', ')}.`;
    return [{ pointer, code: 'unknown_name', detail, allowed: measured }];
  });
}

/** What network, rows and training options say about each other. */
async function fitProblems(
  input: JobInput,
  planned: Plan,
  data: LabelledRows,
  validation: LabelledRows | null,
): Promise<Problem[]> {
  const found = [
    ...(await sourceProblems(data, planned, '')),
    ...(validation === null ? [] : await sourceProblems(validation, planned, '/validation')),
    ...featureProblems(data.features, validation?.features, '/validation/dataset_id'),
    ...splitProblems(input, data),
    ...(await weightProblems(input, planned, data)),
    ...bugProblems(input, planned),
  ];
  return found.some(({ code }) => code === 'width_mismatch')
    ? found
    : [...found, ...metricProblems(input, planned, data)];
}

/** Rows of two data sets must mean the same to the network: texts and classes are numbered in each by itself. */
export function featureProblems(
  trained: Features | undefined,
  other: Features | undefined,
  pointer: string,
): Problem[] {
  const reason = trained === undefined || other === undefined ? null : featureMismatch(trained, other);
  return reason === null ? [] : [{ pointer, code: 'invalid', detail: reason }];
}

function bugProblems({ simulate_bug: name }: JobInput, planned: Plan): Problem[] {
  if (name === undefined) return [];
  const reason = (bugs as Readonly<Record<string, Bug>>)[name].applies(planned);
  return reason === null
    ? []
    : [{ pointer: '/simulate_bug', code: 'not_allowed', detail: `${name} cannot be made here: ${reason}.` }];
}

function metricProblems({ metrics }: JobInput, planned: Plan, { targets }: LabelledRows): Problem[] {
  const context = {
    target_kind: targetKind(planned.loss.name as LossName, planned.output_size, targets.values),
    output_size: planned.output_size,
  };
  return metrics.flatMap((spec, i): Problem[] => {
    const reason = metricProblem(spec, context);
    return reason === null ? [] : [{ pointer: `/metrics/${i}`, code: 'not_allowed', detail: `${reason}.` }];
  });
}

/** Memory of the run: engine, data, and a second copy of the data where it is scaled or rounded. */
function memoryProblems(input: JobInput, planned: Plan, data: LabelledRows, limits: Limits): Problem[] {
  const batch_size = Math.min(input.batch_size, data.inputs.rows);
  const engine = estimate(planned, { batch_size, optimizer: input.optimizer }).total;
  const rows = 2 * (data.inputs.values.byteLength + data.targets.values.byteLength);
  return over(limits, 'max_memory_bytes', engine + rows, '/batch_size', 'Training would need about', 'bytes');
}
