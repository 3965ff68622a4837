/** Holds a run against the table of warnings; each is given once. */
import type { FloatArray, Plan } from '../engine/backend.ts';
import { type Frame, rootMeanSquare } from './layer-statistics.ts';
import { classOf } from './metric-context.ts';
import type { PreparedData } from './prepare.ts';
import type { RunNote, RunRequest, RunWarning } from './request.ts';
import {
  type DataContext,
  type DataRule,
  type Finding,
  firstLook,
  type LayerRule,
  type LossContext,
  type LossRule,
  runWarnings,
} from './warnings.ts';

/** What later warnings depend on; plain JSON, part of every checkpoint. */
export interface WarningState {
  readonly looked_at_data: boolean;
  readonly looked_at_loss: boolean;
  /** Given already: `code` or `code layer`. */
  readonly given: readonly string[];
  /** How often in a row a rule has found something. */
  readonly streaks: Readonly<Record<string, number>>;
  readonly first_gradients: readonly number[] | null;
  readonly initial: { readonly sum: number; readonly steps: number };
  readonly lowest_loss: number | null;
  readonly best_validation: LossContext['best_validation'];
}

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

/** Steps whose losses are the loss at the start. */
const initialSteps = 10;

const start: WarningState = {
  looked_at_data: false,
  looked_at_loss: false,
  given: [],
  streaks: {},
  first_gradients: null,
  initial: { sum: 0, steps: 0 },
  lowest_loss: null,
  best_validation: null,
};

type WarningNote = Extract<RunNote, { type: 'warning' }>;

function rulesOf<Kind extends 'layer' | 'loss' | 'data'>(kind: Kind) {
  type Rule = { layer: LayerRule; loss: LossRule; data: DataRule }[Kind];
  return Object.entries(runWarnings).filter(([, rule]) => rule.kind === kind) as unknown as [string, Rule][];
}

const layerRules = rulesOf('layer');
const lossRules = rulesOf('loss');
const dataRules = rulesOf('data');

export class WarningWatch {
  readonly #plan: Plan;
  readonly #request: RunRequest;
  readonly #validationRows: number;
  #state: Mutable<WarningState> = { ...start };

  constructor(plan: Plan, request: RunRequest, validationRows: number) {
    this.#plan = plan;
    this.#request = request;
    this.#validationRows = validationRows;
  }

