/**
 * How far float32 may be from the truth: an error analysis of a forward and a backward pass, carried out along the pass
 * in float64. Every input, parameter and operation of float32 is off by a relative error of at most U; an error E of a
 * value x reaches f(x) as max |f(x ± E) − f(x)|, and a sum of n terms adds n·U times the sum of their magnitudes.
 */
import type { ActivationOptions, RowwiseActivation } from '../../../src/engine/activations.ts';
import type { Data, Plan, PlannedLayer } from '../../../src/engine/backend.ts';
import { reductionScale } from '../../../src/engine/losses.ts';
import { float64 } from '../../../src/engine/math/float64.ts';
import type { OutputLoss } from '../../../src/engine/output-loss.ts';
import type { InitialParameters } from '../../../src/engine/plan.ts';
import { backwardPass } from '../../../src/engine/reference/backward.ts';
import type { LayerPass, Pass } from '../../../src/engine/reference/pass.ts';
import { U } from './uncertain.ts';

/** Elementary functions are right to 2 ulp, and an ulp is up to 2·U of the value. */
const FUNCTION = 4 * U;
/** Products of errors are a millionth of the errors. */
const SECOND_ORDER = 1.01;

type Numbers = ArrayLike<number>;
/** A value of one row and its error. */
interface UncertainRow {
  readonly values: number[];
  readonly errors: number[];
}

export interface Float32Bounds {
  /** Of [rows, output_size] outputs, of the reduced loss, and of the gradients, laid out like the parameters. */
  readonly outputs: readonly number[];
  readonly loss: number;
  readonly gradients: readonly number[];
}

const { abs, max } = Math;
const indices = (n: number) => Array.from({ length: n }, (_, i) => i);
const total = (n: number, term: (i: number) => number) => indices(n).reduce((sum, i) => sum + term(i), 0);

/** What errors of the arguments make of every result: Σ_j max |f(x ± E_j) − f(x)|. */
function spread({ values, errors }: UncertainRow, f: (x: number[]) => Numbers): number[] {
  const at = Array.from(f(values.slice()));
  const off = (j: number, sign: number) => f(values.map((x, i) => (i === j ? x + sign * errors[j] : x)));
  const reached = errors.map((_, j) => [off(j, 1), off(j, -1)] as const);
  return at.map((value, k) => total(errors.length, (j) => max(...reached[j].map((f) => abs(f[k] - value)))));
}

const rowOf = (values: Numbers, row: number, width: number) => Array.from(values).slice(row * width, (row + 1) * width);

function activate({ layer }: LayerPass, z: number[]): number[] {
  const { entry, options } = layer.activation;
  if (entry.kind === 'elementwise') return z.map((one) => entry.forward(float64, one, options));
  const a: number[] = [];
  entry.forward(float64, z, a, 0, z.length);
  return a;
}

/** What is added within an activation: its last step, and its sum and division where it sees the whole row. */
function ownError({ layer }: LayerPass, a: number): number {
  return (layer.activation.entry.kind === 'elementwise' ? FUNCTION : 2 * FUNCTION + layer.units * U) * abs(a);
}

/** Of z = W·a + b with so many terms: W and b are rounded, each product, and each sum. */
function preActivation(layer: PlannedLayer, parameters: Numbers, z: Numbers, below: UncertainRow): UncertainRow {
  const { weights, biases, input_size: n, units } = layer;
  const weight = (unit: number, k: number) => abs(parameters[weights.offset + unit * n + k]);
  const errors = indices(units).map((unit) => {
    const bias = biases === null ? 0 : abs(parameters[biases.offset + unit]);
    const magnitude = bias + total(n, (k) => weight(unit, k) * abs(below.values[k]));
    return total(n, (k) => weight(unit, k) * below.errors[k]) + (n + 3) * U * magnitude;
  });
  const values = Array.from(z);
  // Functions of a row begin with z − max z.
  const largest = layer.activation.entry.kind === 'rowwise' ? max(...values) : null;
  return { values, errors: errors.map((e, k) => e + (largest === null ? 0 : U * (largest - values[k]))) };
}

/** Loss and dLoss/dz of a row, with what rounding within the formula adds to either. */
function output(
  pass: Pass,
  current: LayerPass,
  z: UncertainRow,
  y: number[],
): { loss: UncertainRow; delta: UncertainRow } {
  const { units } = current.layer;
  const loss: OutputLoss = pass.output_loss;
  const of = (z: number[], a: number[], y: number[]): number[] => {
    const row = { z, a, y, gradient: [], units, start: 0, targetStart: 0 };
    loss.gradient(float64, row);
    return [...row.gradient, loss.value(float64, row)];
  };
  const a = activate(current, z.values);
  const labels = y.length !== units || pass.plan.loss.entry.target_domain.kind === 'label';
  const effects = [
    spread(z, (z) => of(z, activate(current, z), y)),
    spread({ values: a, errors: a.map((one) => ownError(current, one)) }, (a) => of(z.values, a, y)),
    spread({ values: y, errors: y.map((one) => (labels ? 0 : U * abs(one))) }, (y) => of(z.values, a, y)),
  ];
  const values = of(z.values, a, y);
  const errors = values.map((value, i) => total(3, (e) => effects[e][i]) + (16 + 2 * units) * U * max(1, abs(value)));
  return {
    delta: { values: values.slice(0, units), errors: errors.slice(0, units) },
    loss: { values: values.slice(units), errors: errors.slice(units) },
  };
}

