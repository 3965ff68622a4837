/**
 * The product of a single row: several panels at a time, because a tile of one row has too few accumulators to keep a
 * processor busy that takes four cycles for a multiply-add. Every element has one accumulator, as in any other product.
 */
import type { FunctionBuilder, Index } from './assembler.ts';
import type { Lanes } from './lanes.ts';
import type { emitProduct, Product, Tile } from './product.ts';

/** Panels side by side: eight registers where the revectorizer makes one of two vectors, or where a panel has two. */
const PANELS = 4;
/** Terms per turn of the innermost loop. */
const UNROLL = 4;

/** As `emitProduct`, of the first row alone. */
export const emitRowProduct: typeof emitProduct = (f, o, tile, product, begin, epilogue) => {
  const { a, aRow, b, bPanel, columns, firstRow } = product;
  if (firstRow === undefined) throw new TypeError('which row is in a local');
  const vectors = columns / o.shape.lanes;
  const [panels, last] = [Math.floor(vectors / tile.vectors), vectors % tile.vectors];
  const [panel, column, pa, pb] = [f.local('i32'), f.local('i32'), f.local('i32'), f.local('i32')];
  const emitPanels = (shape: Tile) => {
    const accumulators = emitTerms(f, o, shape, product, pa, pb);
    for (const values of accumulators) {
      const place = { firstRow, column, panel, vectors: shape.vectors };
      begin(place);
      epilogue({ ...place, row: 0, values: values.map((local) => o.local(local)) });
      o.forget();
      f.increment(column, shape.vectors * 16);
    }
    o.clearLocals();
    f.increment(pb, shape.rows * bPanel);
  };
  f.get(firstRow).i32(aRow).op('i32.mul').i32(a).op('i32.add').set(pa).i32(b).set(pb);
  const rest = panels % PANELS;
  f.whileBelow(panel, panels - rest, PANELS, () => emitPanels({ rows: PANELS, vectors: tile.vectors }));
  if (rest > 0) emitPanels({ rows: rest, vectors: tile.vectors });
  if (last > 0) emitPanels({ rows: 1, vectors: last });
};

/** All terms of as many panels as the shape has rows. Returns the locals of the accumulators, [panel][vector]. */
function emitTerms(f: FunctionBuilder, o: Lanes, shape: Tile, product: Product, a: Index, b: Index): Index[][] {
  const { bPanel, terms } = product;
  if (typeof terms !== 'number') throw new TypeError('the number of terms is known');
  const [aTerm, bTerm] = [product.aTerm(1), product.bTerm(shape.vectors)];
  const accumulators = Array.from({ length: shape.rows }, () =>
    Array.from({ length: shape.vectors }, () => o.newLocal()),
  );
  for (const local of accumulators.flat()) f.v128(new Uint8Array(16)).set(local);
  const [term, pa, pb] = [f.local('i32'), f.local('i32'), f.local('i32')];
  const emitSome = (count: number) => {
    for (let k = 0; k < count; k++) {
      const factor = o.loadSplat(pa, k * aTerm);
      const sinks = accumulators.flatMap((panel, p) =>
        panel.map((local, v) => {
          const weight = o.load(pb, p * bPanel + k * bTerm + v * 16);
          return { value: o.mulAdd(factor, weight, o.local(local)), local };
        }),
      );
      o.run(sinks, true);
    }
  };
  f.get(a).set(pa).get(b).set(pb).i32(0).set(term);
  f.whileBelow(term, terms - (terms % UNROLL), UNROLL, () => {
    emitSome(UNROLL);
    f.increment(pa, UNROLL * aTerm).increment(pb, UNROLL * bTerm);
  });
  emitSome(terms % UNROLL);
  return accumulators;
}
