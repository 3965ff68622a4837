/** Forking a job with a fix of its diagnosis: a new job, linked to the old one. */
import type { FloatArray } from '../engine/backend.ts';
import { toWire } from '../engine/parameters.ts';
import { problemError } from '../errors.ts';
import type { JobInput } from '../schemas/job.ts';
import type { NetworkInput } from '../schemas/network.ts';
import type { JobRecord } from '../store/store.ts';
import { applyPatch, type PatchOperation } from '../training/json-patch.ts';
import type { NamedArrays } from './array-blob.ts';
import type { LabelledRows } from './data-checks.ts';
import { diagnosis } from './diagnoses.ts';
import type { CreatedAnswer } from './idempotency.ts';
import { admit } from './job-admission.ts';
import { type CreationContext, createFork } from './job-creation.ts';
import type { AdmittedJob, KeptRequest } from './job-request.ts';
import { arraysOf, type EndedJob, endedJob, type PostMortemContext } from './post-mortems.ts';

interface OfferedFix {
  readonly id: string;
  readonly from_step: number;
  readonly patch: readonly PatchOperation[];
}

/** @throws {ProblemError} `validation_failed` with the fixes that there are, and those of the creation of any job */
export async function applyFix(
  context: CreationContext & PostMortemContext,
  id: string,
  body: { readonly fix: string },
  key: string | undefined,
): Promise<CreatedAnswer> {
  const ended = await endedJob(context, id);
  return createFork(context, { scope: `POST /v1/jobs/${id}/diagnosis/apply`, body, key }, async () => {
    const { content } = await diagnosis(context, id);
    const { fixes } = JSON.parse(content) as { readonly fixes: readonly OfferedFix[] };
    const found = fixes.find((fix) => fix.id === body.fix);
    if (found === undefined) throw unknownFix(body.fix, fixes);
    return admitFork(context, ended, found);
  });
}

function unknownFix(name: string, fixes: readonly OfferedFix[]) {
  const allowed = fixes.map(({ id }) => id);
  const detail = `There is no fix ${JSON.stringify(name)}; the diagnosis has ${allowed.join(', ') || 'none'}.`;
  return problemError([{ pointer: '/fix', code: 'unknown_name', detail, allowed }]);
}

async function admitFork(
  context: CreationContext & PostMortemContext,
  { job, plan }: EndedJob,
  { id, from_step, patch }: OfferedFix,
): Promise<AdmittedJob> {
  const arrays = await arraysOf(context, job);
  const body = applyPatch(bodyOf(job, arrays, plan), patch);
  const admitted = await admit(body, context);
  const forked_from = { job_id: job.id, step: from_step, fix: id };
  return { ...admitted, request: { ...admitted.request, forked_from } };
}

/** The body that would create the job again, its network written inline; without its webhooks, which are of that job. */
function bodyOf(job: JobRecord, arrays: NamedArrays, plan: EndedJob['plan']): JobInput {
  const kept = job.request as KeptRequest;
  const { data, features, validation, sample_weights: weights, initial_parameters, forked_from, ...options } = kept;
  const outputs = plan.loss.entry.target_domain.kind === 'label' ? 1 : plan.output_size;
  const rowsOf = (rows: number, inputs: FloatArray, targets: FloatArray): LabelledRows => ({
    inputs: { rows, columns: plan.input_size, values: inputs, flat: false },
    targets: { rows, columns: outputs, values: targets, flat: outputs === 1 },
  });
  const heldOut = (): JobInput['validation'] => {
    if (validation === undefined || 'fraction' in validation) return validation;
    if ('rows' in validation) return { rows: [...validation.rows] };
    return { data: rowsOf(validation.data.rows, arrays['validation.inputs'], arrays['validation.targets']) };
  };
  const { rows } = data;
  return {
    ...options,
    network: job.network as NetworkInput,
    ...(job.dataset_id === null
      ? { data: rowsOf(rows, arrays.inputs, arrays.targets) }
      : { dataset_id: job.dataset_id }),
    validation: heldOut(),
    ...(weights === undefined
      ? {}
      : {
          sample_weights:
            typeof weights === 'string' ? weights : { rows, columns: 1, values: arrays.weights, flat: true },
        }),
    ...(arrays.parameters === undefined
      ? {}
      : { initial_parameters: { layers: toWire(plan, arrays.parameters, arrays.statistics).layers } }),
    metadata: { ...job.metadata },
    priority: job.priority,
    webhooks: [],
  };
}
