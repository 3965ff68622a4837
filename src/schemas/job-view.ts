/** Jobs as the service shows them. */
import { z } from 'zod';
import { jobActions, jobStates, stopReasons } from '../training/states.ts';
import { finiteOrNot, listOf, listQuery, names, timestamp } from './common.ts';
import { learningRateChange } from './job-patch.ts';
import { jobWarning } from './job-warnings.ts';
import { judgementShape } from './judgement.ts';

export const jobState = z.enum(names(jobStates)).meta({ id: 'JobState', description: described(jobStates) });

export const stopReason = z.enum(names(stopReasons)).meta({ id: 'StopReason', description: described(stopReasons) });

export const jobAction = z.enum(names(jobActions)).meta({ id: 'JobAction', description: described(jobActions) });

function described(table: Readonly<Record<string, { readonly description: string }>>): string {
  return Object.entries(table)
    .map(([name, { description }]) => `\`${name}\`: ${description}`)
    .join(' ');
}

const progress = z
  .strictObject({
    epoch: z.int().meta({ description: 'Epochs that are complete.' }),
    epochs: z.int(),
    step: z.int().meta({ description: 'Steps that are done.' }),
    steps: z.int(),
    fraction: z.number().meta({ description: 'step / steps.' }),
    samples_per_second: z.number().nullable(),
    eta: timestamp.nullable().meta({ description: 'When training should be done, as fast as it goes now.' }),
  })
  .meta({ id: 'JobProgress', description: 'How far a job is.' });

const latest = z
  .object({ epoch: z.int(), step: z.int() })
  .catchall(finiteOrNot)
  .meta({ id: 'JobLatest', description: 'The newest value of every series, by its name.' });

const best = z
  .strictObject({ monitor: z.string(), value: finiteOrNot, epoch: z.int(), step: z.int() })
  .meta({ id: 'JobBest', description: 'The best value of the watched series so far.' });

export const jobError = z
  .looseObject({
    code: z.string(),
    message: z.string(),
    step: z.int().optional(),
    layer: z.int().optional().meta({ description: '1-based.' }),
    quantity: z.string().optional().meta({ description: 'What left the finite numbers first.' }),
    value: finiteOrNot.optional(),
  })
  .meta({
    id: 'JobError',
    description:
      'Why a job failed, or why it rests though nobody has paused it. A diverged job says at which step, in which quantity and layer.',
  });

const urls = z
  .strictObject({
    self: z.string(),
    loss_history: z.string(),
    parameters: z.string(),
    layers: z.string(),
    checkpoints: z.string(),
    events: z.string(),
    predict: z.string(),
    evaluate: z.string(),
    diagnosis: z.string(),
    webhooks: z.string(),
  })
  .meta({ id: 'JobUrls', description: 'Where the rest of the job is.' });

const transition = z
  .strictObject({ state: jobState, at: timestamp, reason: z.string().nullable() })
  .meta({ id: 'JobTransition', description: 'A state that the job went into, when and why.' });

const summaryShape = {
  id: z.string(),
  state: jobState,
  stop_reason: stopReason.nullable(),
  network_id: z.string().nullable().meta({ description: 'null: the network came with the job.' }),
  dataset_id: z.string().nullable().meta({ description: 'null: the data came with the job.' }),
  external_id: z.string().nullable(),
  metadata: z.record(z.string(), z.unknown()),
  priority: z.int(),
  progress,
  latest: latest.nullable(),
  best: best.nullable(),
  error: jobError.nullable(),
  warnings: z.array(jobWarning).meta({
    description: 'What looked wrong when the job was created, then what looks wrong while it trains, each once.',
  }),
  parent: z
    .strictObject({
      job_id: z.string(),
      step: z.int().meta({ description: 'Its checkpoint that this job begins with; 0: its own start.' }),
      fix: z.string().meta({ description: 'The fix of its diagnosis that was applied.' }),
    })
    .nullable()
    .meta({ id: 'JobParent', description: 'The job that this one was forked from; null for the others.' }),
  simulate_bug: z
    .string()
    .nullable()
    .meta({ description: 'The bug that was put into the backward pass on purpose; null for honest training.' }),
  backend: z.string().nullable().meta({
    description:
      'What computes it, once it runs: `wasm` (compiled) or `reference`; the event `backend_chosen` says why.',
  }),
  threads: z.int().nullable().meta({
    description:
      'The most threads that have carried out one of its steps together; null before it runs. Large steps are divided while workers are idle, which does not change a bit of the result; small ones never are. The event `threads_used` says from which step.',
  }),
  run_sha256: z.string().nullable().meta({
    description:
      'Of all that determines the result: equal runs have equal hashes. With `fused` arithmetic that includes whether the machine fuses multiply-adds, and from which step on where that has changed.',
  }),
  parameters_sha256: z.string().nullable().meta({ description: 'Of the final parameters.' }),
  attempt: z.int().meta({ description: 'How often a worker has begun with it.' }),
  created_at: timestamp,
  started_at: timestamp.nullable(),
  updated_at: timestamp,
  finished_at: timestamp.nullable(),
  allowed_actions: z.array(jobAction),
  urls,
};