/** dLoss/dz of a hidden row from dLoss/da. */
function throughActivation(current: LayerPass, z: UncertainRow, a: UncertainRow, gradient: UncertainRow): UncertainRow {
  const { entry, options } = current.layer.activation;
  if (entry.kind === 'rowwise') return throughRow(entry, a, gradient);
  const derivative = (z: number, a: number) => entry.derivative(float64, z, a, options as ActivationOptions);
  const values: number[] = [];
  const errors = z.values.map((one, k) => {
    const slope = derivative(one, a.values[k]);
    const [fromZ] = spread({ values: [one], errors: [z.errors[k]] }, ([x]) => [
      derivative(x, entry.forward(float64, x, options)),
    ]);
    const [fromA] = spread({ values: [a.values[k]], errors: [ownError(current, a.values[k])] }, ([x]) => [
      derivative(one, x),
    ]);
    values.push(gradient.values[k] * slope);
    const slopeError = fromZ + fromA + 2 * FUNCTION * max(1, abs(slope));
    return gradient.errors[k] * abs(slope) + abs(gradient.values[k]) * (slopeError + U * abs(slope));
  });
  return { values, errors };
}

function throughRow(entry: RowwiseActivation, a: UncertainRow, gradient: UncertainRow): UncertainRow {
  const units = a.values.length;
  const both = { values: [...a.values, ...gradient.values], errors: [...a.errors, ...gradient.errors] };
  const back = (of: number[]) => {
    const result = of.slice(units);
    entry.backward(float64, of.slice(0, units), result, 0, units);
    return result;
  };
  const magnitude = max(...gradient.values.map(abs));
  return {
    values: back(both.values),
    errors: spread(both, back).map((e) => e + (units + 4) * U * magnitude),
  };
}

/** dLoss/da of the layer below: a sum over the units. */
function propagated(layer: PlannedLayer, parameters: Numbers, delta: UncertainRow): UncertainRow {
  const { weights, input_size: n, units } = layer;
  const terms = (k: number, of: number[], weight: (w: number) => number) =>
    total(units, (unit) => weight(parameters[weights.offset + unit * n + k]) * of[unit]);
  const magnitudes = delta.values.map(abs);
  return {
    values: indices(n).map((k) => terms(k, delta.values, (w) => w)),
    errors: indices(n).map((k) => terms(k, delta.errors, abs) + (units + 2) * U * terms(k, magnitudes, abs)),
  };
}

/** Bounds on the errors of outputs, loss and gradients of a float32 network without normalization, dropout and penalties. */
export function float32Bounds(planned: Plan, initial: InitialParameters, data: Data): Float32Bounds {
  const { pass } = backwardPass(planned, initial, data);
  const { parameters } = initial;
  const scale = reductionScale(planned.loss.entry, planned.reduction, data.rows, planned.output_size);
  const gradients = new Array<number>(planned.parameter_count).fill(0);
  const magnitudes = new Array<number>(planned.parameter_count).fill(0);
  const outputs: number[] = [];
  let [loss, lossMagnitude] = [0, 0];
  for (let row = 0; row < data.rows; row++) {
    const inputs = rowOf(data.inputs, row, planned.input_size);
    const layers = [{ a: { values: inputs, errors: inputs.map((x) => U * abs(x)) }, z: null as UncertainRow | null }];
    for (const current of pass.layers) {
      const { layer } = current;
      const zRow = rowOf(current.pre_activations, row, layer.units);
      const z = preActivation(layer, parameters, zRow, layers[layers.length - 1].a);
      const values = activate(current, z.values);
      const fromZ = spread(z, (z) => activate(current, z));
      layers.push({ z, a: { values, errors: values.map((a, k) => fromZ[k] + ownError(current, a)) } });
    }
    outputs.push(...layers[layers.length - 1].a.errors);
    const perRow = data.targets.length / data.rows;
    const last = pass.layers.length - 1;
    const end = output(pass, pass.layers[last], layers[last + 1].z as UncertainRow, rowOf(data.targets, row, perRow));
    loss += end.loss.errors[0];
    lossMagnitude += abs(end.loss.values[0]);
    let delta: UncertainRow = {
      values: end.delta.values.map((d) => scale * d),
      errors: end.delta.errors.map((e, k) => scale * (e + 2 * U * abs(end.delta.values[k]))),
    };
    for (let index = last; index >= 0; index--) {
      const { layer } = pass.layers[index];
      const below = layers[index].a;
      addGradients(layer, delta, below, gradients, magnitudes);
      if (index === 0) break;
      const gradient = propagated(layer, parameters, delta);
      delta = throughActivation(pass.layers[index - 1], layers[index].z as UncertainRow, below, gradient);
    }
  }
  return {
    outputs: outputs.map((e) => SECOND_ORDER * e),
    loss: SECOND_ORDER * scale * (loss + (data.rows + 2) * U * lossMagnitude),
    gradients: gradients.map((e, i) => SECOND_ORDER * (e + (data.rows + 2) * U * magnitudes[i])),
  };
}

/** Of one row's share in dW[unit][k] = Σ_row δ[unit]·a[k] and db[unit] = Σ_row δ[unit]: its error and its magnitude. */
function addGradients(
  layer: PlannedLayer,
  delta: UncertainRow,
  a: UncertainRow,
  errors: number[],
  magnitudes: number[],
) {
  const { weights, biases, input_size: n, units } = layer;
  const add = (at: number, error: number, magnitude: number) => {
    errors[at] += error;
    magnitudes[at] += magnitude;
  };
  for (let unit = 0; unit < units; unit++) {
    const [d, e] = [abs(delta.values[unit]), delta.errors[unit]];
    for (let k = 0; k < n; k++) {
      const input = abs(a.values[k]);
      add(weights.offset + unit * n + k, e * input + d * a.errors[k], d * input);
    }
    if (biases !== null) add(biases.offset + unit, e, d);
  }
}
