/** Any step of a run explained: its batch, what every layer computed, what the update did. */
import type { FloatArray } from '../../engine/backend.ts';
import type { ArithmeticMode, Parameters, Precision } from '../../engine/definition.ts';
import { toWire, trainedTensors } from '../../engine/parameters.ts';
import type { LayerPass, Pass } from '../../engine/reference/pass.ts';
import type { DivergencePlace } from '../divergence.ts';
import type { DivergedError } from '../request.ts';
import type { CreateBackend } from '../run.ts';
import { type TensorStatistics, tensorStatistics } from '../tensor-statistics.ts';
import { formulas, shownNumber, shownTensor, workedDerivation } from '../worked-derivation.ts';
import { type Clipping, type InstrumentedStep, instrument } from './instruments.ts';
import { Replay, type ReplayReport, type ReplayRequest } from './replay.ts';
import { type BatchTensor, batchTensors, type ParameterTensor, parameterTensors } from './step-tensors.ts';
import { wireText } from './wire-text.ts';

export interface StepRequest extends ReplayRequest {
  /** 1-based. */
  readonly step: number;
  readonly include: readonly (BatchTensor | ParameterTensor)[];
  /** The worked derivation instead of whole tensors. */
  readonly derivation: boolean;
}

export interface ExplainedTensor {
  readonly tensor: string;
  readonly shape: readonly number[];
  /** Before the update. */
  readonly parameters: TensorStatistics;
  /** Before clipping. */
  readonly gradients: TensorStatistics;
  /** What was added to the parameters; null for a step that was not carried out. */
  readonly updates: TensorStatistics | null;
  /** ‖update‖₂ / ‖parameters‖₂; null where the parameters are all 0. */
  readonly update_ratio: number | null;
}

export interface ExplainedLayer {
  readonly layer: number;
  readonly activation: string;
  readonly units: number;
  readonly pre_activations: TensorStatistics;
  readonly activations: TensorStatistics;
  readonly deltas: TensorStatistics;
  readonly tensors: readonly ExplainedTensor[];
}

export interface WholeTensor {
  readonly layer?: number;
  readonly shape: readonly number[];
  readonly formula: string;
  /** One row per sample. */
  readonly values: readonly FloatArray[];
}

export interface ExplainedStep extends Omit<DivergencePlace, 'rows'> {
  readonly step: number;
  readonly rows: readonly number[];
  /** As the run itself computed it; null where the step ended before it. */
  readonly loss: number | null;
  /** Why the step was not carried out. */
  readonly error: DivergedError | null;
  readonly precision: Precision;
  readonly arithmetic: ArithmeticMode;
  readonly gradient_norm: number;
  readonly clipping: Clipping | null;
  readonly layers: readonly ExplainedLayer[];
  readonly pre_activations?: readonly WholeTensor[];
  readonly activations?: readonly WholeTensor[];
  readonly deltas?: readonly WholeTensor[];
  readonly input_gradients?: WholeTensor;
  readonly gradients?: Parameters;
  readonly updates?: Parameters;
  readonly parameters?: Parameters;
  readonly replay: ReplayReport;
}

/**
 * The explanation as JSON, or as Markdown where a derivation is asked for.
 * @throws {ReplayError | CheckpointError}
 */
export function explainStep(asked: StepRequest, create?: CreateBackend): string {
  const { request, step } = asked;
  const replay = new Replay(asked, create);
  const { run } = replay;
  replay.to(step - 1);
  const seen = instrument(run, request);
  const { steps } = replay.advance(1);
  const error = run.end?.stop_reason === 'diverged' ? run.end.error : null;
  const updates = error === null ? difference(run.checkpoint().state.parameters, seen.before.parameters) : null;
  if (asked.derivation) return derivationOf(seen, updates, error);
  const { epoch, batch, learning_rate, rows, pass, gradient_norm, clipping } = seen;
  const explained: ExplainedStep = {
    step,
    epoch,
    batch,
    rows: [...rows],
    learning_rate,
    loss: steps.losses.length > 0 ? steps.losses[0] : null,
    error,
    precision: run.plan.precision,
    arithmetic: request.arithmetic,
    gradient_norm,
    clipping,
    layers: pass.layers.map((layer) => explainedLayer(layer, seen, updates)),
    ...wholeBatchTensors(asked, pass),
    ...wholeParameterTensors(asked, seen, updates),
    replay: replay.report,
  };
  return wireText(explained);
}

/** after − before, in float64: the exact change wherever it fits. */
function difference(after: FloatArray, before: FloatArray): Float64Array {
  return Float64Array.from(after, (value, i) => value - before[i]);
}

