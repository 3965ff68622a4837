/** A pass as a worked derivation in Markdown, with the numbers in it, to be followed by hand. */
import type { FloatArray } from '../engine/backend.ts';
import { globalNorm } from '../engine/clipping.ts';
import { trainedTensors } from '../engine/parameters.ts';
import type { Gradients } from '../engine/reference/backward.ts';
import type { LayerPass } from '../engine/reference/pass.ts';

/** The line of the pass that filled a tensor of layer l of L. */
export const formulas: Readonly<
  Record<'pre_activations' | 'activations' | 'deltas', (layer: number, last: number) => string>
> = {
  pre_activations: (l) => `z${l} = W${l}·${l === 1 ? 'x' : `a${l - 1}`} + b${l}`,
  activations: (l) => `a${l} = f${l}(z${l})`,
  deltas: (l, last) => (l === last ? `δ${l} = dLoss/dz${l}` : `δ${l} = (W${l + 1}ᵀ·δ${l + 1}) ∘ f${l}′(z${l})`),
};

/** More rows or columns than this do not help anybody who reads. */
const shownRows = 8;
const shownColumns = 8;

export const shownNumber = (value: number) =>
  Number.isFinite(value) ? String(Number(value.toPrecision(6))) : String(value);

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

/** A tensor with the formula that it comes from, its shape and its numbers. */
export const shownTensor = (what: string, formula: string, values: FloatArray, columns: number): string =>
  `${what} \`${formula}\`, shape [${values.length / columns}, ${columns}]:\n\n${matrix(values, columns)}`;

export interface Derivation {
  readonly title: string;
  readonly gradients: Gradients;
  /** Paragraphs before the first section. */
  readonly notes: readonly string[];
  /** Paragraphs after the last one. */
  readonly ending?: readonly string[];
}

export function workedDerivation({ title, gradients: { loss, pass }, notes, ending = [] }: Derivation): string {
  const { plan, rows } = pass;
  const { entry, name } = plan.loss;
  return `${[
    `# ${title}`,
    `${rows} rows, one sample each; all numbers in ${plan.precision}, shown with six digits. The deltas hold the ${plan.reduction} of the loss already.`,
    ...notes,
    '## Forward',
    shownTensor('Inputs', 'x', pass.inputs, plan.input_size),
    ...pass.layers.flatMap((layer) => forwardOf(layer, plan.layers.length)),
    '## Loss',
    `${name}, reduced by ${plan.reduction}: \`${entry.formula}\`; its slope by the output is \`${entry.derivative_formula}\`.`,
    shownTensor('Targets', 'y', pass.targets, pass.targets.length / rows),
    `**Loss = ${shownNumber(loss)}**`,
    '## Backward',
    ...pass.layers.toReversed().flatMap((layer) => backwardOf(layer, plan.layers.length, pass.gradients)),
    `The norm of all gradients together is ${shownNumber(globalNorm(pass.gradients))}.`,
    ...ending,
  ].join('\n\n')}\n`;
}

function forwardOf({ layer, ...current }: LayerPass, last: number): string[] {
  const { number, units, activation, normalization, dropout } = layer;
  return [
    `### Layer ${number}: ${activation.name}, ${units} units`,
    shownTensor('Pre-activations', formulas.pre_activations(number, last), current.pre_activations, units),
    ...(normalization === null
      ? []
      : [shownTensor('Normalised', normalization.kind, current.activation_inputs, units)]),
    shownTensor(
      `Activations, f(z) = ${activation.entry.formula},`,
      formulas.activations(number, last),
      current.activations,
      units,
    ),
    ...(dropout === 0 ? [] : [shownTensor('After dropout', `a${number} ∘ mask`, current.outputs, units)]),
  ];
}

function backwardOf({ layer, deltas }: LayerPass, last: number, gradients: FloatArray): string[] {
  const { number, units, l1, l2 } = layer;
  return [
    `### Layer ${number}`,
    shownTensor('Deltas', formulas.deltas(number, last), deltas, units),
    ...trainedTensors(layer).map(({ name, slice: { offset, length, shape } }) => {
      const below = number === 1 ? 'x' : `a${number - 1}`;
      const formula =
        name === 'weights'
          ? `dW${number} = Σ_rows δ${number}·${below}ᵀ${l1 || l2 ? ' + l1·sign(W) + 2·l2·W' : ''}`
          : name === 'biases'
            ? `db${number} = Σ_rows δ${number}`
            : `d${name}`;
      return shownTensor('Gradient', formula, gradients.subarray(offset, offset + length), shape[1] ?? length);
    }),
  ];
}
