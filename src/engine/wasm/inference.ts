/**
 * Prediction and evaluation: rows that lie side by side are taken through the network a piece at a time, from the first
 * kernel to the last, so that the values of a piece stay in the caches. Each thread has buffers of its own for that, those
 * of the rows of a batch from `part·piece` on, so threads need not wait for each other before all rows are done.
 */
import type { FunctionBuilder, Index } from './assembler.ts';
import { emitAlong } from './elementwise.ts';
import type { Expression } from './expression.ts';
import { copyExactly, copyRow } from './gather.ts';
import type { KernelContext, KernelFunction } from './kernel.ts';
import { Lanes } from './lanes.ts';
import { CACHE_LINE, type Rows } from './layout.ts';
import { emitPhases } from './phases.ts';

/** The kernels of a pass in inference mode, all of rows, and the one that makes losses of what it leaves. */
export interface InferenceKernels {
  readonly forward: readonly (KernelFunction | null)[];
  /** The same for one row. */
  readonly single: readonly (KernelFunction | null)[];
  readonly output: KernelFunction;
}

/** Adds `infer` and `evaluate`, also as phases for several threads where `shared`. */
export function emitInference(
  context: KernelContext,
  { forward, single, output }: InferenceKernels,
  shared: boolean,
): void {
  const { plan, bytesPerNumber: bytes, inputs, given, targets, chunkInputs, chunkOutputs } = context.layout;
  const columns = plan.loss.entry.target_domain.kind === 'label' ? 1 : plan.output_size;
  const arrange = given === inputs ? [arrangeFunction(context, chunkInputs, plan.input_size * bytes, inputs)] : [];
  const passes = {
    infer: [arrange, forward, single, [collectFunction(context)]],
    evaluate: [
      [...arrange, arrangeFunction(context, chunkOutputs, columns * bytes, targets)],
      [...forward, output],
      [...single, output],
      [lossesFunction(context)],
    ],
  } as const;
  for (const [name, [before, some, one, after]] of Object.entries(passes)) {
    const index = piecesFunction(context, name, before, { some, one }, after);
    if (shared) emitPhases(context, name as keyof typeof passes, [{ index, split: 'own_rows' }]);
  }
}

/** From the first row to the one behind the last, in the buffers of thread number `part`. */
function piecesFunction(
  { module, layout }: KernelContext,
  name: string,
  before: readonly Index[],
  { some, one }: Readonly<Record<'some' | 'one', readonly (KernelFunction | null)[]>>,
  after: readonly Index[],
): Index {
  if (some.some((kernel) => kernel?.split === 'columns')) throw new TypeError('a thread has none but its own rows');
  return module.function(
    ['i32', 'i32', 'i32'],
    [],
    (f) => {
      const [row, end, part] = [0, 1, 2];
      const [buffer, behind] = [f.local('i32'), f.local('i32')];
      f.get(part).i32(layout.piece).op('i32.mul').set(buffer);
      f.get(part).i32(CACHE_LINE).op('i32.mul').v128(new Uint8Array(16)).memory('v128.store', layout.checks);
      f.whileBelow(row, { local: end }, layout.piece, () => {
        f.get(end).get(row).op('i32.sub').set(behind);
        f.get(behind).i32(layout.piece).op('i32.gt_s');
        f.if(() => f.i32(layout.piece).set(behind));
        f.get(behind).get(buffer).op('i32.add').set(behind);
        const move = (index: Index) => f.get(row).get(buffer).get(behind).get(part).call(index);
        before.forEach(move);
        const carryOut = (kernels: typeof some) => () => {
          for (const kernel of kernels) if (kernel !== null) f.get(buffer).get(behind).call(kernel.index);
        };
        f.get(behind).get(buffer).op('i32.sub').i32(1).op('i32.eq');
        f.if(carryOut(one), carryOut(some));
        after.forEach(move);
      });
    },
    name,
  );
}

/** What moves a piece: the row that comes first, the rows of its buffer, the thread; locals all of them. */
interface Move {
  readonly f: FunctionBuilder;
  readonly o: Lanes;
  readonly row: Index;
  readonly first: Index;
  readonly end: Index;
  readonly part: Index;
}

