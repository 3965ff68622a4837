/** The output layer of an unrolled step: δ and the loss. */
import type { Index } from './assembler.ts';
import type { Bits } from './emission.ts';
import type { Sink } from './expression.ts';
import { emitRow } from './output.ts';
import { type Columns, laneOf, newColumns, recordColumns, type Step, scalar } from './tiny-step.ts';

/** δ of the output layer, weighted and reduced; and what stores the loss of the batch, on which nothing waits. */
export function emitOutput(step: Step, z: Columns): { delta: Columns; loss: Bits } {
  const { f, o, layout, groups } = step;
  const labels = layout.plan.loss.entry.target_domain.kind === 'label';
  const deltas = newColumns(step, z.length);
  const losses = Array.from({ length: groups }, () => f.local('v128'));
  const sinks = Array.from({ length: groups }, (_, group): { deltas: Sink[]; loss: Sink[] } => {
    const targets = recordColumns(step, group, layout.targets, labels ? 1 : z.length);
    const row = emitRow(
      o,
      layout,
      z.map((column) => o.local(column[group])),
      targets,
    );
    const [rowWeight] = step.weighted ? recordColumns(step, group, layout.weight, 1) : [null];
    const factor = rowWeight === null ? scalar(step, 'scale') : o.mul(scalar(step, 'scale'), rowWeight);
    return {
      deltas: row.deltas.map((delta, k) => ({ value: o.mul(factor, delta), local: deltas[k][group] })),
      loss: [{ value: rowWeight === null ? row.loss : o.mul(rowWeight, row.loss), local: losses[group] }],
    };
  });
  const rowLosses = o.runSideBySide(
    sinks.map((sink) => sink.deltas),
    sinks.map((sink) => sink.loss),
  );
  return { delta: deltas, loss: lossOfBatch(step, rowLosses, losses) };
}

/** Stores scale·Σ of the rows' losses, rows ascending. */
function* lossOfBatch(step: Step, rowLosses: Bits, losses: readonly Index[]): Bits {
  const { f, o, layout, rows } = step;
  yield* rowLosses;
  let sum = o.constant(0);
  for (let sample = 0; sample < rows; sample++) sum = o.add(sum, laneOf(step, losses, sample));
  const total = f.local('v128');
  yield* o.runSideBySide([], [[{ value: o.add(o.mul(scalar(step, 'scale'), sum), o.constant(0)), local: total }]]);
  const type = layout.bytesPerNumber === 4 ? 'f32' : 'f64';
  f.get(step.loss).get(total).lane(`${o.shape.float}.extract_lane`, 0).memory(`${type}.store`);
}
