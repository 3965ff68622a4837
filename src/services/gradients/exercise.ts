/** From a request to what the engine audits, checks or explains: float64, without dropout, and within the limit. */
import type { Limits } from '../../config.ts';
import { passCost } from '../../engine/audit/audit.ts';
import type { Exercise } from '../../engine/audit/hypotheses.ts';
import type { Plan } from '../../engine/backend.ts';
import type { NetworkDefinition } from '../../engine/definition.ts';
import { initialParameters, plan } from '../../engine/plan.ts';
import { type Problem, refuse } from '../../errors.ts';
import type { Matrix } from '../../schemas/data.ts';
import { definitionOf, type NetworkInput } from '../../schemas/network.ts';
import { dataProblems } from '../data-checks.ts';
import { readParameters } from '../job-sources.ts';
import { networkProblems, over } from '../networks.ts';

export interface ExerciseInput {
  readonly network: NetworkInput;
  readonly data: { readonly inputs: Matrix; readonly targets: Matrix };
  readonly parameters?: { readonly layers?: unknown } | undefined;
  readonly seed?: number;
}

export interface Admitted {
  readonly exercise: Exercise;
  /** Of the exercise: in float64, without dropout. */
  readonly definition: NetworkDefinition;
  readonly notes: readonly string[];
}

/**
 * @param passesOf how many passes the answer takes, in the worst case
 * @throws {ProblemError} with every problem at once
 */
export function admit(
  input: ExerciseInput,
  limits: Limits,
  passesOf: (plan: Plan) => number,
  asked: Pick<Exercise, 'kind' | 'learning_rate'> = { kind: 'gradients', learning_rate: null },
): Admitted {
  refuse(networkProblems(input.network, limits, '/network'), 'limit_exceeded');
  const notes: string[] = [];
  const definition = definitionOf(input.network);
  if (definition.layers.some(({ dropout }) => dropout)) notes.push('Dropout is left out: its masks are random.');
  const layers = definition.layers.map((layer) => ({ ...layer, dropout: 0 }));
  const exact = { ...definition, layers, precision: 'float64' } as const;
  const planned = plan(exact);
  const { inputs, targets } = sampleFirst(input.data, planned, notes);
  const problems: Problem[] = dataProblems({ inputs, targets }, planned, '/data');
  if (inputs.rows !== targets.rows) {
    const detail = `There are ${inputs.rows} rows of inputs but ${targets.rows} of targets.`;
    problems.push({ pointer: '/data/targets', code: 'row_mismatch', detail });
  }
  const values =
    input.parameters === undefined
      ? initialParameters(planned, exact, input.seed ?? 0)
      : readParameters(planned, input.parameters.layers, '/parameters', problems);
  refuse(problems);
  if (values === null) throw new TypeError('admitted without parameters');
  const data = { rows: inputs.rows, inputs: inputs.values, targets: targets.values };
  const exercise = { plan: planned, values, data, ...asked };
  const work = passCost(exercise) * passesOf(planned);
  refuse(
    over(limits, 'max_gradient_work', work, '/network', 'The answer would take', 'multiply-adds'),
    'limit_exceeded',
  );
  return { exercise, definition: exact, notes };
}

/** The matrices with one row per sample; what fits only the other way round is turned, and that is said. */
function sampleFirst(
  { inputs, targets }: ExerciseInput['data'],
  planned: Exercise['plan'],
  notes: string[],
): ExerciseInput['data'] {
  if (inputs.columns === planned.input_size || inputs.rows !== planned.input_size) return { inputs, targets };
  notes.push('The data were read features first, as [features][samples].');
  const samples = inputs.columns;
  const turn = !targets.flat && targets.columns === samples && targets.rows !== samples;
  return { inputs: transposed(inputs), targets: turn ? transposed(targets) : targets };
}

function transposed({ rows, columns, values }: Matrix): Matrix {
  const turned = Float64Array.from(values, (_, i) => values[(i % rows) * columns + Math.floor(i / rows)]);
  return { rows: columns, columns: rows, values: turned, flat: false };
}
