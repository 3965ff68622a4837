/** The fixes: one table of what may mend a job. Each entry makes candidates for a case; every candidate is tried. */

import type { Activation } from '../../engine/activations.ts';
import { activations } from '../../engine/activations.ts';
import { type OptimizerSpec, optimizers, resolveOptimizer } from '../../engine/optimizers.ts';
import { type Resolved, resolve } from '../../engine/options.ts';
import { undefinedPair } from '../../engine/output-loss.ts';
import type { PatchOperation } from '../json-patch.ts';
import { namesOf } from '../states.ts';
import { type Case, type Fix, shown } from './case.ts';
import type { Trial } from './trial.ts';

type Candidate = Omit<Fix, 'kind'>;

interface FixEntry {
  readonly description: string;
  candidates(examined: Case): readonly Candidate[];
}

const add = (path: string, value: unknown): PatchOperation => ({ op: 'add', path, value });
const remove = (path: string): PatchOperation => ({ op: 'remove', path });

const one = (id: string, title: string, patch: readonly PatchOperation[], from_start = false): Candidate[] => [
  { id, title, patch, from_start },
];

/** The optimizer with another rate. */
function withRate({ request: { optimizer } }: Case, learning_rate: number): PatchOperation {
  const given = typeof optimizer === 'string' ? { name: optimizer } : optimizer;
  return add('/optimizer', { ...given, learning_rate });
}

/** Scaling of inputs and targets besides what the job has already. `standardize` is a short form of it. */
function scaled({ request: { scaling } }: Case, more: object): PatchOperation[] {
  return [add('/standardize', false), add('/scaling', { ...scaling, ...more })];
}

const rounded = (value: number): number => Number(value.toPrecision(1));
const unique = (values: readonly number[]): number[] => [...new Set(values)];

/** The rate that half of the bound allows, the optimizer's usual rate, and tenths of the present one. */
function lowerRates({ learning_rate: rate, request, curvature }: Case): number[] {
  const bound = curvature?.learning_rate_bound ?? null;
  const usual = usualRate(request.optimizer);
  const rates = [...(bound === null ? [] : [rounded(bound / 2)]), usual, rate / 10, rate / 100, rate / 1000];
  return unique(rates.map((value) => Number(value.toPrecision(6)))).filter((value) => value > 0 && value < rate);
}

/** Half of what the curvature allows, the usual rate, and ten and a hundred times the present one. */
function higherRates({ learning_rate: rate, request, curvature }: Case): number[] {
  const bound = curvature?.learning_rate_bound ?? 0;
  const rates = [rounded(bound / 2), usualRate(request.optimizer), 10 * rate, 100 * rate];
  return unique(rates.map((value) => Number(value.toPrecision(6)))).filter((value) => value > rate);
}

function usualRate(spec: OptimizerSpec): number {
  const { name } = resolveOptimizer(spec);
  const option = optimizers[name as keyof typeof optimizers].options.learning_rate;
  return 'default' in option ? Number(option.default) : 0.01;
}

const slowerRate = ({ learning_rate: rate, request }: Case): number =>
  Number(Math.min(rate / 10, usualRate(request.optimizer)).toPrecision(6));

const activationOf = ({ plan }: Case, index: number): Resolved<Activation> => plan.layers[index].activation;
const isRegression = ({ plan }: Case): boolean =>
  plan.loss.entry.likelihood === null && plan.loss.entry.target_domain.kind === 'interval';
const isUnboundedOutput = ({ plan }: Case): boolean => {
  const { minimum, maximum } = plan.layers[plan.layers.length - 1].activation.entry.range;
  return minimum === -Infinity && maximum === Infinity;
};

/** Every hidden layer that `matches` gets the activation, and the initial weights that go with it. */
function hiddenActivation(examined: Case, matches: (name: string) => boolean, activation: string): PatchOperation[] {
  return examined.plan.layers.slice(0, -1).flatMap((layer, i) => {
    if (!matches(layer.activation.name)) return [];
    const { initializer } = examined.request.network.layers[i];
    const path = `/network/layers/${i}`;
    return [
      add(`${path}/activation`, activation),
      ...(initializer === undefined ? [] : [remove(`${path}/initializer`)]),
    ];
  });
}

