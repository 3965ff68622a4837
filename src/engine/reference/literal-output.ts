/**
 * The output layer as hand-written code has it: loss and dLoss/da computed from the outputs, with log(0) and 0·∞ left
 * as they fall. Right where no output is saturated; what simulated bugs build on, and why they end in NaN.
 */
import { log } from '../math/elementary.ts';
import type { Pass } from './pass.ts';
import { type LayerContext, outputRow, selectRow, targetAt } from './rules.ts';

/** A term of the loss and its derivative by a, both taken at their word. */
interface LiteralLoss {
  value(o: Pass['o'], a: number, y: number): number;
  derivative(o: Pass['o'], a: number, y: number): number;
}

/** −y·log a. */
const crossEntropy: LiteralLoss = {
  value: (o, a, y) => -(y * log(o, a)),
  derivative: (_o, a, y) => -(y / a),
};

/** Losses whose table entries guard against saturated outputs. Others are taken from the table. */
const literal: Readonly<Record<string, LiteralLoss>> = {
  binary_cross_entropy: {
    value: (o, a, y) => -(y * log(o, a) + (1 - y) * log(o, 1 - a)),
    derivative: (_o, a, y) => -(y / a - (1 - y) / (1 - a)),
  },
  categorical_cross_entropy: crossEntropy,
  sparse_categorical_cross_entropy: crossEntropy,
};

function literalLoss({ plan: { loss } }: Pass): LiteralLoss {
  const { entry, options } = loss;
  return (
    literal[loss.name] ?? {
      value: (o, a, y) => entry.value(o, a, y, options),
      derivative: (o, a, y) => entry.derivative(o, a, y, options),
    }
  );
}

/** Writes f(a, y) of every output of every row into the deltas. */
function fillDeltas({ pass, current }: LayerContext, f: (a: number, y: number) => number): void {
  const selected = outputRow(pass);
  for (let row = 0; row < pass.rows; row++) {
    selectRow(selected, row);
    for (let k = 0; k < selected.units; k++) {
      current.deltas[selected.start + k] = f(current.activations[selected.start + k], targetAt(selected, k));
    }
  }
}

/** `PassRules.rowLosses`, literally. */
export function literalRowLosses(pass: Pass): void {
  const loss = literalLoss(pass);
  const selected = outputRow(pass);
  for (let row = 0; row < pass.rows; row++) {
    selectRow(selected, row);
    let sum = 0;
    for (let k = 0; k < selected.units; k++) {
      sum = pass.o.add(sum, loss.value(pass.o, selected.a[selected.start + k], targetAt(selected, k)));
    }
    pass.row_losses[row] = sum;
  }
}

/** dLoss/da in the deltas of the output layer. */
export function literalSlope(context: LayerContext): void {
  const loss = literalLoss(context.pass);
  fillDeltas(context, (a, y) => loss.derivative(context.pass.o, a, y));
}

/** a − y in the deltas of the output layer. */
export function residual(context: LayerContext): void {
  fillDeltas(context, (a, y) => a - y);
}