  get state(): WarningState {
    return { ...this.#state };
  }

  restore(state: WarningState | undefined): void {
    this.#state = { ...(state ?? { ...start, looked_at_data: true, looked_at_loss: true }) };
  }

  /** Looks at the training rows, once. */
  seeData(prepared: PreparedData): WarningNote[] {
    if (this.#state.looked_at_data) return [];
    this.#state.looked_at_data = true;
    const context = dataContext(prepared, this.#plan);
    return dataRules.flatMap(([code, rule]) => this.#judge({ code, step: 0 }, rule, 1, rule.find(context)));
  }

  seeFrame(frame: Frame): WarningNote[] {
    this.#state.first_gradients ??= frame.layers.map(({ tensors }) => finiteOrZero(rootMeanSquare(tensors.gradients)));
    const { first_gradients } = this.#state;
    return this.#plan.layers.flatMap((layer, index) => {
      const context = {
        request: this.#request,
        plan: this.#plan,
        layer,
        frame,
        now: frame.layers[index],
        first_gradients,
      };
      return layerRules.flatMap(([code, rule]) => {
        const place = { code, step: frame.step, layer: layer.number };
        return frame.step < rule.from_step ? [] : this.#judge(place, rule, rule.frames, rule.find(context));
      });
    });
  }

  /** The losses of the first steps, in order. */
  seeLosses(losses: FloatArray, firstEpochSteps: number): void {
    let { sum, steps } = this.#state.initial;
    const wanted = Math.min(initialSteps, firstEpochSteps);
    if (steps >= wanted) return;
    for (let i = 0; i < losses.length && steps < wanted; i++, steps++) sum += losses[i];
    this.#state.initial = { sum, steps };
  }

  /** The ends of epochs at which nothing is validated. */
  seeEpochs(firstEpoch: number, steps: Float64Array, losses: Float64Array): readonly WarningNote[] {
    const notes: WarningNote[] = [];
    for (let i = 0; i < losses.length && !this.#state.looked_at_loss; i++) {
      notes.push(...this.seeEpoch(firstEpoch + i, steps[i], losses[i], undefined));
    }
    return notes;
  }

  /** The end of an epoch. */
  seeEpoch(epoch: number, step: number, loss: number, validation: number | undefined): readonly WarningNote[] {
    const state = this.#state;
    if (state.looked_at_loss && validation === undefined) return [];
    if (state.lowest_loss === null || loss < state.lowest_loss) state.lowest_loss = loss;
    const isLook = !state.looked_at_loss && epoch >= firstLook.epoch && step >= firstLook.step;
    state.looked_at_loss ||= isLook;
    const validation_loss = Number.isFinite(validation) ? (validation as number) : null;
    const { best_validation: best, lowest_loss, initial } = state;
    if (validation_loss !== null && !(best !== null && best.value <= validation_loss)) {
      state.best_validation = { epoch, value: validation_loss, loss };
    }
    if (!isLook && validation_loss === null) return [];
    const context = {
      request: this.#request,
      epoch,
      loss,
      initial_loss: initial.sum / initial.steps,
      lowest_loss,
      validation_loss,
      validation_rows: this.#validationRows,
      best_validation: state.best_validation,
    };
    const due = lossRules.filter(([, rule]) => (rule.reads === 'validation' ? validation_loss !== null : isLook));
    return due.flatMap(([code, rule]) => this.#judge({ code, step }, rule, rule.epochs, rule.find(context)));
  }

  /** Counts what a rule has found in a row, and warns when that is enough, once. */
  #judge(
    place: Pick<RunWarning, 'code' | 'step' | 'layer'>,
    { level, advice }: LayerRule | LossRule | DataRule,
    needed: number,
    found: Finding | null,
  ): WarningNote[] {
    const name = place.layer === undefined ? place.code : `${place.code} ${place.layer}`;
    const { given, streaks } = this.#state;
    if (given.includes(name)) return [];
    const before = streaks[name] ?? 0;
    const streak = found === null ? 0 : before + 1;
    if (streak !== before) this.#state.streaks = { ...streaks, [name]: streak };
    if (found === null || streak < needed) return [];
    this.#state.given = [...given, name];
    return [{ type: 'warning', level, ...place, ...found, advice }];
  }
}

const finiteOrZero = (value: number): number => (Number.isFinite(value) ? value : 0);

function dataContext(prepared: PreparedData, plan: Plan): DataContext {
  return {
    constant_columns: constantColumns(prepared, plan.input_size),
    input_size: plan.input_size,
    class_rows: classRows(prepared, plan),
    is_weighted: prepared.data.weights !== undefined,
  };
}

/** Row by row, as the data lie, over the columns that have not changed yet; none of a single row. */
function constantColumns({ data: { inputs }, rows }: PreparedData, width: number): readonly number[] {
  if (rows.length < 2) return [];
  let columns = Array.from({ length: width }, (_, column) => column);
  const first = rows[0] * width;
  for (let i = 1; i < rows.length && columns.length > 0; i++) {
    const start = rows[i] * width;
    if (columns.some((column) => inputs[start + column] !== inputs[first + column]))
      columns = columns.filter((column) => inputs[start + column] === inputs[first + column]);
  }
  return columns;
}

function classRows({ data, rows, target_kind }: Pick<PreparedData, 'data' | 'rows' | 'target_kind'>, plan: Plan) {
  const classOfRow = classOf({ target_kind, output_size: plan.output_size });
  if (classOfRow === null) return null;
  const counts: number[] = new Array(Math.max(2, plan.output_size)).fill(0);
  for (const row of rows) counts[classOfRow(data.targets, row)] += 1;
  return counts;
}
