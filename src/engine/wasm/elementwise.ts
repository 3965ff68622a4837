/** The elementwise loop: with the matrix product the other loop of which the kernels of the tiles strategy are made. */
import type { FunctionBuilder, Index } from './assembler.ts';
import type { Sink } from './expression.ts';
import type { Lanes } from './lanes.ts';
import type { Count } from './product.ts';

/** Vectors per turn of an elementwise loop: two, so that the revectorizer finds pairs. */
const PAIR = 2;

/**
 * For every row and every vector of its columns: `body` gets a local with the byte offset row·stride + column·bytes and
 * the vector's offset to add to it, and returns what is to be stored.
 */
export function emitElementwise(
  f: FunctionBuilder,
  o: Lanes,
  shape: { readonly rows: Count; readonly firstRow?: Index; readonly columns: number; readonly stride: number },
  body: (element: Index, vectorOffset: number) => Sink[],
): void {
  const [row, start, element] = [f.local('i32'), f.local('i32'), f.local('i32')];
  if (shape.firstRow === undefined) f.i32(0).set(row).i32(0).set(start);
  else f.get(shape.firstRow).tee(row).i32(shape.stride).op('i32.mul').set(start);
  f.whileBelow(row, shape.rows, 1, () => {
    f.get(start).set(element);
    emitAlong(f, o, element, (shape.columns / o.shape.lanes) * 16, (v) => body(element, v));
    f.increment(start, shape.stride);
  });
}

/** For every vector of the next `bytes` bytes: the local `element` moves along, `body` gets the offset to add to it. */
export function emitAlong(
  f: FunctionBuilder,
  o: Lanes,
  element: Index,
  bytes: number,
  body: (vectorOffset: number) => Sink[],
): void {
  const column = f.local('i32');
  const whole = bytes - (bytes % (PAIR * 16));
  const emitVectors = (count: number) => {
    o.run(sideBySide(Array.from({ length: count }, (_, v) => body(v * 16))));
    o.clearLocals();
    f.increment(element, count * 16);
  };
  f.i32(0).set(column);
  f.whileBelow(column, whole, PAIR * 16, () => emitVectors(PAIR));
  if (bytes > whole) emitVectors(1);
}

/** The stores of neighbouring vectors next to each other: sink 0 of each, then sink 1 of each, … */
export function sideBySide(vectors: readonly (readonly Sink[])[]): Sink[] {
  return vectors[0].flatMap((_, i) => vectors.map((sinks) => sinks[i]));
}
