/** What a job asks for but probably does not mean: the definition, and what rows and options say about each other. */
import type { FloatArray, Plan } from '../engine/backend.ts';
import type { NetworkDefinition } from '../engine/definition.ts';
import type { LossName } from '../engine/losses.ts';
import { optimizers, resolveOptimizer } from '../engine/optimizers.ts';
import type { JobWarning } from '../schemas/job-warnings.ts';
import { targetKind } from '../training/target-kind.ts';
import type { AdmittedJob, KeptRequest } from './job-request.ts';
import { activationFor, lint } from './lint.ts';
import { inTurns } from './turns.ts';

interface Extremes {
  readonly minimum: number;
  readonly maximum: number;
}

interface Subject {
  readonly plan: Plan;
  readonly request: KeptRequest;
  /** Rows that are left to train on. */
  readonly rows: number;
  readonly inputs: Extremes;
  readonly targets: Extremes;
  /** Whether the targets are numbers to be met, and not classes. */
  readonly has_values: boolean;
}

type Found = Required<Pick<JobWarning, 'pointer' | 'detail' | 'patch'>> & Pick<JobWarning, 'evidence'>;

interface JobRule {
  readonly description: string;
  readonly level: JobWarning['level'];
  check(subject: Subject): Found | null;
}

/** What a batch has unless the client says otherwise: whoever leaves it out means nothing by it. */
export const defaultBatchSize = 32;

/** Scaled inputs and rates that are often used with others stay below this multiple of the bound. */
const boundMargin = 50;
/** Targets of this size beside outputs that start near 0 make gradients of this size. */
const largeTarget = 1e3;
/** How often the default learning rate another may be: gradients are as large as the data make them only for sgd. */
const rateMargin = { sgd: { above: 1e4, below: 1e-7 }, adaptive: { above: 1e3, below: 1e-6 } } as const;

const short = (value: number): string => String(Number(value.toPrecision(3)));
const largest = ({ minimum, maximum }: Extremes): number => Math.max(-minimum, maximum);
const outputOf = ({ layers }: Plan) => layers[layers.length - 1];
const rateOf = ({ optimizer }: KeptRequest) =>
  (resolveOptimizer(optimizer).options as { readonly learning_rate: number }).learning_rate;

/** The optimizer at another rate. */
function withRate({ optimizer }: KeptRequest, learning_rate: number): Found['patch'] {
  const given = typeof optimizer === 'string' ? { name: optimizer } : optimizer;
  return [{ op: 'add', path: '/optimizer', value: { ...given, learning_rate } }];
}

/** The part of the data scaled, and the other part as it was. */
function scaled({ standardize, scaling }: KeptRequest, part: 'inputs' | 'targets'): Found['patch'] {
  const value = { ...(standardize ? { inputs: 'standardize' } : scaling), [part]: 'standardize' };
  const instead = standardize ? [{ op: 'remove' as const, path: '/standardize' }] : [];
  return [...instead, { op: 'add', path: '/scaling', value }];
}

