/** The engine held against itself on this machine: every defined activation and loss, backpropagation against differences. */
import { type ActivationName, activations } from './activations.ts';
import { randomBatch } from './audit/telling-apart.ts';
import type { NetworkDefinition } from './definition.ts';
import { checkGradients } from './gradient-check.ts';
import { type LossName, losses, resolveLoss } from './losses.ts';
import { resolve } from './options.ts';
import { undefinedPair } from './output-loss.ts';
import { plan } from './plan.ts';
import { uniform } from './prng.ts';

export interface SelfTestRow {
  readonly activation: ActivationName;
  readonly loss: LossName;
  readonly relative_error: number;
  readonly kinks: number;
  readonly passed: boolean;
}

/** Every output activation with every loss that is defined on it, with default options. */
export const definedPairs: readonly { readonly activation: ActivationName; readonly loss: LossName }[] = (
  Object.keys(activations) as ActivationName[]
).flatMap((activation) =>
  (Object.keys(losses) as LossName[])
    .filter((loss) => undefinedPair(resolve(activations, activation), resolveLoss(loss).loss) === null)
    .map((loss) => ({ activation, loss })),
);

/** A network 3 → 3 → 2 with the activation in both layers (tanh below a softmax), checked on one small batch. */
export function selfTestRow({ activation, loss }: (typeof definedPairs)[number]): SelfTestRow {
  const hidden = activations[activation].kind === 'rowwise' ? 'tanh' : activation;
  const definition: NetworkDefinition = {
    input_size: 3,
    layers: [
      { units: 3, activation: hidden },
      { units: 2, activation },
    ],
    loss,
    precision: 'float64',
  };
  const planned = plan(definition);
  const parameters = Float64Array.from(
    { length: planned.parameter_count },
    (_, i) => 1.6 * uniform(1, 'audit', 2, i) - 0.8,
  );
  const values = { parameters, statistics: new Float64Array(planned.statistic_count) };
  const { tensors, passed } = checkGradients(planned, values, randomBatch(planned, 0));
  const relative_error = Math.max(...tensors.map((tensor) => tensor.relative_error));
  const kinks = tensors.reduce((total, tensor) => total + tensor.kinks, 0);
  return { activation, loss, relative_error, kinks, passed };
}

export const selfTest = (): readonly SelfTestRow[] => definedPairs.map(selfTestRow);
