/**
 * The tiny strategy: whole steps of a small network as one function without inner loops. A lane is a sample; every
 * weight, unit and group of samples is unrolled; activations stay in locals. One call runs many steps.
 *
 * The order of every sum is that of the reference: the gradients' sums over the samples take one sample after the
 * other, which is why activations or deltas are turned from columns into rows first.
 */
import type { ArithmeticMode } from '../definition.ts';
import { type FunctionBuilder, type Index, ModuleBuilder } from './assembler.ts';
import type { UpdateRule } from './backward.ts';
import { Lanes } from './lanes.ts';
import { emitPropagate, emitUpdates } from './tiny-backward.ts';
import { emitActivation, emitAffine, inputColumns } from './tiny-forward.ts';
import type { TinyLayout } from './tiny-layout.ts';
import { emitOutput } from './tiny-output.ts';
import type { Columns, Step } from './tiny-step.ts';

export interface TinyModuleOptions {
  readonly rule: UpdateRule;
  readonly mode: ArithmeticMode;
  readonly weighted: boolean;
  /** Samples in every batch that the function runs. */
  readonly rows: number;
}

/** The bytes of a module whose `run(steps)` carries out steps on batches of `rows` samples. */
export function emitTiny(
  layout: TinyLayout,
  { rule, mode, weighted, rows }: TinyModuleOptions,
): Uint8Array<ArrayBuffer> {
  const module = new ModuleBuilder({ module: 'engine', name: 'memory', minimum: 1 });
  const steps: Index = 0;
  const body = (f: FunctionBuilder) => {
    const [order, scalars, loss, zero] = [f.local('i32'), f.local('i32'), f.local('i32'), f.local('i32')];
    const o = new Lanes(f, layout.plan.precision, mode);
    const groups = Math.ceil(rows / layout.lanes);
    const records = Array.from({ length: groups * layout.lanes }, () => f.local('i32'));
    f.i32(layout.order).set(order).i32(layout.scalars).set(scalars).i32(layout.losses).set(loss);
    f.get(steps);
    f.if(() =>
      f.loop(() => {
        for (const [sample, record] of records.entries()) {
          // Lanes without a sample repeat the first one; nothing sums over them.
          f.get(order).memory('i32.load', (sample < rows ? sample : 0) * 4);
          f.i32(layout.recordBytes).op('i32.mul').set(record);
        }
        emitStep({ f, o, layout, rule, weighted, rows, groups, records, scalars, loss, zero });
        f.increment(order, rows * 4).increment(scalars, layout.scalarNames.length * layout.bytesPerNumber);
        f.increment(loss, layout.bytesPerNumber).increment(steps, -1).get(steps).brIf(0);
      }),
    );
  };
  module.function(['i32'], [], body, 'run');
  return module.encode();
}

function emitStep(step: Step): void {
  const { layout } = step;
  const inputs = inputColumns(step);
  const outputs: Columns[] = [];
  const preActivations: Columns[] = [];
  for (const [index, layer] of layout.layers.entries()) {
    const z = emitAffine(step, layer, index === 0 ? inputs : outputs[index - 1]);
    preActivations.push(z);
    if (index < layout.layers.length - 1) outputs.push(emitActivation(step, layer, z));
  }
  const last = layout.layers.length - 1;
  const deltas: Columns[] = [];
  const { delta, loss } = emitOutput(step, preActivations[last]);
  deltas[last] = delta;
  for (let index = last - 1; index >= 0; index--) {
    const [above, layer] = [layout.layers[index + 1], layout.layers[index]];
    deltas[index] = emitPropagate(step, above, layer, deltas[index + 1], preActivations[index], outputs[index]);
  }
  // The next step begins with the first layer's weights; all that comes after their update overlaps with it.
  const factors = layout.layers.map((layer, index) => {
    return { layer, outputsBelow: index === 0 ? null : outputs[index - 1], deltas: deltas[index] };
  });
  emitUpdates(step, factors, inputs, loss);
}
