/** The rows of the next batch are brought into the caches while the last product of a step is at work. */
import { type ColumnsKernel, shareOfPanels, shareOfRows } from './kernel.ts';
import { memoryOfPart, type NetworkLayout, type Panels } from './layout.ts';
import { type FetchAhead, UNROLL } from './product.ts';
import { wordOffset } from './scalars.ts';

/** A cache line in four turns of the innermost loop: where they come thicker than that, the product waits for them. */
const STEP = 16;

/** What a tile fetches of a row: from its first byte, `step` bytes on in each turn. */
export interface Piece {
  readonly step: number;
  readonly bytes: number;
}

/** How rows of so many bytes are cut; the last piece ends with the row, so that nothing behind it is read. Null: too short. */
export function pieceOf(rowBytes: number, batch: number): Piece | null {
  const turns = Math.floor(batch / UNROLL);
  const step = turns === 0 ? 0 : Math.min(STEP, Math.floor(rowBytes / turns / 4) * 4);
  return step === 0 ? null : { step, bytes: turns * step };
}

/**
 * What the gradient of the first layer's weights fetches, whose terms are the rows of the batch: in each of the last tiles
 * of the kernel's share a piece of a row, as many rows as the thread will gather. Rows that are copied from the L2 cache
 * and not from further away take half the time. Null where there is no next order, or nothing to fetch in pieces.
 */
export function fetchNextRows(kernel: ColumnsKernel, layout: NetworkLayout, weights: Panels): FetchAhead | null {
  const rowBytes = layout.plan.input_size * layout.bytesPerNumber;
  const piece = pieceOf(rowBytes, layout.batch);
  const { nextOrder } = layout;
  if (nextOrder === null || piece === null) return null;
  const { f, zero } = kernel;
  const [at, step] = [f.local('i32'), f.local('i32')];
  const { row, end, offset, wait } = placesOf(kernel, layout, weights, Math.ceil(rowBytes / piece.bytes));
  f.i32(piece.step).set(step);
  const address = () => {
    f.get(row)
      .i32(2)
      .op('i32.shl')
      .memory('i32.load', nextOrder)
      .i32(rowBytes)
      .op('i32.mul')
      .get(zero)
      .memory('i32.load', wordOffset(layout, 'inputs'))
      .op('i32.add')
      .get(offset)
      .op('i32.add')
      .set(at);
  };
  const advance = () => {
    f.increment(offset, piece.bytes);
    f.get(offset).i32(rowBytes).op('i32.ge_u');
    f.if(() => f.i32(0).set(offset).increment(row, 1));
    f.get(offset)
      .i32(rowBytes - piece.bytes)
      .op('i32.gt_u');
    f.if(() => f.i32(rowBytes - piece.bytes).set(offset));
  };
  const beginTile = () => {
    // Nothing to fetch: the first bytes of the memory are there in any case.
    f.i32(0).set(at).increment(wait, -1);
    f.get(wait).i32(0).op('i32.lt_s').get(row).get(end).op('i32.lt_u').op('i32.and');
    f.if(() => {
      address();
      advance();
    });
  };
  return { at, step, memory: memoryOfPart(layout, 'inputs'), beginTile };
}

/** Locals: the next row and the one behind the last, the offset within it, how many tiles come before the first that fetches. */
function placesOf(kernel: ColumnsKernel, { tile }: NetworkLayout, weights: Panels, piecesOfRow: number) {
  const { f } = kernel;
  const { first: row, end } = shareOfRows(kernel);
  const panels = shareOfPanels(kernel, weights);
  const [offset, wait] = [f.local('i32'), f.local('i32')];
  f.get(panels.end)
    .get(panels.first)
    .op('i32.sub')
    .i32(Math.ceil(weights.inner / tile.rows))
    .op('i32.mul');
  f.get(end).get(row).op('i32.sub').i32(piecesOfRow).op('i32.mul').op('i32.sub').set(wait);
  f.i32(0).set(offset);
  return { row, end, offset, wait };
}