function explainedLayer(
  { layer, ...values }: LayerPass,
  { before, pass }: InstrumentedStep,
  updates: FloatArray | null,
): ExplainedLayer {
  return {
    layer: layer.number,
    activation: layer.activation.name,
    units: layer.units,
    pre_activations: tensorStatistics(values.pre_activations),
    activations: tensorStatistics(values.activations),
    deltas: tensorStatistics(values.deltas),
    tensors: trainedTensors(layer).map(({ name, slice: { offset, length, shape } }) => {
      const part = (buffer: FloatArray) => buffer.subarray(offset, offset + length);
      return {
        tensor: name,
        shape,
        parameters: tensorStatistics(part(before.parameters)),
        gradients: tensorStatistics(part(pass.gradients)),
        updates: updates && tensorStatistics(part(updates)),
        update_ratio: updates && ratio(part(updates), part(before.parameters)),
      };
    }),
  };
}

/** ‖a‖₂ / ‖b‖₂ from means and deviations, which neither overflow nor underflow: Σx² = n·(mean² + std²). */
function ratio(a: FloatArray, b: FloatArray): number | null {
  const size = (values: FloatArray) => {
    const { mean, std, abs_max } = tensorStatistics(values);
    return abs_max === 0 ? 0 : abs_max * Math.sqrt((mean / abs_max) ** 2 + (std / abs_max) ** 2);
  };
  const whole = size(b);
  return whole === 0 ? null : size(a) / whole;
}

function wholeBatchTensors({ include }: StepRequest, pass: Pass): Partial<ExplainedStep> {
  const { plan, rows, layers } = pass;
  const tensor = (formula: string, values: FloatArray, columns: number): WholeTensor => ({
    shape: [rows, columns],
    formula,
    values: Array.from({ length: rows }, (_, row) => values.subarray(row * columns, (row + 1) * columns)),
  });
  const perLayer = (name: keyof typeof formulas): WholeTensor[] =>
    layers.map(({ layer: { number: layer, units }, [name]: values }) => ({
      layer,
      ...tensor(formulas[name](layer, layers.length), values, units),
    }));
  const read = {
    pre_activations: () => perLayer('pre_activations'),
    activations: () => perLayer('activations'),
    deltas: () => perLayer('deltas'),
    input_gradients: () => tensor('dLoss/dx = W1ᵀ·δ1', pass.input_gradients, plan.input_size),
  } satisfies Record<BatchTensor, () => unknown>;
  return Object.fromEntries(batchTensors.filter((name) => include.includes(name)).map((name) => [name, read[name]()]));
}

function wholeParameterTensors(
  { include }: StepRequest,
  { pass, before }: InstrumentedStep,
  updates: FloatArray | null,
): Partial<ExplainedStep> {
  const buffers: Readonly<Record<ParameterTensor, FloatArray | null>> = {
    gradients: pass.gradients,
    updates,
    parameters: before.parameters,
  };
  const asked = parameterTensors.filter((name) => include.includes(name));
  return Object.fromEntries(
    asked.flatMap((name) => {
      const buffer = buffers[name];
      return buffer === null ? [] : [[name, toWire(pass.plan, buffer)]];
    }),
  );
}

function derivationOf(seen: InstrumentedStep, updates: FloatArray | null, error: DivergedError | null): string {
  const { step, epoch, batch, rows, loss, pass, learning_rate } = seen;
  const shown = rows.length > 20 ? `${[...rows.subarray(0, 20)].join(', ')}, …` : [...rows].join(', ');
  const ended = error === null ? [] : [`**The step was not carried out.** ${error.message}`];
  return workedDerivation({
    title: `Step ${step}: epoch ${epoch}, batch ${batch}`,
    gradients: { loss, pass },
    notes: [`The batch is made of the rows ${shown} of the data.`, ...ended],
    ending: updates === null ? [] : ['## Update', ...updateText(seen, learning_rate, updates)],
  });
}

function updateText({ clipping, pass }: InstrumentedStep, rate: number, updates: FloatArray): string[] {
  const clipped =
    clipping === null
      ? []
      : clipping.factor === null
        ? [`Clipping clamped ${shownNumber(100 * (clipping.clamped ?? 0))} % of the gradients.`]
        : [`Clipping multiplied every gradient by ${shownNumber(clipping.factor)}.`];
  const tensors = pass.layers.flatMap(({ layer }) =>
    trainedTensors(layer).map(({ name, slice: { offset, length, shape } }) => {
      const formula = `Δ${name} of layer ${layer.number}`;
      return shownTensor('Change', formula, updates.subarray(offset, offset + length), shape[1] ?? length);
    }),
  );
  return [`The learning rate of the step is ${shownNumber(rate)}.`, ...clipped, ...tensors];
}