function moveFunction({ module, layout, mode }: KernelContext, emit: (move: Move) => void): Index {
  return module.function(['i32', 'i32', 'i32', 'i32'], [], (f) =>
    emit({ f, o: new Lanes(f, layout.plan.precision, mode), row: 0, first: 1, end: 2, part: 3 }),
  );
}

/** Rows of the buffer ← rows of `width` bytes that lie side by side. */
function arrangeFunction(context: KernelContext, base: number, width: number, to: Rows): Index {
  return moveFunction(context, ({ f, o, row, first, end }) => {
    const [from, at] = [f.local('i32'), f.local('i32')];
    f.get(row).i32(width).op('i32.mul').i32(base).op('i32.add').set(from);
    f.get(first).i32(to.stride).op('i32.mul').i32(to.base).op('i32.add').set(at);
    if (to.stride === width) {
      f.get(at).get(from).get(end).get(first).op('i32.sub').i32(width).op('i32.mul').bulk('memory.copy');
      return;
    }
    f.whileBelow(first, { local: end }, 1, () => {
      copyRow(f, o, { at: from }, at, width);
      f.increment(from, width).increment(at, to.stride);
    });
  });
}

/** Outputs side by side ← outputs in the buffer; Σ output·0 goes to the thread's check. */
function collectFunction(context: KernelContext): Index {
  const { plan, bytesPerNumber: bytes, layers, chunkOutputs, checks } = context.layout;
  const { outputs } = layers[layers.length - 1];
  const width = plan.output_size * bytes;
  return moveFunction(context, ({ f, o, row, first, end, part }) => {
    const [from, to, check] = [f.local('i32'), f.local('i32'), f.local('i32')];
    const sums = [f.local('v128'), f.local('v128')];
    f.get(row).i32(width).op('i32.mul').i32(chunkOutputs).op('i32.add').set(to);
    f.get(first).i32(outputs.stride).op('i32.mul').i32(outputs.base).op('i32.add').set(from);
    f.whileBelow(first, { local: end }, 1, () => {
      copyExactly(f, o, from, to, width);
      addZeros(f, o, from, width, sums);
      f.increment(from, outputs.stride).increment(to, width);
    });
    f.get(part).i32(CACHE_LINE).op('i32.mul').i32(checks).op('i32.add').set(check);
    const sum = o.add(o.local(sums[0]), o.local(sums[1]));
    o.run([{ value: o.add(o.load(check, 0), sum), base: check, offset: 0 }]);
  });
}

/** Adds number·0 for the numbers of a row, so NaN for one that is not finite; neighbouring vectors to one sum each. */
function addZeros(f: FunctionBuilder, o: Lanes, from: Index, width: number, sums: readonly Index[]): void {
  const at = f.local('i32');
  const added = (sum: Index, value: Expression) => ({
    value: o.mulAdd(value, o.constant(0), o.local(sum)),
    local: sum,
  });
  const rest = width % 16;
  f.get(from).set(at);
  if (width > rest) emitAlong(f, o, at, width - rest, (v) => [added(sums[v / 16], o.load(at, v))]);
  if (rest === 0) return;
  const own = o.words([0, 4, 8, 12].map((word) => (word < rest ? 0xffffffff : 0)));
  o.run([added(sums[0], o.operation('v128.and', [o.load(at, 0), own]))]);
}

/** Losses side by side ← losses of the rows in the buffer. */
function lossesFunction(context: KernelContext): Index {
  const { bytesPerNumber: bytes, rowLosses, chunkLosses } = context.layout;
  return moveFunction(context, ({ f, row, first, end }) => {
    f.get(row).i32(bytes).op('i32.mul').i32(chunkLosses).op('i32.add');
    f.get(first).i32(bytes).op('i32.mul').i32(rowLosses).op('i32.add');
    f.get(end).get(first).op('i32.sub').i32(bytes).op('i32.mul').bulk('memory.copy');
  });
}
