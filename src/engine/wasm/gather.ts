/** Copies rows, chosen ones of the data set, into the batch. */
import type { FunctionBuilder, Index } from './assembler.ts';
import type { DataPart } from './data-memory.ts';
import { addRowsKernel, type KernelContext, type KernelFunction } from './kernel.ts';
import type { Lanes } from './lanes.ts';
import { memoryOfPart, type Rows } from './layout.ts';
import { wordOffset } from './scalars.ts';

/** Rows of more bytes are left to `memory.copy`, whose call costs as much as a few dozen vector moves. */
const UNROLLED_BYTES = 512;
const PAIR_BYTES = 32;

/** Where something is copied from: an address in the memory of this number, by default that of the network. */
interface Source {
  readonly at: Index;
  readonly memory?: number;
}

/** Row i of the batch ← row order[i] of the data: inputs, targets or label, weight. */
export function gatherKernel(context: KernelContext): KernelFunction {
  const { layout } = context;
  const { plan, bytesPerNumber: bytes, inputs, targets } = layout;
  const labels = plan.loss.entry.target_domain.kind === 'label';
  return addRowsKernel(context, ({ f, o, first, count, zero }) => {
    const [i, row] = [f.local('i32'), f.local('i32')];
    f.get(first).set(i);
    f.whileBelow(i, { local: count }, 1, () => {
      f.get(i).i32(2).op('i32.shl').memory('i32.load', layout.order).set(row);
      const source = (name: DataPart, width: number): Source => {
        const from = f.local('i32');
        f.get(row)
          .i32(width)
          .op('i32.mul')
          .get(zero)
          .memory('i32.load', wordOffset(layout, name))
          .op('i32.add')
          .set(from);
        return { at: from, memory: memoryOfPart(layout, name) };
      };
      const place = ({ base, stride }: Rows) => {
        const at = f.local('i32');
        f.get(i).i32(stride).op('i32.mul').i32(base).op('i32.add').set(at);
        return at;
      };
      const width = plan.input_size * bytes;
      copyRow(f, o, source('inputs', width), place(inputs), width);
      if (labels) copyNumber(f, source('targets', bytes), { index: i, base: targets.base }, bytes);
      else {
        const targetWidth = plan.output_size * bytes;
        copyRow(f, o, source('targets', targetWidth), place(targets), targetWidth);
      }
      if (layout.weighted) copyNumber(f, source('weights', bytes), { index: i, base: layout.rowWeights }, bytes);
    });
  });
}

/**
 * Whole vectors: what is copied past the end of a row lands in its padding. Two by two, all loads of a pair before its
 * stores, so that the revectorizer joins them.
 */
export function copyRow(f: FunctionBuilder, o: Lanes, { at: from, memory }: Source, to: Index, width: number): void {
  if (width > UNROLLED_BYTES) {
    f.get(to).get(from).i32(width).bulk('memory.copy', memory);
    return;
  }
  for (let offset = 0; offset < width; offset += PAIR_BYTES) {
    const pair = offset + 16 < width ? [offset, offset + 16] : [offset];
    o.run(pair.map((at) => ({ value: o.load(from, at, memory), base: to, offset: at })));
  }
  o.clearLocals();
}

/** As `copyRow`, and no byte more: what lies behind the row may be another thread's. */
export function copyExactly(f: FunctionBuilder, o: Lanes, from: Index, to: Index, width: number): void {
  const whole = width - (width % 16);
  if (whole > 0) copyRow(f, o, { at: from }, to, whole);
  for (let offset = whole; offset < width; offset += 4) {
    f.get(to).get(from).memory('i32.load', offset).memory('i32.store', offset);
  }
}

function copyNumber(
  f: FunctionBuilder,
  { at: from, memory }: Source,
  to: { readonly index: Index; readonly base: number },
  bytes: 4 | 8,
): void {
  const type = bytes === 4 ? 'f32' : 'f64';
  f.get(to.index).i32(bytes).op('i32.mul').get(from).memory(`${type}.load`, 0, memory).memory(`${type}.store`, to.base);
}
