/** Random networks, batches and mistakes for the audit to judge; everything follows from the seed. */
import { type ActivationName, activations } from '../../../src/engine/activations.ts';
import type { Exercise, Hypothesis } from '../../../src/engine/audit/hypotheses.ts';
import { passUnder } from '../../../src/engine/audit/hypotheses.ts';
import type { FloatArray } from '../../../src/engine/backend.ts';
import { type NetworkDefinition, reductions } from '../../../src/engine/definition.ts';
import { toWire } from '../../../src/engine/parameters.ts';
import { plan } from '../../../src/engine/plan.ts';
import { uniform } from '../../../src/engine/prng.ts';
import { definedPairs } from '../../../src/engine/self-test.ts';

const activationNames = Object.keys(activations) as ActivationName[];

/** 1–4 layers, one in three of them square, batches of 2–32 rows; l1, l2 and each normalization in one network of four. */
export function randomExercise(seed: number): Exercise {
  let drawn = 0;
  const draw = () => uniform(seed, 'audit', 7, drawn++);
  const below = (n: number) => Math.floor(n * draw());
  const pair = definedPairs[seed % definedPairs.length];
  const width = 2 + below(4);
  const size = () => (draw() < 0.4 ? width : 2 + below(4));
  const hidden = Array.from({ length: below(4) }, () => ({
    units: size(),
    activation: draw() < 0.4 ? ('relu' as const) : activationNames[below(activationNames.length)],
  }));
  const l2 = draw() < 0.25 ? 0.05 : 0;
  const unpenalised = [...hidden, { units: size(), activation: pair.activation }].map((layer) => ({ ...layer, l2 }));
  const reduction = reductions[below(reductions.length)];
  const l1 = draw() < 0.25 ? 0.02 : 0;
  const kind = ([{ batch_norm: true }, { layer_norm: true }, {}, {}] as const)[below(4)];
  const layers = unpenalised.map((layer, i) => ({ ...layer, l1, ...(i < hidden.length ? kind : {}) }));
  const definition = {
    input_size: size(),
    layers,
    loss: { name: pair.loss, reduction },
    precision: 'float64',
  } as NetworkDefinition;
  const planned = plan(definition);
  const parameters = Float64Array.from({ length: planned.parameter_count }, () => 2 * draw() - 1);
  const rows = 2 + below(31);
  const inputs = Float64Array.from({ length: rows * planned.input_size }, () => 2 * draw() - 1);
  const domain = planned.loss.entry.target_domain;
  const perRow = domain.kind === 'label' ? 1 : planned.output_size;
  const targets = new Float64Array(rows * perRow);
  for (let row = 0; row < rows; row++) {
    const label = below(planned.output_size);
    for (let k = 0; k < perRow; k++) {
      if (domain.kind === 'label') targets[row] = label;
      else if (domain.kind === 'distribution') targets[row * perRow + k] = k === label ? 1 : 0;
      else if (domain.kind === 'values') targets[row * perRow + k] = domain.values[below(domain.values.length)];
      else
        targets[row * perRow + k] =
          Math.max(domain.minimum, -1) + draw() * (Math.min(domain.maximum, 1) - Math.max(domain.minimum, -1));
    }
  }
  const values = { parameters, statistics: new Float64Array(planned.statistic_count) };
  return { plan: planned, values, data: { rows, inputs, targets }, kind: 'gradients', learning_rate: 0.1 };
}

export const precisions = {
  float64: (value: number) => value,
  float32: (value: number) => Math.fround(value),
  four_digits: (value: number) => Number(value.toPrecision(4)),
};

/** The gradients that code with these bugs reports, as the client sends them. */
export function sentGradients(exercise: Exercise, gradients: FloatArray, round: (value: number) => number) {
  return toWire(exercise.plan, Float64Array.from(gradients, round)).layers;
}

export const buggyGradients = (exercise: Exercise, hypothesis: Hypothesis) => passUnder(exercise, hypothesis).gradients;
