/** What is wrong with a job, and what mends it. */
import { z } from 'zod';
import { causes } from '../training/post-mortem/causes.ts';
import { fixes } from '../training/post-mortem/fixes.ts';
import { verdicts } from '../training/post-mortem/verdicts.ts';
import { finiteOrNot, names } from './common.ts';
import { bugMark } from './job.ts';
import { jobError, jobState, stopReason } from './job-view.ts';
import { jobWarning } from './job-warnings.ts';
import { patchOperation } from './network.ts';
import { replayReport } from './step.ts';

const described = (table: Readonly<Record<string, { readonly description: string }>>): string =>
  Object.entries(table)
    .map(([name, { description }]) => `\`${name}\`: ${description}`)
    .join(' ');

const cause = z
  .strictObject({
    code: z.string().meta({
      description: `${described(causes)} A job that failed without its numbers has the code of its error.`,
      examples: names(causes),
    }),
    explanation: z.string().meta({ description: 'In plain words, with the numbers.' }),
    evidence: z.record(z.string(), z.union([finiteOrNot, z.string()])),
  })
  .meta({ id: 'Cause', description: 'Why it happened.' });

const trial = {
  steps: z.int().meta({ description: 'Steps that were trained.' }),
  finite: z.boolean(),
  loss_at_start: finiteOrNot.meta({
    description:
      'Over at most 256 training rows, in float64 and in the unit of your targets, without dropout, l1 and l2.',
  }),
  loss: finiteOrNot.meta({ description: 'The same after the last step.' }),
  diverged_at: z.int().nullable().meta({ description: 'The step that left the finite numbers.' }),
};

const fix = z
  .strictObject({
    id: z.string().meta({ description: 'For `POST /v1/jobs/{id}/diagnosis/apply`.' }),
    kind: z.enum(names(fixes)).meta({ description: described(fixes) }),
    title: z.string(),
    patch: z.array(patchOperation).meta({ description: 'For the body of the job, its network written inline.' }),
    from_step: z.int().meta({ description: 'The checkpoint that the trial began with; 0: the start of the job.' }),
    tried: z.strictObject(trial),
    succeeded: z.boolean().meta({
      description:
        'Of a failed job: finite, and the loss no higher than at the start. Of another: a loss at least a tenth lower than that of the job itself after as many steps.',
    }),
    sentence: z.string(),
  })
  .meta({ id: 'Fix', description: 'A change of the job, and what came of it when it was tried.' });

const sizes = z.record(z.string(), finiteOrNot);
const frame = z
  .strictObject({
    step: z.int(),
    learning_rate: z.number(),
    loss: finiteOrNot,
    gradient_norm: finiteOrNot,
    layers: z.array(
      z.strictObject({
        layer: z.int(),
        pre_activations: finiteOrNot,
        activations: finiteOrNot,
        deltas: finiteOrNot,
        gradients: sizes,
        parameters: sizes,
      }),
    ),
  })
  .meta({ id: 'Frame', description: 'Largest absolute value of every tensor in one step, forward and backward.' });

const factor = finiteOrNot.nullable();

export const diagnosisView = z
  .strictObject({
    job_id: z.string(),
    state: jobState,
    stop_reason: stopReason.nullable(),
    simulate_bug: bugMark,
    warnings: z.array(jobWarning),
    verdict: z.enum(names(verdicts)).meta({
      description: Object.entries(verdicts)
        .map(([name, text]) => `\`${name}\`: ${text}`)
        .join(' '),
    }),
    summary: z.string(),
    failure: jobError.nullable().meta({
      description:
        'The first value that was not finite: quantity, layer, tensor, index, unit and row, and the step, epoch, batch, rows and learning rate with which it came.',
    }),
    cause: cause.nullable(),
    other_causes: z.array(cause).meta({ description: 'What the numbers show besides.' }),
    float64: z
      .strictObject({ ...trial, sentence: z.string() })
      .nullable()
      .meta({ description: 'The same in float64, where a float32 job has failed.' }),
    growth: z
      .strictObject({ from_step: z.int(), to_step: z.int(), loss: factor, gradients: factor, parameters: factor })
      .nullable()
      .meta({ description: 'Factors per step over the last finite frames.' }),
    curvature: z
      .strictObject({
        step: z.int(),
        rows: z.int(),
        largest: finiteOrNot,
        learning_rate_bound: finiteOrNot.nullable().meta({ description: 'For sgd; others scale their steps.' }),
      })
      .nullable()
      .meta({
        description:
          'Largest eigenvalue of the Hessian of the loss at the last good state, by power iteration on finite differences of gradients, and the rate above which descent is unstable: 2/λ without momentum.',
      }),
    layers: z.array(
      z.strictObject({
        layer: z.int(),
        activation: z.string(),
        dead_fraction: z.number().nullable(),
        saturated_fraction: z.number().nullable(),
        gradient_rms: finiteOrNot,
      }),
    ),
    frames: z.array(frame).meta({ description: 'The last 20 steps; empty for a healthy job.' }),
    control: z
      .strictObject(trial)
      .nullable()
      .meta({ description: 'The job as it is, tried for as many steps; null: it has failed.' }),
    fixes: z.array(fix).meta({ description: 'Best first; each was tried.' }),
    replay: replayReport.nullable().meta({ description: 'null: healthy, or too long ago to be replayed.' }),
  })
  .meta({ id: 'Diagnosis', description: 'What is wrong with a job that has ended, why, and what mends it.' });

export const applyInput = z
  .strictObject({ fix: z.string().min(1).max(200).meta({ description: 'The `id` of a fix of the diagnosis.' }) })
  .meta({ id: 'ApplyFix', description: 'Which fix to train with.', examples: [{ fix: 'standardize_inputs' }] });
