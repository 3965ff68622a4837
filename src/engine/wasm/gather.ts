/** Copies rows: chosen ones of the data set into the batch; into and out of a prediction. */
import type { FunctionBuilder, Index } from './assembler.ts';
import { addRowsKernel, type KernelContext, type KernelFunction } from './kernel.ts';
import { wordOffset } from './scalars.ts';

/** Rows of more bytes are left to `memory.copy`, whose call costs as much as a few dozen vector moves. */
const UNROLLED_BYTES = 512;

/** Row i of the batch ← row order[i] of the data: inputs, targets or label, weight. */
export function gatherKernel(context: KernelContext): KernelFunction {
  const { layout } = context;
  const { plan, bytesPerNumber: bytes, inputs, targets } = layout;
  const labels = plan.loss.entry.target_domain.kind === 'label';
  return addRowsKernel(context, ({ f, first, count, zero }) => {
    const [i, row] = [f.local('i32'), f.local('i32')];
    f.get(first).set(i);
    f.whileBelow(i, { local: count }, 1, () => {
      f.get(i).i32(2).op('i32.shl').memory('i32.load', layout.order).set(row);
      const source = (name: 'inputs' | 'targets' | 'weights', width: number) => {
        const from = f.local('i32');
        f.get(row)
          .i32(width)
          .op('i32.mul')
          .get(zero)
          .memory('i32.load', wordOffset(layout, name))
          .op('i32.add')
          .set(from);
        return from;
      };
      const width = plan.input_size * bytes;
      copyRow(f, source('inputs', width), { index: i, base: inputs.base, stride: inputs.stride }, width);
      if (labels) copyNumber(f, source('targets', bytes), { index: i, base: targets.base }, bytes);
      else {
        const targetWidth = plan.output_size * bytes;
        copyRow(
          f,
          source('targets', targetWidth),
          { index: i, base: targets.base, stride: targets.stride },
          targetWidth,
        );
      }
      if (layout.weighted) copyNumber(f, source('weights', bytes), { index: i, base: layout.rowWeights }, bytes);
    });
  });
}

/** Row i of the batch ← row i of the inputs of a prediction, which lie side by side. */
export function arrangeKernel(context: KernelContext): KernelFunction {
  const { plan, bytesPerNumber, inputs, chunkInputs } = context.layout;
  const width = plan.input_size * bytesPerNumber;
  return addRowsKernel(context, ({ f, first, count }) => {
    const [i, from] = [f.local('i32'), f.local('i32')];
    f.get(first).tee(i).i32(width).op('i32.mul').i32(chunkInputs).op('i32.add').set(from);
    f.whileBelow(i, { local: count }, 1, () => {
      copyRow(f, from, { index: i, base: inputs.base, stride: inputs.stride }, width);
      f.increment(from, width);
    });
  });
}

/** Row i of the outputs of a prediction, side by side ← row i of the last layer's outputs. */
export function collectKernel(context: KernelContext): KernelFunction {
  const { plan, bytesPerNumber: bytes, layers, chunkOutputs } = context.layout;
  const { outputs } = layers[layers.length - 1];
  const width = plan.output_size * bytes;
  const type = bytes === 4 ? 'f32' : 'f64';
  return addRowsKernel(context, ({ f, first, count }) => {
    const [i, k, from, to] = [f.local('i32'), f.local('i32'), f.local('i32'), f.local('i32')];
    f.get(first).tee(i).i32(width).op('i32.mul').set(to);
    f.get(i).i32(outputs.stride).op('i32.mul').set(from);
    f.whileBelow(i, { local: count }, 1, () => {
      // Number by number: the row behind may be another thread's.
      f.i32(0).set(k);
      f.whileBelow(k, width, bytes, () => {
        f.get(to).get(k).op('i32.add').get(from).get(k).op('i32.add');
        f.memory(`${type}.load`, outputs.base).memory(`${type}.store`, chunkOutputs);
      });
      f.increment(from, outputs.stride).increment(to, width);
    });
  });
}

/** Whole vectors: what is copied past the end of a row lands in its padding. */
function copyRow(
  f: FunctionBuilder,
  from: Index,
  to: { readonly index: Index; readonly base: number; readonly stride: number },
  width: number,
): void {
  const at = f.local('i32');
  f.get(to.index).i32(to.stride).op('i32.mul').set(at);
  if (width > UNROLLED_BYTES) {
    f.get(at).i32(to.base).op('i32.add').get(from).i32(width).bulk('memory.copy');
    return;
  }
  for (let offset = 0; offset < width; offset += 16) {
    f.get(at)
      .get(from)
      .memory('v128.load', offset)
      .memory('v128.store', to.base + offset);
  }
}

function copyNumber(
  f: FunctionBuilder,
  from: Index,
  to: { readonly index: Index; readonly base: number },
  bytes: 4 | 8,
): void {
  const type = bytes === 4 ? 'f32' : 'f64';
  f.get(to.index).i32(bytes).op('i32.mul').get(from).memory(`${type}.load`).memory(`${type}.store`, to.base);
}
