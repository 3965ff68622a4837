/** The name of a run: equal for two jobs exactly when they must end with the same parameters. */
import type { Plan } from '../engine/backend.ts';
import type { LayerDefinition, NetworkDefinition } from '../engine/definition.ts';
import { resolveOptimizer } from '../engine/optimizers.ts';
import { initializerOf } from '../engine/plan.ts';
import { resolveSchedules } from '../engine/schedules.ts';
import { roundsOnce } from '../engine/wasm/probe.ts';
import { trainingFields } from '../schemas/job.ts';
import type { LearningRateChange, RoundingSpan } from '../training/request.ts';
import { digestOf } from './digest.ts';
import type { KeptRequest } from './job-request.ts';

/** Raised whenever the same request comes to train to other numbers. */
const engineVersion = 4;

/** How a run that begins on this machine rounds. */
export function roundingsHere({ arithmetic }: Pick<KeptRequest, 'arithmetic'>): readonly RoundingSpan[] {
  return [{ first_step: 1, fused: roundsOnce(arithmetic) }];
}

const chosen = ({ name, options }: { readonly name: string; readonly options: object }) => ({ name, options });

/**
 * Definition, options and numbers, with every default in place, so that it does not matter whether it was written out.
 * @param changes of the learning rate that have taken effect, one for each step
 * @param roundings how its steps round multiply-adds: as this machine does, unless it has gone on on another one
 */
export function runDigest(
  definition: NetworkDefinition,
  plan: Plan,
  request: KeptRequest,
  changes: readonly LearningRateChange[] = [],
  roundings: readonly RoundingSpan[] = roundingsHere(request),
): string {
  const { learning_rate_schedule: schedules, ...options } = Object.fromEntries(
    trainingFields.map((field) => [field, request[field as keyof KeptRequest]]),
  ) as Pick<KeptRequest, (typeof trainingFields)[number] & keyof KeptRequest>;
  return digestOf({
    engine: engineVersion,
    input_size: plan.input_size,
    precision: plan.precision,
    loss: { ...chosen(plan.loss), reduction: plan.reduction },
    layers: definition.layers.map((layer, i) => layerOf(layer, plan.layers[i])),
    ...options,
    // On a machine that does not fuse, `fused` arithmetic trains to other numbers.
    fused: roundings[0].fused,
    rounding_changes: roundings.length === 1 ? undefined : roundings.slice(1),
    optimizer: chosen(resolveOptimizer(request.optimizer)),
    schedules: resolveSchedules(schedules).map(({ entry, ...schedule }) => schedule),
    limits: { max_runtime_seconds: request.limits.max_runtime_seconds },
    // The numbers of a warm start are in the digest of the data; which job they came from changes nothing.
    initial_parameters: request.initial_parameters && { given: true },
    data: request.data.sha256,
    learning_rate_changes: changes.length === 0 ? undefined : changes,
  });
}

function layerOf(layer: LayerDefinition, planned: Plan['layers'][number]) {
  const { units, dropout, l1, l2, biases, normalization } = planned;
  const { kind, epsilon, momentum } = normalization ?? {};
  return {
    units,
    dropout,
    l1,
    l2,
    use_bias: biases !== null,
    normalization: { kind, epsilon, momentum },
    activation: chosen(planned.activation),
    initializer: chosen(initializerOf(layer, planned.activation)),
  };
}
