/** One backward pass as an answer: every tensor with its shape and the formula that made it. */
import type { Exercise } from '../../engine/audit/hypotheses.ts';
import type { FloatArray } from '../../engine/backend.ts';
import { globalNorm } from '../../engine/clipping.ts';
import { toWire as parametersToWire } from '../../engine/parameters.ts';
import { backwardPass, type Gradients } from '../../engine/reference/backward.ts';
import type { LayerPass } from '../../engine/reference/pass.ts';
import { toWire } from '../../schemas/common.ts';
import type { explainable, GradientsView } from '../../schemas/gradients.ts';
import { formulas } from '../../training/worked-derivation.ts';

type Included = (typeof explainable)[number];

export const runPass = ({ plan, values, data }: Exercise): Gradients => backwardPass(plan, values, data);

export const rowsOnWire = (values: FloatArray, columns: number) =>
  Array.from({ length: values.length / columns }, (_, row) =>
    Array.from(values.subarray(row * columns, (row + 1) * columns), toWire),
  );

export function explain(exercise: Exercise, include: readonly Included[], notes: readonly string[]): GradientsView {
  const { plan, data } = exercise;
  const { loss, pass } = runPass(exercise);
  const last = plan.layers.length;
  const perLayer = (name: keyof typeof formulas, valuesOf: (layer: LayerPass) => FloatArray) =>
    include.includes(name)
      ? {
          [name]: pass.layers.map((current) => ({
            layer: current.layer.number,
            shape: [data.rows, current.layer.units],
            formula: formulas[name](current.layer.number, last),
            values: rowsOnWire(valuesOf(current), current.layer.units),
          })),
        }
      : {};
  const { layers } = parametersToWire(plan, pass.gradients);
  const input_gradients = {
    shape: [data.rows, plan.input_size],
    formula: 'dLoss/dx = W1ᵀ·δ1',
    values: rowsOnWire(pass.input_gradients, plan.input_size),
  };
  return {
    loss: toWire(loss),
    outputs: rowsOnWire(pass.layers[last - 1].activations, plan.output_size),
    gradients: { layers: onWire(layers) as GradientsView['gradients']['layers'] },
    global_norm: toWire(globalNorm(pass.gradients)),
    ...perLayer('pre_activations', (layer) => layer.pre_activations),
    ...perLayer('activations', (layer) => layer.activations),
    ...perLayer('deltas', (layer) => layer.deltas),
    ...(include.includes('input_gradients') ? { input_gradients } : {}),
    notes: [...notes],
  };
}

/** Every number of a nested value in the wire's form. */
function onWire(value: unknown): unknown {
  if (typeof value === 'number') return toWire(value);
  if (Array.isArray(value)) return value.map(onWire);
  return Object.fromEntries(Object.entries(value as object).map(([key, entry]) => [key, onWire(entry)]));
}
