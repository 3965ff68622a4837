/** The pass as a worked derivation in Markdown, with the numbers in it, to be followed by hand. */
import type { FloatArray } from '../../engine/backend.ts';
import { trainedTensors } from '../../engine/parameters.ts';
import type { LayerPass } from '../../engine/reference/pass.ts';
import type { Admitted } from './exercise.ts';
import { formulas, globalNorm, runPass } from './explain.ts';

/** More rows or columns than this do not help anybody who reads. */
const shownRows = 8;
const shownColumns = 8;

const shownNumber = (value: number) => (Number.isFinite(value) ? String(Number(value.toPrecision(6))) : String(value));

/** A table of numbers; what is left out is said. */
function matrix(values: FloatArray, columns: number): string {
  const rows = values.length / columns;
  const lines = Array.from({ length: Math.min(rows, shownRows) }, (_, row) => {
    const cells = Array.from(
      values.subarray(row * columns, row * columns + Math.min(columns, shownColumns)),
      shownNumber,
    );
    return `[ ${cells.join('  ')}${columns > shownColumns ? `  … ${columns - shownColumns} more` : ''} ]`;
  });
  if (rows > shownRows) lines.push(`… ${rows - shownRows} more rows`);
  return `\`\`\`\n${lines.join('\n')}\n\`\`\``;
}

export function derivation({ exercise, notes }: Admitted): string {
  const { plan, data } = exercise;
  const { loss, pass } = runPass(exercise);
  const last = plan.layers.length;
  const { entry, name } = plan.loss;
  const part = (what: string, formula: string, values: FloatArray, columns: number) =>
    `${what} \`${formula}\`, shape [${values.length / columns}, ${columns}]:\n\n${matrix(values, columns)}`;
  const forwardOf = ({ layer, ...current }: LayerPass) => [
    `### Layer ${layer.number}: ${layer.activation.name}, ${layer.units} units`,
    part('Pre-activations', formulas.pre_activations(layer.number, last), current.pre_activations, layer.units),
    ...(layer.normalization === null
      ? []
      : [part('Normalised', layer.normalization.kind, current.activation_inputs, layer.units)]),
    part(
      `Activations, f(z) = ${layer.activation.entry.formula},`,
      formulas.activations(layer.number, last),
      current.activations,
      layer.units,
    ),
  ];
  const backwardOf = ({ layer, deltas }: LayerPass) => [
    `### Layer ${layer.number}`,
    part('Deltas', formulas.deltas(layer.number, last), deltas, layer.units),
    ...trainedTensors(layer).map((tensor) => {
      const { offset, length, shape } = tensor.slice;
      const below = layer.number === 1 ? 'x' : `a${layer.number - 1}`;
      const formula =
        tensor.name === 'weights'
          ? `dW${layer.number} = Σ_rows δ${layer.number}·${below}ᵀ${layer.l1 || layer.l2 ? ' + l1·sign(W) + 2·l2·W' : ''}`
          : tensor.name === 'biases'
            ? `db${layer.number} = Σ_rows δ${layer.number}`
            : `d${tensor.name}`;
      return part('Gradient', formula, pass.gradients.subarray(offset, offset + length), shape[1] ?? length);
    }),
  ];
  return `${[
    '# Backpropagation, step by step',
    `${data.rows} rows, one sample each; all numbers in float64, shown with six digits. The deltas hold the ${plan.reduction} of the loss already.`,
    ...notes,
    '## Forward',
    part('Inputs', 'x', pass.inputs, plan.input_size),
    ...pass.layers.flatMap(forwardOf),
    '## Loss',
    `${name}, reduced by ${plan.reduction}: \`${entry.formula}\`; its slope by the output is \`${entry.derivative_formula}\`.`,
    part('Targets', 'y', pass.targets, pass.targets.length / data.rows),
    `**Loss = ${shownNumber(loss)}**`,
    '## Backward',
    ...pass.layers.toReversed().flatMap(backwardOf),
    `The norm of all gradients together is ${shownNumber(globalNorm(pass.gradients))}.`,
  ].join('\n\n')}\n`;
}
