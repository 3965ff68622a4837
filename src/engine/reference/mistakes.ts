/**
 * The mistakes behind the table of bugs: each takes the right calculus (rules.ts) and replaces an entry or two.
 * L output layer, m rows of the batch, z pre-activation, a activation, δ = dLoss/dz.
 *
 * Code with one of these mistakes takes its loss and dLoss/da literally from the outputs, without the joined forms that
 * keep saturated outputs finite; so do the mistakes in the output layer, and so they diverge where such code does.
 */
import type { Plan } from '../backend.ts';
import { literalRowLosses, literalSlope, residual } from './literal-output.ts';
import { multiply } from './matrix.ts';
import type { Pass } from './pass.ts';
import type { LayerContext, PassRules } from './rules.ts';

/** What a bug may depend on besides the pass. */
export interface BugSetting {
  readonly plan: Plan;
  /** Only `weights_updated_before_backward` looks at it. */
  readonly learning_rate: number;
}

/** The rules with the mistake put in. */
export type Mistake = (rules: PassRules, setting: BugSetting) => PassRules;

export const outputOf = (plan: Plan) => plan.layers[plan.layers.length - 1];
export const hiddenLayers = (plan: Plan) => plan.layers.slice(0, -1);
export const scaleAll = (values: Pass['gradients'], factor: number) => {
  for (let i = 0; i < values.length; i++) values[i] *= factor;
};

/** Replaces dLoss/dz of the output layer by dLoss/da, taken literally, times `factor` of each entry. */
export function outputDelta(factor: (a: number, z: number) => number): Mistake {
  return (rules) => ({
    ...rules,
    rowLosses: literalRowLosses,
    outputDelta(context) {
      literalSlope(context);
      const { activation_inputs: z, activations: a, deltas } = context.current;
      for (let i = 0; i < deltas.length; i++) deltas[i] *= factor(a[i], z[i]);
    },
  });
}

/** f'(z) as code has it that forgets that its formula is in terms of a. */
export const derivativesOnPreActivation: Readonly<Record<string, (z: number) => number>> = {
  sigmoid: (z) => z * (1 - z),
  softmax: (z) => z * (1 - z),
  tanh: (z) => 1 - z * z,
};

export const derivativeOnPreActivation =
  (hidden: boolean): Mistake =>
  (rules, setting) => {
    const wrongOutput = derivativesOnPreActivation[outputOf(setting.plan).activation.name];
    const base = wrongOutput === undefined ? rules : outputDelta((_a, z) => wrongOutput(z))(rules, setting);
    if (!hidden) return base;
    return {
      ...base,
      throughActivation(context) {
        const wrong = derivativesOnPreActivation[context.layer.activation.name];
        if (wrong === undefined) return rules.throughActivation(context);
        const { activation_inputs: z, deltas } = context.current;
        for (let i = 0; i < deltas.length; i++) deltas[i] *= wrong(z[i]);
      },
    };
  };

/** a(1−a), applied on top of the right δ_L = a − y. */
export const derivativeTwice: Mistake = (rules) => ({
  ...rules,
  outputDelta(context) {
    residual(context);
    const { activations: a, deltas } = context.current;
    for (let i = 0; i < deltas.length; i++) deltas[i] *= a[i] * (1 - a[i]);
  },
});

/** Softmax down the columns of [rows, units]; a sample's outputs no longer sum to 1. */
function batchAxisSoftmax({ pass: { rows, o }, current, layer: { units, activation } }: LayerContext): void {
  const { entry } = activation;
  if (entry.kind !== 'rowwise') return;
  const { activation_inputs: z, activations: a } = current;
  const [column, result] = [new Float64Array(rows), new Float64Array(rows)];
  for (let unit = 0; unit < units; unit++) {
    for (let row = 0; row < rows; row++) column[row] = z[row * units + unit];
    entry.forward(o, column, result, 0, rows);
    for (let row = 0; row < rows; row++) a[row * units + unit] = result[row];
  }
}

/** The derivative of the columnwise softmax, from the literal dLoss/da. */
export function batchAxisDelta(context: LayerContext): void {
  const { rows, o } = context.pass;
  const { units, activation } = context.layer;
  const { entry } = activation;
  literalSlope(context);
  if (entry.kind !== 'rowwise') return;
  const { activations: a, deltas } = context.current;
  const [output, slope] = [new Float64Array(rows), new Float64Array(rows)];
  for (let unit = 0; unit < units; unit++) {
    for (let row = 0; row < rows; row++) {
      output[row] = a[row * units + unit];
      slope[row] = deltas[row * units + unit];
    }
    entry.backward(o, output, slope, 0, rows);
    for (let row = 0; row < rows; row++) deltas[row * units + unit] = slope[row];
  }
}

