/** What a job would become: checked, measured and linted, and not stored. */
import { estimate } from '../engine/plan.ts';
import type { JobInput } from '../schemas/job.ts';
import type { JobPreview } from '../schemas/job-view.ts';
import { type AdmissionSources, admit } from './job-admission.ts';
import { lintJob } from './job-lint.ts';
import { runDigest } from './run-digest.ts';

/** @throws {ProblemError} of admission */
export async function previewJob(sources: AdmissionSources, input: JobInput): Promise<JobPreview> {
  const job = await admit(input, sources);
  const { definition, plan, request, rows, steps } = job;
  const batch_size = Math.min(request.batch_size, rows);
  return {
    network: { ...definition },
    request: { ...request },
    rows,
    steps,
    parameter_count: plan.parameter_count,
    memory_bytes: estimate(plan, { batch_size, optimizer: request.optimizer }).total,
    run_sha256: runDigest(definition, plan, request),
    warnings: await lintJob(job),
  };
}
