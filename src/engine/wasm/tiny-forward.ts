/** The forward pass of an unrolled step. */
import type { Expression, Sink } from './expression.ts';
import { poisoned } from './kernel.ts';
import type { TinyLayer } from './tiny-layout.ts';
import { type Columns, newColumns, recordColumns, type Step, sumOfProducts, weight } from './tiny-step.ts';

/** Activations that are computed side by side. */
const CHAINS = 3;

/** The inputs of the batch. */
export function inputColumns(step: Step): Columns {
  const { o, layout, groups } = step;
  const locals = newColumns(step, layout.plan.input_size);
  o.runSideBySide(
    Array.from({ length: groups }, (_, group) => {
      const columns = recordColumns(step, group, 0, layout.plan.input_size);
      return columns.map((value, k) => ({ value, local: locals[k][group] }));
    }),
  );
  return locals;
}

/** z[unit] = Σ_k W[unit][k]·a[k] + b[unit] */
export function emitAffine(step: Step, layer: TinyLayer, inputs: Columns): Columns {
  const { o } = step;
  const z = newColumns(step, layer.layer.units);
  for (const [unit, column] of z.entries()) {
    sumOfProducts(step, column, inputs, (k) => weight(step, layer, unit, k));
    if (layer.layer.biases === null) continue;
    const bias = weight(step, layer, unit, layer.layer.input_size);
    o.run(column.map((local) => ({ value: o.add(o.local(local), bias), local })));
  }
  return z;
}

/** a = f(z), NaN where z is not finite. */
export function emitActivation(step: Step, { layer }: TinyLayer, z: Columns): Columns {
  const { o, groups } = step;
  const { entry, options } = layer.activation;
  const a = newColumns(step, layer.units);
  const sink = (value: Expression, unit: number, group: number): Sink => {
    return { value: poisoned(o, value, o.local(z[unit][group])), local: a[unit][group] };
  };
  if (entry.kind === 'rowwise') {
    o.runSideBySide(
      Array.from({ length: groups }, (_, group) => {
        const outputs: Expression[] = [];
        const inputs = z.map((column) => o.local(column[group]));
        entry.forward(o, inputs, outputs, 0, layer.units);
        return outputs.map((value, unit) => sink(value, unit, group));
      }),
    );
    return a;
  }
  const places = z.flatMap((column, unit) => column.map((local, group) => ({ local, unit, group })));
  for (let first = 0; first < places.length; first += CHAINS) {
    o.runSideBySide(
      places.slice(first, first + CHAINS).map(({ local, unit, group }) => {
        return [sink(entry.forward(o, o.local(local), options), unit, group)];
      }),
    );
  }
  return a;
}