/** The Jacobian of the right softmax, row by row, on outputs of the wrong one; with one-hot targets this is a − y. */
export function rowAxisDelta(context: LayerContext): void {
  literalSlope(context);
  const { units, activation } = context.layer;
  const { entry } = activation;
  const { activations: a, deltas } = context.current;
  if (entry.kind !== 'rowwise') return;
  for (let row = 0; row < context.pass.rows; row++) entry.backward(context.pass.o, a, deltas, row * units, units);
}

export const softmaxOverBatch =
  (delta: (context: LayerContext) => void): Mistake =>
  (rules) => ({
    ...rules,
    rowLosses: literalRowLosses,
    activate(context) {
      if (context.index === context.pass.layers.length - 1) batchAxisSoftmax(context);
      else rules.activate(context);
    },
    outputDelta: delta,
  });

/** Does something to the finished gradients, after whatever else is done to them. */
export const afterwards =
  (change: (pass: Pass) => void): Mistake =>
  (rules) => ({
    ...rules,
    finish(pass) {
      rules.finish(pass);
      change(pass);
    },
  });

export const scaleBiases = (pass: Pass): void => {
  for (const { biases } of pass.plan.layers) {
    if (biases !== null) scaleAll(pass.gradients.subarray(biases.offset, biases.offset + biases.length), pass.rows);
  }
};

/** Only the last row's δ; it holds the mean's 1/m already, under `sum` it is divided here. */
export const lastRowBias: Mistake = (rules) => ({
  ...rules,
  biasGradient({ pass, current, layer: { units, biases } }) {
    if (biases === null) return;
    const divisor = pass.plan.reduction === 'sum' ? pass.rows : 1;
    for (let unit = 0; unit < units; unit++) {
      pass.gradients[biases.offset + unit] = current.deltas[(pass.rows - 1) * units + unit] / divisor;
    }
  },
});

/** Wᵀδ with W − η·dW, as after a plain gradient step on this layer. */
export const updatedWeights: Mistake = (rules, setting) => ({
  ...rules,
  propagate(context, target) {
    const { parameters, gradients } = context.pass;
    const { offset, length } = context.layer.weights;
    const updated = parameters.slice();
    for (let i = offset; i < offset + length; i++) updated[i] -= setting.learning_rate * gradients[i];
    rules.propagate({ ...context, pass: { ...context.pass, parameters: updated } }, target);
  },
});

export const transposed: Mistake = (rules) => ({
  ...rules,
  propagate(context, target) {
    const { pass, current, layer } = context;
    const size = layer.units;
    if (size !== layer.input_size) return rules.propagate(context, target);
    const delta = { values: current.deltas, offset: 0, outer: size, inner: 1 };
    const weights = { values: pass.parameters, offset: layer.weights.offset, outer: size, inner: 1 };
    multiply(pass.plan.precision, delta, weights, target, 0, [pass.rows, size, size]);
  },
});

/** Hidden relu layers whose neighbour `shift` layers up has the same width. */
export const maskable = (plan: Plan, shift: number) =>
  hiddenLayers(plan).filter((layer, index) => {
    return layer.activation.name === 'relu' && plan.layers[index + shift]?.units === layer.units;
  });

export const maskFromLayer =
  (shift: number): Mistake =>
  (rules, { plan }) => {
    const wrong = new Set(maskable(plan, shift).map((layer) => layer.number - 1));
    return {
      ...rules,
      throughActivation(context) {
        if (!wrong.has(context.index)) return rules.throughActivation(context);
        const { activation_inputs: z } = context.pass.layers[context.index + shift];
        const { deltas } = context.current;
        for (let i = 0; i < deltas.length; i++) if (!(z[i] > 0)) deltas[i] = 0;
      },
    };
  };

/** Layers whose tensors all have the shapes of the layer below. */
export const shiftable = (plan: Plan) =>
  plan.layers.filter((layer, index) => {
    const below = plan.layers[index - 1];
    return below?.units === layer.units && below.input_size === layer.input_size && !below.biases === !layer.biases;
  });

export const offByOne: Mistake = (rules, setting) =>
  afterwards((pass) => {
    const right = pass.gradients.slice();
    for (const layer of shiftable(setting.plan)) {
      const below = setting.plan.layers[layer.number - 2];
      pass.gradients.set(slice(right, below.weights), layer.weights.offset);
      if (layer.biases && below.biases) pass.gradients.set(slice(right, below.biases), layer.biases.offset);
    }
  })(rules, setting);

const slice = (values: Pass['gradients'], { offset, length }: { offset: number; length: number }) =>
  values.subarray(offset, offset + length);