export const jobSummary = z.strictObject(summaryShape).meta({ id: 'JobSummary', description: 'A job in a list.' });

export const jobView = z
  .strictObject({
    ...summaryShape,
    network: z.record(z.string(), z.unknown()).meta({ description: 'The definition that is trained.' }),
    request: z
      .record(z.string(), z.unknown())
      .meta({ description: 'Every option with its default filled in; of matrices only the size.' }),
    learning_rate_changes: z.array(learningRateChange).meta({
      description: 'By `PATCH` while the job was under way; part of `run_sha256` once they have taken effect.',
    }),
    rounding_changes: z
      .array(
        z.strictObject({
          first_step: z.int(),
          fused: z.boolean().meta({ description: 'Whether multiply-adds round once from this step on.' }),
        }),
      )
      .meta({
        description:
          'Where it went on on a machine that rounds otherwise, as a client has accepted; part of `run_sha256`, so that no run of a single machine has the same. Empty for all others.',
      }),
    transitions: z.array(transition),
    test: z.strictObject(judgementShape).nullable().meta({
      id: 'TestReport',
      description: 'The final model on the rows held out by `test`; null without them, and before the end.',
    }),
  })
  .meta({ id: 'JobView', description: 'A training job.' });

/** What `?validate_only=true` answers. */
export const jobPreview = z
  .strictObject({
    network: z.record(z.string(), z.unknown()).meta({ description: 'The definition that would be trained.' }),
    request: z
      .record(z.string(), z.unknown())
      .meta({ description: 'Every option with its default filled in; of matrices only the size.' }),
    rows: z.int().meta({ description: 'Rows that are left to train on.' }),
    steps: z.int(),
    parameter_count: z.int(),
    memory_bytes: z.number().meta({ description: 'Estimate of what training takes, data not counted.' }),
    run_sha256: z.string(),
    warnings: z.array(jobWarning),
  })
  .meta({ id: 'JobPreview', description: 'A job that was checked but not stored.' });

export type JobPreview = z.output<typeof jobPreview>;
export type JobSummary = z.output<typeof jobSummary>;
export type JobView = z.output<typeof jobView>;

export const jobList = listOf(jobSummary, 'JobList');

/** `metadata[team]=a`: any number of labels, all of which must match. */
const metadataParameter = /^metadata\[(.+)\]$/;

export const jobListQuery = listQuery
  .extend({
    state: z.enum(names(jobStates)).optional().meta({ description: 'Only jobs in this state.' }),
    network_id: z.string().min(1).optional().meta({ description: 'Only jobs of this network.' }),
    dataset_id: z.string().min(1).optional().meta({ description: 'Only jobs with this data set.' }),
    'metadata[team]': z
      .string()
      .optional()
      .meta({ description: 'Only jobs with this label; `metadata[key]=value` for any key, and for several.' }),
  })
  .catchall(z.string())
  .superRefine((query, context) => {
    const known = Object.keys(listQuery.shape).concat('state', 'network_id', 'dataset_id');
    for (const key of Object.keys(query)) {
      if (known.includes(key) || metadataParameter.test(key)) continue;
      const params = { code: 'unknown_field', allowed: [...known, 'metadata[…]'] };
      context.addIssue({ code: 'custom', path: [key], params, message: `There is no parameter ${key}.` });
    }
  });

export type JobListQuery = z.output<typeof jobListQuery>;

/** The labels that a list is filtered by. */
export function metadataFilter(query: Readonly<Record<string, unknown>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(query).flatMap(([key, value]) => {
      const name = metadataParameter.exec(key)?.[1];
      return name === undefined ? [] : [[name, String(value)]];
    }),
  );
}

const checkpoint = z
  .strictObject({
    step: z.int(),
    epoch: z.int(),
    reason: z.string().meta({ description: '`periodic`, `epoch`, `pause`, `release` or `end`.' }),
    bytes: z.int().meta({ description: 'Size of the file.' }),
    created_at: timestamp,
    parameters_url: z.string(),
  })
  .meta({ id: 'Checkpoint', description: 'A point from which a job can go on, and whose parameters can be read.' });

export const checkpointList = z
  .strictObject({ data: z.array(checkpoint) })
  .meta({ id: 'CheckpointList', description: 'Newest first; their number is bounded.' });

export type CheckpointList = z.output<typeof checkpointList>;
