import { acceptMergePatch, jsonType, mergePatchType } from '../src/http/json-body.ts';
import { idParams } from '../src/schemas/common.ts';
import { answers } from '../src/schemas/job-answers.ts';
import { jobPatch, jobPatchExamples } from '../src/schemas/job-patch.ts';
import { jobView } from '../src/schemas/job-view.ts';
import type { Routes } from './plugin.ts';

/** A plugin of its own, because only here a body may be a merge patch. */
export const jobChangeRoutes: Routes = async (app, { services, config }) => {
  acceptMergePatch(app, config.limits);

  app.patch(
    '/v1/jobs/:id',
    {
      schema: {
        operationId: 'changeJob',
        tags: ['jobs'],
        consumes: [jsonType, mergePatchType],
        summary: 'Change a job',
        description:
          'Labels at any time; the learning rate as long as there is training to come, from the next step on (409 afterwards). A change of the rate is stored before it is answered, takes effect within milliseconds while the job runs or with its next step when it is queued or paused, is logged with its step as `learning_rate_changed`, and becomes part of `run_sha256`. A job that is resumed after a crash changes it at the same step again, to the same bytes.',
        params: idParams('job', 'job'),
        body: jobPatch,
        examples: jobPatchExamples,
        response: { 200: jobView },
        responseDocs: { 200: { examples: answers.job } },
        errors: ['wrong_state', 'limit_exceeded'],
      },
    },
    async (request) => services.jobs.patch(request.params.id, request.body),
  );
};