const squashing = ['sigmoid', 'tanh', 'softsign'];

export const fixes = {
  correct_gradients: {
    description: 'Trains with right gradients instead of the bug that was put in.',
    candidates: ({ request }) =>
      request.simulate_bug === undefined ? [] : one('correct_gradients', 'right gradients', [remove('/simulate_bug')]),
  },
  leave_out_rows: {
    description: 'Holds out the rows with values out of all proportion.',
    candidates: ({ data: { outliers }, request }) =>
      outliers === null || request.validation !== undefined || request.test !== undefined
        ? []
        : one('leave_out_rows', `without the ${outliers.rows.length} rows with extreme values`, [
            add('/validation', { rows: outliers.rows }),
          ]),
  },
  default_start: {
    description: 'Draws the initial parameters as the layers’ defaults do.',
    candidates: ({ request }) => {
      const given = request.initial_parameters === undefined ? [] : [remove('/initial_parameters')];
      const drawn = request.network.layers.flatMap(({ initializer }, i) =>
        initializer === undefined ? [] : [remove(`/network/layers/${i}/initializer`)],
      );
      const patch = [...given, ...drawn];
      return patch.length === 0 ? [] : one('default_start', 'default initial parameters', patch, true);
    },
  },
  standardize_inputs: {
    description: 'Scales every feature to mean 0 and standard deviation 1.',
    candidates: (examined) =>
      examined.request.scaling?.inputs !== undefined
        ? []
        : one('standardize_inputs', 'standardized inputs', scaled(examined, { inputs: 'standardize' }), true),
  },
  standardize_and_slow_down: {
    description: 'Scales every feature, and takes a tenth of the rate, or the usual one if that is lower.',
    candidates: (examined) => {
      if (examined.request.scaling?.inputs !== undefined || examined.failure === null) return [];
      const tenth = Number((examined.learning_rate / 10).toPrecision(6));
      return unique([tenth, slowerRate(examined)]).map((rate) => ({
        id: `standardize_inputs_and_learning_rate_${rate}`,
        title: `standardized inputs and learning_rate ${rate}`,
        patch: [...scaled(examined, { inputs: 'standardize' }), withRate(examined, rate)],
        from_start: true,
      }));
    },
  },
  standardize_targets: {
    description: 'Scales the targets to mean 0 and standard deviation 1; predictions come back in their own unit.',
    candidates: (examined) =>
      examined.request.scaling?.targets !== undefined || !isRegression(examined) || !isUnboundedOutput(examined)
        ? []
        : one('standardize_targets', 'standardized targets', scaled(examined, { targets: 'standardize' }), true),
  },
  standardize_both: {
    description: 'Scales features and targets.',
    candidates: (examined) =>
      examined.request.scaling !== undefined || !isRegression(examined) || !isUnboundedOutput(examined)
        ? []
        : one(
            'standardize_both',
            'standardized inputs and targets',
            scaled(examined, { inputs: 'standardize', targets: 'standardize' }),
            true,
          ),
  },
  targets_in_range: {
    description: 'Scales the targets to between 0 and 1, which the output can reach.',
    candidates: (examined) => {
      const { minimum, maximum } = activationOf(examined, examined.plan.layers.length - 1).entry.range;
      const fits = minimum <= 0 && maximum >= 1 && maximum !== Infinity;
      return examined.data.unreachable_targets === 0 || !fits || !isRegression(examined)
        ? []
        : one('targets_in_range', 'targets scaled to between 0 and 1', scaled(examined, { targets: 'min_max' }), true);
    },
  },
  linear_output: {
    description: 'A linear output, which can reach any target.',
    candidates: (examined) => {
      const { plan, data } = examined;
      const last = plan.layers.length - 1;
      const linear = resolve<Activation>(activations, 'linear');
      if (data.unreachable_targets === 0 || undefinedPair(linear, plan.loss) !== null) return [];
      return one('linear_output', 'a linear output', [add(`/network/layers/${last}/activation`, 'linear')], true);
    },
  },
  learning_rate: {
    description: 'A lower learning rate.',
    candidates: (examined) =>
      lowerRates(examined).map((rate) => ({
        id: `learning_rate_${rate}`,
        title: `learning_rate ${rate}`,
        patch: [withRate(examined, rate)],
        from_start: false,
      })),
  },
  constant_learning_rate: {
    description: 'The learning rate as it began, without a schedule.',
    candidates: ({ request }) =>
      request.learning_rate_schedule.length === 0
        ? []
        : one('constant_learning_rate', 'a constant learning rate', [add('/learning_rate_schedule', [])]),
  },
  higher_learning_rate: {
    description: 'A higher learning rate, for a job that stands still.',
    candidates: (examined) =>
      (examined.failure === null ? higherRates(examined) : []).map((rate) => ({
        id: `learning_rate_${rate}`,
        title: `learning_rate ${rate}`,
        patch: [withRate(examined, rate)],
        from_start: false,
      })),
  },
  clip_gradients: {
    description: 'Gradients clipped to a global norm of 1.',
    candidates: ({ request }) =>
      request.clip_gradients !== undefined
        ? []
        : one('clip_gradients', 'gradients clipped to norm 1', [add('/clip_gradients', { max_norm: 1 })]),
  },
  leaky_relu: {
    description: 'Hidden units that pass a little on where relu gives 0.',
    candidates: (examined) => {
      const patch = hiddenActivation(examined, (name) => name === 'relu', 'leaky_relu');
      const dies = examined.layers.some(({ dead_fraction }) => (dead_fraction ?? 0) > 0);
      return examined.failure !== null || patch.length === 0 || !dies
        ? []
        : one('leaky_relu', 'leaky_relu instead of relu', patch, true);
    },
  },
  hidden_relu: {
    description: 'Hidden units whose derivative does not vanish.',
    candidates: (examined) => {
      const patch = hiddenActivation(examined, (name) => squashing.includes(name), 'relu');
      return examined.failure !== null || patch.length === 0
        ? []
        : one('hidden_relu', 'relu in the hidden layers', patch, true);
    },
  },
  float64: {
    description: 'The same in float64, whose largest number is 1.8e308 instead of 3.4e38.',
    candidates: ({ plan, failure }) =>
      plan.precision === 'float64' || failure === null
        ? []
        : one('float64', 'float64', [add('/network/precision', 'float64')]),
  },
  all_together: {
    description: 'Scaling, a tenth of the rate and clipping together, when nothing else has helped.',
    candidates: (examined) => {
      const both = isRegression(examined) && isUnboundedOutput(examined);
      const more = both ? { inputs: 'standardize', targets: 'standardize' } : { inputs: 'standardize' };
      const rate = slowerRate(examined);
      const patch = [...scaled(examined, more), withRate(examined, rate), add('/clip_gradients', { max_norm: 1 })];
      const title = `standardized ${both ? 'inputs and targets' : 'inputs'}, learning_rate ${rate} and clipping together`;
      return one('all_together', title, patch, true);
    },
  },
} as const satisfies Record<string, FixEntry>;

export type FixKind = keyof typeof fixes;

/** Tried only when nothing else has helped. */
export const lastResort: FixKind = 'all_together';

/** The candidates for a case, in the order of the table, without the last resort. */
export function candidateFixes(examined: Case): Fix[] {
  return namesOf(fixes)
    .filter((kind) => kind !== lastResort)
    .flatMap((kind) => candidatesOf(kind, examined));
}

export function candidatesOf(kind: FixKind, examined: Case): Fix[] {
  const entry: FixEntry = fixes[kind];
  return entry.candidates(examined).map((candidate) => ({ ...candidate, kind }));
}

/** A trial in words: "learning_rate 0.05: finite for 500 steps, loss 0.41". */
export function sentenceOf(title: string, { steps, finite, loss, loss_at_start, diverged_at }: Trial): string {
  if (!finite) return `${title}: not finite at step ${diverged_at}`;
  const from = Number.isFinite(loss_at_start) ? ` (from ${shown(loss_at_start)})` : '';
  return `${title}: finite for ${steps} steps, loss ${shown(loss)}${from}`;
}
