/** The catalog: every table of names as data, so that a client never has to guess a spelling, a default or a range. */
import { type Limits, limitNames, limits as limitTable } from '../config.ts';
import { missingPolicies } from '../datasets/dataset.ts';
import { type DatasetFormat, formats } from '../datasets/formats.ts';
import { type ToyDataset, toyDatasets } from '../datasets/generate.ts';
import { type Activation, activations } from '../engine/activations.ts';
import { precisions, reductions } from '../engine/definition.ts';
import { initializers } from '../engine/initializers.ts';
import type { Interval } from '../engine/interval.ts';
import { type Loss, losses, type TargetDomain } from '../engine/losses.ts';
import { optimizers } from '../engine/optimizers.ts';
import { type Option, type OptionTable, resolve } from '../engine/options.ts';
import { undefinedPair } from '../engine/output-loss.ts';
import { type Bug, bugs } from '../engine/reference/bugs.ts';
import { schedules } from '../engine/schedules.ts';
import { errorCodes, errors, errorType, problemCodes } from '../errors.ts';
import type { Catalog, CatalogOption } from '../schemas/catalog.ts';
import { toWire } from '../schemas/common.ts';
import { type Metric, metrics } from '../training/metrics.ts';
import { causes } from '../training/post-mortem/causes.ts';
import { fixes } from '../training/post-mortem/fixes.ts';
import { type Scaling, scalings } from '../training/preprocessing.ts';
import { allowedActions, jobStates, namesOf, stopReasons } from '../training/states.ts';
import { runWarnings } from '../training/warnings.ts';
import { jobLintRules } from './job-lint.ts';
import { lintRules } from './lint.ts';

interface Entry {
  readonly description: string;
  readonly formula?: string;
  readonly options: OptionTable;
}

/** The table as a list, each entry with its name. */
function list<E, Row>(
  table: Readonly<Record<string, E>>,
  row: (entry: E, name: string) => Row,
): (Row & { name: string })[] {
  return Object.entries(table).map(([name, entry]) => ({ name, ...row(entry, name) }));
}

const optionOf = ({ type, ...option }: Option): Omit<CatalogOption, 'name'> => {
  if (type === 'boolean') return { type, ...option };
  const { integer, ...range } = option as Extract<Option, { type: 'number' }>;
  return { ...range, type: integer ? 'integer' : 'number' };
};

const entryOf = ({ description, formula, options }: Entry) => ({
  description,
  formula,
  options: list(options, optionOf),
});

const intervalOf = ({ minimum, maximum }: Interval) => ({ minimum: toWire(minimum), maximum: toWire(maximum) });

function targetsOf(domain: TargetDomain): string {
  switch (domain.kind) {
    case 'distribution':
      return 'rows that are not negative and sum to 1';
    case 'label':
      return 'one integer label per sample, from 0 to units − 1';
    case 'values':
      return domain.values.join(' or ');
    case 'interval':
      return intervalText(domain);
  }
}

function intervalText({ minimum, maximum }: Interval): string {
  if (minimum === -Infinity && maximum === Infinity) return 'any number';
  if (maximum === Infinity) return `numbers from ${minimum} up`;
  return `numbers from ${minimum} to ${maximum}`;
}

const definedOn = (name: string): string[] =>
  Object.keys(activations).filter(
    (activation) => undefinedPair(resolve<Activation>(activations, activation), resolve<Loss>(losses, name)) === null,
  );

const description = (text: string) => ({ description: text });

/** Everything that has a name, with this service's limits. */
export function createCatalog(limits: Limits): Catalog {
  return {
    activations: list<Activation, Omit<Catalog['activations'][number], 'name'>>(activations, (entry) => ({
      ...entryOf(entry),
      derivative_formula: entry.derivative_formula,
      range: intervalOf(entry.range),
    })),
    losses: list<Loss, Omit<Catalog['losses'][number], 'name'>>(losses, (entry, name) => ({
      ...entryOf(entry),
      derivative_formula: entry.derivative_formula,
      categorical: entry.categorical,
      targets: targetsOf(entry.target_domain),
      activations: definedOn(name),
    })),
    reductions: [...reductions],
    initializers: list<Entry, ReturnType<typeof entryOf>>(initializers, entryOf),
    optimizers: list<Entry, ReturnType<typeof entryOf>>(optimizers, entryOf),
    learning_rate_schedules: list<Entry, ReturnType<typeof entryOf>>(schedules, entryOf),
    metrics: list<Metric, Omit<Catalog['metrics'][number], 'name'>>(metrics, (metric) => ({
      ...entryOf(metric),
      better: metric.better,
      targets: [...metric.kinds],
    })),
    scalings: list<Scaling, { description: string; formula: string }>(scalings, ({ formula, ...scaling }) => ({
      ...description(scaling.description),
      formula,
    })),
    toy_datasets: list<ToyDataset, Omit<Catalog['toy_datasets'][number], 'name'>>(toyDatasets, (toy) => ({
      ...entryOf(toy),
      default_rows: toy.default_rows,
    })),
    upload_formats: list<(typeof formats)[DatasetFormat], { description: string; media_types: string[] }>(
      formats,
      (format) => ({ ...description(format.description), media_types: [...format.media_types] }),
    ),
    missing_policies: list(missingPolicies, (policy) => description(policy.description)),
    bugs: list<Bug, Omit<Catalog['bugs'][number], 'name'>>(bugs, ({ computes, usual_line, mending }) => ({
      computes,
      usual_line,
      mending,
    })),
    precisions: [...precisions],
    states: namesOf(jobStates).map((name) => ({ name, ...jobStates[name], actions: allowedActions(name) })),
    stop_reasons: list(stopReasons, (reason) => description(reason.description)),
    warnings: list<{ readonly description: string }, { description: string }>(
      { ...lintRules, ...jobLintRules },
      (rule) => description(rule.description),
    ),
    run_warnings: namesOf(runWarnings).map((name) => {
      const { description, level, source, advice } = runWarnings[name];
      return { name, description, level, source, advice };
    }),
    causes: list(causes, (cause) => description(cause.description)),
    fixes: list(fixes, (fix) => description(fix.description)),
    errors: errorCodes.map((code) => ({ code, type: errorType(code), ...errors[code] })),
    problem_codes: list(problemCodes, description),
    limits: limitNames.map((name) => ({
      name,
      value: limits[name],
      default: limitTable[name].default,
      status: errors[limitTable[name].error].status,
      description: limitTable[name].description,
    })),
  };
}