export const jobLintRules = {
  inputs_unscaled: {
    description: 'The inputs are so large that plain gradient descent at this rate overshoots.',
    level: 'warning',
    check({ plan, request, inputs }) {
      const size = largest(inputs);
      const rate = rateOf(request);
      const { name } = resolveOptimizer(request.optimizer);
      const isScaled = request.standardize || request.scaling?.inputs !== undefined;
      if (isScaled || name !== 'sgd' || plan.layers[0].normalization !== null) return null;
      // Stable is a rate below 2/λ, and for a unit with input x and a squared error the curvature λ is at least x².
      const bound = 2 / size ** 2;
      if (size <= 10 || rate <= boundMargin * bound) return null;
      const detail = `The inputs reach ${short(size)}, for which sgd is stable up to a learning rate of about ${Number(bound.toPrecision(1))}; this one is ${rate}.`;
      const evidence = { largest_input: size, learning_rate: rate, stable_up_to: bound };
      return { pointer: '/optimizer', detail, evidence, patch: scaled(request, 'inputs') };
    },
  },
  targets_unscaled: {
    description: 'The targets are large numbers that an output near 0 takes long to reach.',
    level: 'warning',
    check({ plan, request, targets, has_values }) {
      const size = largest(targets);
      const { target_domain: domain } = plan.loss.entry;
      const isOpen = domain.kind === 'interval' && domain.minimum === Number.NEGATIVE_INFINITY;
      if (!has_values || !isOpen || request.scaling?.targets !== undefined || size <= largeTarget) return null;
      const detail = `The targets reach ${short(size)}, while a new network gives values near 0. Scaled targets train faster; predictions come back in your unit.`;
      return { pointer: '/scaling', detail, evidence: { largest_target: size }, patch: scaled(request, 'targets') };
    },
  },
  targets_out_of_reach: {
    description: 'Some targets lie outside what the output activation can give.',
    level: 'warning',
    check({ plan, request, targets }) {
      const { number, activation } = outputOf(plan);
      const { range } = activation.entry;
      if (plan.loss.entry.target_domain.kind !== 'interval' || request.scaling?.targets !== undefined) return null;
      if (targets.minimum >= range.minimum && targets.maximum <= range.maximum) return null;
      const pointer = `/network/layers/${number - 1}/activation`;
      const detail = `The targets go from ${short(targets.minimum)} to ${short(targets.maximum)}, but ${activation.name} gives values from ${short(range.minimum)} to ${short(range.maximum)} only.`;
      const evidence = { smallest_target: targets.minimum, largest_target: targets.maximum };
      return { pointer, detail, evidence, patch: [{ op: 'add', path: pointer, value: activationFor(plan.loss) }] };
    },
  },
  relu_for_bounded_targets: {
    description: 'The targets are only 0 and 1, and a relu at the output knows no upper end.',
    level: 'warning',
    check({ plan, targets, has_values }) {
      const { number, activation } = outputOf(plan);
      const isBounded = !has_values && targets.minimum === 0 && targets.maximum === 1;
      if (activation.name !== 'relu' || plan.loss.entry.target_domain.kind !== 'interval' || !isBounded) return null;
      const pointer = `/network/layers/${number - 1}/activation`;
      const detail = 'All targets are 0 or 1. A relu at the output goes beyond 1, and stops learning where it is 0.';
      return { pointer, detail, patch: [{ op: 'add', path: pointer, value: 'sigmoid' }] };
    },
  },
  learning_rate_unusual: {
    description: 'The learning rate is far from anything that this optimizer is used with.',
    level: 'warning',
    check({ request }) {
      const { name } = resolveOptimizer(request.optimizer);
      const rate = rateOf(request);
      const { default: usual } = optimizers[name as keyof typeof optimizers].options.learning_rate;
      const { above, below } = name === 'sgd' ? rateMargin.sgd : rateMargin.adaptive;
      if (rate <= usual * above && rate >= usual * below) return null;
      const detail = `A learning rate of ${rate} is ${rate > usual ? 'far above' : 'far below'} what ${name} is used with; its default is ${usual}.`;
      const evidence = { learning_rate: rate, default: usual };
      return { pointer: '/optimizer', detail, evidence, patch: withRate(request, usual) };
    },
  },
  batch_larger_than_data: {
    description: 'A batch was asked for that is larger than the data: every epoch is a single step.',
    level: 'info',
    check({ request: { batch_size }, rows }) {
      if (batch_size <= rows || batch_size === defaultBatchSize) return null;
      const detail = `There are ${rows} rows to train on, so that each batch has ${rows} and not ${batch_size}, and an epoch is one step.`;
      const patch: Found['patch'] = [{ op: 'add', path: '/batch_size', value: rows }];
      return { pointer: '/batch_size', detail, evidence: { batch_size, rows }, patch };
    },
  },
  early_stopping_never: {
    description: 'Early stopping waits longer than training lasts.',
    level: 'info',
    check({ request: { early_stopping, epochs } }) {
      if (early_stopping === undefined || early_stopping.patience < epochs || epochs < 2) return null;
      const { patience } = early_stopping;
      const detail = `Early stopping waits for ${patience} epochs without an improvement, and there are only ${epochs}.`;
      const shorter = Math.max(1, Math.floor(epochs / 5));
      const patch: Found['patch'] = [{ op: 'add', path: '/early_stopping/patience', value: shorter }];
      return { pointer: '/early_stopping/patience', detail, evidence: { patience, epochs }, patch };
    },
  },
} as const satisfies Record<string, JobRule>;

/** The warnings of an admitted job: of its definition, then of its rows and options. Pointers and patches are for its body. */
export async function lintJob(
  job: Pick<AdmittedJob, 'definition' | 'plan' | 'request' | 'arrays' | 'rows'>,
): Promise<JobWarning[]> {
  const { definition, plan, request, arrays, rows } = job;
  const { inputs, targets } = arrays;
  const kind = targetKind(plan.loss.name as LossName, plan.output_size, targets);
  const subject: Subject = {
    plan,
    request,
    rows,
    inputs: await extremesOf(inputs),
    targets: await extremesOf(targets),
    has_values: kind === 'values',
  };
  const found = Object.entries<JobRule>(jobLintRules).flatMap(([code, { level, check }]): JobWarning[] => {
    const warning = check(subject);
    return warning === null ? [] : [{ code, level, ...warning }];
  });
  return [...lintDefinition(definition), ...found];
}

function lintDefinition(definition: NetworkDefinition): JobWarning[] {
  return lint(definition).map(({ code, pointer, detail, patch }) => ({
    code,
    level: 'warning',
    pointer: `/network${pointer}`,
    detail,
    patch: patch.map((operation) => ({ ...operation, path: `/network${operation.path}` })),
  }));
}

/** Values that are looked at in one turn. */
const pieceValues = 2 ** 20;

async function extremesOf(values: FloatArray): Promise<Extremes> {
  let [minimum, maximum] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  await inTurns(values.length, pieceValues, (from, to) => {
    for (let i = from; i < to; i++) {
      if (values[i] < minimum) minimum = values[i];
      if (values[i] > maximum) maximum = values[i];
    }
  });
  return { minimum, maximum };
}
