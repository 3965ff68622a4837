/** Static lint: what a definition allows but probably does not mean, with the JSON Patch that mends it. */
import { type Activation, activations } from '../engine/activations.ts';
import type { NetworkDefinition } from '../engine/definition.ts';
import { initializers } from '../engine/initializers.ts';
import type { Interval } from '../engine/interval.ts';
import { type Loss, losses } from '../engine/losses.ts';
import { type Resolved, resolve } from '../engine/options.ts';
import type { Warning } from '../schemas/network.ts';

interface Subject {
  readonly definition: NetworkDefinition;
  readonly last: number;
  readonly output: Resolved<Activation>;
  readonly loss: Resolved<Loss>;
  readonly activationOf: (layer: number) => Resolved<Activation>;
}

interface Rule {
  readonly description: string;
  /** The warnings of this rule; `code` is the rule's name. */
  check(subject: Subject): readonly Omit<Warning, 'code'>[];
}

const at = (layer: number, field: string): string => `/layers/${layer}/${field}`;

/** Adds the field or replaces it: `add` does both to a member of an object (RFC 6902 §4.1). */
const set = (path: string, value: unknown): Warning['patch'] => [{ op: 'add', path, value }];

/** The name of a spec replaced, and what else it says (its reduction) kept. */
function renamedLoss({ definition }: Subject, name: string): Warning['patch'] {
  const { loss } = definition;
  const reduction = typeof loss === 'object' ? loss.reduction : undefined;
  return set('/loss', reduction === undefined ? name : { name, reduction });
}

const sumsToOne = (activation: Resolved<Activation>): boolean =>
  activation.name === 'softmax' || activation.name === 'log_softmax';

/** The activation whose outputs cover what the targets of the loss can be. */
export function activationFor({ entry }: Resolved<Loss>): string {
  const { target_domain: domain } = entry;
  if (domain.kind === 'distribution' || domain.kind === 'label') return 'softmax';
  if (domain.kind === 'values') return 'tanh';
  if (domain.minimum >= 0 && domain.maximum <= 1) return 'sigmoid';
  return domain.minimum >= 0 ? 'softplus' : 'linear';
}

/** The span of single targets where the loss says something about them; null where any number may be a target. */
function spanOfTargets({ entry }: Resolved<Loss>): Interval | null {
  const { target_domain: domain } = entry;
  if (domain.kind === 'values') return { minimum: Math.min(...domain.values), maximum: Math.max(...domain.values) };
  if (domain.kind !== 'interval' || (domain.minimum === -Infinity && domain.maximum === Infinity)) return null;
  return domain;
}

export const lintRules = {
  softmax_on_one_unit: {
    description: 'Softmax over a single unit is always 1, so nothing can be learned.',
    check: ({ definition, last, activationOf }) =>
      definition.layers.flatMap((layer, index) => {
        if (layer.units !== 1 || !sumsToOne(activationOf(index))) return [];
        const { name } = activationOf(index);
        const constant = name === 'softmax' ? 1 : 0;
        const instead = index === last ? 'sigmoid' : 'linear';
        const detail = `${name} normalises over the units of a sample, so with one unit its output is always ${constant}.`;
        return [{ pointer: at(index, 'activation'), detail, patch: set(at(index, 'activation'), instead) }];
      }),
  },
  softmax_in_hidden_layer: {
    description: 'Softmax between layers squeezes what it passes on and slows learning.',
    check: ({ definition, last, activationOf }) =>
      definition.layers.flatMap((layer, index) => {
        if (index === last || layer.units === 1 || !sumsToOne(activationOf(index))) return [];
        const detail = `${activationOf(index).name} makes the units of a hidden layer compete; usually relu is meant.`;
        return [{ pointer: at(index, 'activation'), detail, patch: set(at(index, 'activation'), 'relu') }];
      }),
  },
  categorical_loss_without_softmax: {
    description: 'A categorical loss reads the outputs as one distribution over the classes.',
    check: ({ definition, last, output, loss }) => {
      if (!loss.entry.categorical || sumsToOne(output) || definition.layers[last].units === 1) return [];
      const detail = `${loss.name} expects outputs that sum to 1 over the classes; those of ${output.name} do not.`;
      return [{ pointer: at(last, 'activation'), detail, patch: set(at(last, 'activation'), 'softmax') }];
    },
  },
  categorical_loss_on_one_unit: {
    description: 'A categorical loss over a single class is always the same.',
    check: (subject) => {
      const { definition, last, output, loss } = subject;
      if (!loss.entry.categorical || definition.layers[last].units > 1) return [];
      const detail = `${loss.name} needs one unit per class; for two classes on one unit use sigmoid with binary_cross_entropy.`;
      const activation = output.name === 'sigmoid' ? [] : set(at(last, 'activation'), 'sigmoid');
      return [{ pointer: '/loss', detail, patch: [...activation, ...renamedLoss(subject, 'binary_cross_entropy')] }];
    },
  },
  targets_beyond_outputs: {
    description: 'The output activation cannot come near some of the targets that this loss is made for.',
    check: ({ last, output, loss }) => {
      const targets = spanOfTargets(loss);
      const { range } = output.entry;
      if (targets === null || (range.minimum <= targets.minimum && range.maximum >= targets.maximum)) return [];
      const detail = `${loss.name} is made for targets from ${targets.minimum} to ${targets.maximum}, but ${output.name} gives values from ${range.minimum} to ${range.maximum} only.`;
      return [{ pointer: at(last, 'activation'), detail, patch: set(at(last, 'activation'), activationFor(loss)) }];
    },
  },
  relu_on_output: {
    description:
      'A relu at the output cannot give negative values, and a unit that is 0 for every sample stops learning.',
    check: ({ last, output, loss }) => {
      const { target_domain: domain } = loss.entry;
      if (output.name !== 'relu' || domain.kind !== 'interval' || domain.minimum >= 0) return [];
      const detail = `relu at the output never gives less than 0, while ${loss.name} allows any target. Use linear, or softplus for targets that are never negative.`;
      return [{ pointer: at(last, 'activation'), detail, patch: set(at(last, 'activation'), 'linear') }];
    },
  },
  zeros_in_hidden_layer: {
    description: 'Units that start equal stay equal.',
    check: ({ definition, last }) =>
      definition.layers.flatMap((layer, index) => {
        if (
          index === last ||
          layer.initializer === undefined ||
          resolve(initializers, layer.initializer).name !== 'zeros'
        )
          return [];
        const detail = 'With all weights 0 every unit of this layer gets the same gradient, so they never differ.';
        return [
          {
            pointer: at(index, 'initializer'),
            detail,
            patch: [{ op: 'remove' as const, path: at(index, 'initializer') }],
          },
        ];
      }),
  },
} as const satisfies Record<string, Rule>;

/** The warnings of a valid definition, in the order of the rules. */
export function lint(definition: NetworkDefinition): Warning[] {
  const last = definition.layers.length - 1;
  const activationOf = (layer: number) =>
    resolve<Activation>(activations, definition.layers[layer].activation ?? 'linear');
  const subject: Subject = {
    definition,
    last,
    output: activationOf(last),
    loss: resolve<Loss>(losses, definition.loss),
    activationOf,
  };
  return Object.entries<Rule>(lintRules).flatMap(([code, rule]) =>
    rule.check(subject).map((found) => ({ code, ...found })),
  );
}
