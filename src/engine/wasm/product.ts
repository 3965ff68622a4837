/**
 * The matrix product as a loop over register tiles. What becomes of a result is the caller's: an epilogue on values still
 * in registers.
 *
 * Every element of a product has one accumulator, which starts at 0 and takes its terms in ascending order, so the
 * shape of the tile does not change a bit of the result.
 */
import type { FunctionBuilder, Index } from './assembler.ts';
import type { Expression, Sink } from './expression.ts';
import type { Lanes } from './lanes.ts';

/** Rows and vectors per row of the block that is accumulated in registers. */
export interface Tile {
  readonly rows: number;
  readonly vectors: number;
}

/** Things counted from `first` up to but not including `end`; both locals. */
export interface Range {
  readonly first: Index;
  readonly end: Index;
}

/** A number known when the code is emitted, or a local that holds it. */
export type Count = number | { readonly local: Index };

/**
 * c(i, j) = Σ_k a(i, k)·b(k, j). A tile from row i on finds a at `a + i·aRow`, row r and term k of it at
 * `r·aNext + k·aTerm`; b is cut into panels of columns, `b + panel·bPanel`, in which row k lies at `k·bTerm` and its
 * columns side by side. All in bytes.
 */
export interface Product {
  readonly a: number;
  readonly aRow: number;
  /** Absent: `aRow`; another where a is packed in the order in which tiles read it. */
  readonly aNext?: number;
  /** From a term to the next in a tile of `rows` rows. */
  readonly aTerm: (rows: number) => number;
  readonly b: number;
  /** From a panel of the full width to the next. */
  readonly bPanel: number;
  /** From a term to the next in a panel of `vectors` vectors. */
  readonly bTerm: (vectors: number) => number;
  readonly terms: Count;
  readonly rows: Count;
  /** The row to begin with; absent: the first of all. */
  readonly firstRow?: Index;
  /** The panels to work on; absent: all of them. */
  readonly panels?: Range;
  /** The usual value of a count of rows in a local, for which the last tiles are cut; absent: computes whole tiles only. */
  readonly usualRows?: number;
  /** Rows of a that go through all panels before the next ones do, a multiple of the tile's; absent: all of them. */
  readonly blockRows?: number;
  /** A multiple of the lanes; of twice the lanes if the tile's vectors are even. */
  readonly columns: number;
  /** Emits what must happen before a panel of b is read for the first time. */
  readonly beforePanel?: (panel: PanelPlace) => void;
  /** What the product brings into the caches besides; null or absent: the next panel of b, where b does not stay in them. */
  readonly fetch?: FetchAhead | null;
}

/** A panel of b: locals with its address and with the byte offset of its first column in a row of c. */
export interface PanelPlace {
  readonly b: Index;
  readonly column: Index;
  readonly vectors: number;
}

/** Where a row of a finished tile stands. Locals hold byte offsets of the tile's first row and column. */
export interface TileRow {
  /** Row within the tile; tiles start at every `tile.rows`-th row. */
  readonly row: number;
  readonly vectors: number;
  /** Number of the tile's first row. */
  readonly firstRow: Index;
  /** Byte offset of the tile's first column in a row of c: column · bytes. */
  readonly column: Index;
  /** Index of the panel. */
  readonly panel: Index;
  readonly values: readonly Expression[];
}

/** Terms per turn of the innermost loop. */
export const UNROLL = 4;

/** Of b; as much and more does not stay in the L2 cache from one product to the next. */
const FETCHED_BYTES = 2 ** 18;
const CACHE_LINE = 64;

/** The widest tile that V8 keeps in its 15 vector registers: accumulators, the row of b, one broadcast and, unfused, one product. */
export function tileFor(vectors: number, fused: boolean): Tile {
  return { rows: Math.floor((15 - vectors - (fused ? 1 : 2)) / vectors), vectors };
}

/**
 * Rows of the tiles behind the whole ones, of which at least one row is left. A tile of few rows has too few accumulators
 * to hide the latency of a multiply-add (4 cycles, two begun in each), so the rows that are left and some tiles' before
 * them are shared out evenly: 128 rows are not 21·6 + 2 but 20·6 + 4 + 4. Descending; empty when nothing is left.
 */
export function lastTiles(rows: number, { rows: height }: Tile): number[] {
  const rest = rows % height;
  if (rest === 0) return [];
  const enough = Math.ceil((2 * height) / 3);
  const most = Math.ceil(rows / height);
  let tiles = 1;
  while (tiles < most && Math.floor(((tiles - 1) * height + rest) / tiles) < enough) tiles += 1;
  const shared = (tiles - 1) * height + rest;
  return Array.from({ length: tiles }, (_, i) => Math.ceil((shared - i) / tiles));
}

/** The rows of every tile, in order. */
export function tileHeights(rows: number, tile: Tile, blockRows = Infinity): number[] {
  const last = lastTiles(rowsOfLastBlock({ rows, blockRows }), tile);
  const whole = (rows - last.reduce((sum, height) => sum + height, 0)) / tile.rows;
  return [...Array.from({ length: whole }, () => tile.rows), ...last];
}

/** Emits the product; `epilogue` is called once per row of each tile that is emitted, and `begin` once before its rows. */
export function emitProduct(
  f: FunctionBuilder,
  o: Lanes,
  tile: Tile,
  product: Product,
  begin: (at: Omit<TileRow, 'row' | 'values'>) => void,
  epilogue: (at: TileRow) => void,
): void {
  const vectorsInAll = product.columns / o.shape.lanes;
  const [panels, last] = [Math.floor(vectorsInAll / tile.vectors), vectorsInAll % tile.vectors];
  const [panel, column, b] = [f.local('i32'), f.local('i32'), f.local('i32')];
  const block: Range = { first: f.local('i32'), end: f.local('i32') };
  const fetch = product.fetch ?? fetchNextPanel(f, o, tile, product);
  const rowsOfPanel = (vectors: number) =>
    emitRowTiles(f, o, tile, product, block, { panel, column, b, vectors }, fetch, begin, epilogue);
  const begun = () => {
    f.get(panel)
      .i32(tile.vectors * 16)
      .op('i32.mul')
      .set(column);
    f.get(panel).i32(product.bPanel).op('i32.mul').i32(product.b).op('i32.add').set(b);
  };
  const fullPanel = () => {
    rowsOfPanel(tile.vectors);
    f.increment(column, tile.vectors * 16).increment(b, product.bPanel);
  };
  const lastPanel = last > 0 ? () => rowsOfPanel(last) : null;
  emitBlocks(f, product, block, () =>
    emitPanels(f, { panel, full: panels, range: product.panels }, begun, fullPanel, lastPanel),
  );
}

/** Emits a loop over the blocks of rows. */
function emitBlocks(f: FunctionBuilder, { rows, firstRow, blockRows }: Product, block: Range, body: () => void): void {
  const pushRows = () => pushCount(f, rows);
  if (firstRow === undefined) f.i32(0).set(block.first);
  else f.get(firstRow).set(block.first);
  if (blockRows === undefined) {
    pushRows().set(block.end);
    body();
    return;
  }
  f.block(() =>
    f.loop(() => {
      f.get(block.first);
      pushRows().op('i32.ge_s').brIf(1);
      f.get(block.first).i32(blockRows).op('i32.add').tee(block.end);
      pushRows().op('i32.gt_s');
      f.if(() => pushRows().set(block.end));
      body();
      f.get(block.end).set(block.first).br(0);
    }),
  );
}

export const pushCount = (f: FunctionBuilder, count: Count): FunctionBuilder =>
  typeof count === 'number' ? f.i32(count) : f.get(count.local);

/**
 * How something is brought into the caches while a product is at work: the turns of the innermost loop each load one number
 * of it and drop it; those of `UNROLL` terms do.
 */
export interface FetchAhead {
  /** Locals: the next address, the step to the one after. */
  readonly at: Index;
  readonly step: Index;
  /** The number of the memory. */
  readonly memory: number;
  /** Emits what sets `at` before a panel's first tile or before every tile. */
  readonly beginPanel?: (at: PanelPlace) => void;
  readonly beginTile?: () => void;
}

/**
 * Where b does not stay in the caches, the first tile of every panel would wait for it, longer the busier the machine is.
 * So the next panel is fetched, evenly over all tiles of this one. One panel's bytes behind b must be there to be read.
 * Null where b stays in the caches.
 */
function fetchNextPanel(f: FunctionBuilder, o: Lanes, tile: Tile, product: Product): FetchAhead | null {
  const { terms, rows, firstRow, blockRows, bPanel } = product;
  if (typeof terms !== 'number' || terms < UNROLL) return null;
  if (terms * product.columns * o.shape.bytes < FETCHED_BYTES) return null;
  const [at, step] = [f.local('i32'), f.local('i32')];
  // step = bPanel / (tiles · turns), a cache line at most.
  f.i32(bPanel);
  if (blockRows !== undefined) f.i32(blockRows);
  else {
    pushCount(f, rows);
    if (firstRow !== undefined) f.get(firstRow).op('i32.sub');
  }
  f.i32(tile.rows)
    .op('i32.div_u')
    .i32(1)
    .op('i32.add')
    .i32(Math.floor(terms / UNROLL))
    .op('i32.mul')
    .op('i32.div_u');
  f.tee(step).i32(CACHE_LINE).op('i32.gt_u');
  f.if(() => f.i32(CACHE_LINE).set(step));
  const beginPanel = ({ b, vectors }: PanelPlace) =>
    f
      .get(b)
      .i32(terms * product.bTerm(vectors))
      .op('i32.add')
      .set(at);
  return { at, step, memory: 0, beginPanel };
}

/**
 * Emits a loop over panels, all or those of a range: `begun` once the first of them stands in the local `panel`, then
 * `fullPanel` in the loop, then `lastPanel` for the narrower one behind the `full` ones if there is one.
 */
export function emitPanels(
  f: FunctionBuilder,
  { panel, full, range }: { readonly panel: Index; readonly full: number; readonly range: Range | undefined },
  begun: () => void,
  fullPanel: () => void,
  lastPanel: (() => void) | null,
): void {
  if (range === undefined) {
    f.i32(0).set(panel);
    begun();
    f.whileBelow(panel, full, 1, fullPanel);
    lastPanel?.();
    return;
  }
  f.get(range.first).set(panel);
  begun();
  if (lastPanel === null) {
    f.whileBelow(panel, { local: range.end }, 1, fullPanel);
    return;
  }
  const end = f.local('i32');
  f.get(range.end).set(end);
  const reachesLast = () => f.get(range.end).i32(full).op('i32.gt_u');
  reachesLast();
  f.if(() => f.i32(full).set(end));
  f.whileBelow(panel, { local: end }, 1, fullPanel);
  // An empty range may stand behind the last panel or before it.
  reachesLast().get(panel).i32(full).op('i32.eq').op('i32.and');
  f.if(lastPanel);
}

interface PanelAt {
  readonly panel: Index;
  readonly column: Index;
  readonly b: Index;
  readonly vectors: number;
}

function emitRowTiles(
  f: FunctionBuilder,
  o: Lanes,
  tile: Tile,
  product: Product,
  block: Range,
  at: PanelAt,
  fetch: FetchAhead | null,
  begin: (at: Omit<TileRow, 'row' | 'values'>) => void,
  epilogue: (at: TileRow) => void,
): void {
  const [firstRow, a] = [f.local('i32'), f.local('i32')];
  const emitTile = (rows: number) => {
    const place = { firstRow, column: at.column, panel: at.panel, vectors: at.vectors };
    fetch?.beginTile?.();
    const accumulators = emitTerms(f, o, { rows, vectors: at.vectors }, product, a, at.b, fetch);
    begin(place);
    for (let row = 0; row < rows; row++) {
      epilogue({ ...place, row, values: accumulators[row].map((local) => o.local(local)) });
      o.forget();
    }
    o.clearLocals();
    f.increment(a, rows * product.aRow).increment(firstRow, rows);
  };
  if (product.beforePanel !== undefined) emitFirstTime(f, product, block, () => product.beforePanel?.(at));
  fetch?.beginPanel?.(at);
  f.get(block.first).tee(firstRow).i32(product.aRow).op('i32.mul').i32(product.a).op('i32.add').set(a);
  const last = lastTiles(rowsOfLastBlock(product), tile);
  const rowsLeft = last.map((_, i) => last.slice(i).reduce((sum, rows) => sum + rows, 0));
  f.block(() =>
    f.loop(() => {
      f.get(firstRow).get(block.end).op('i32.ge_s').brIf(1);
      for (const rows of new Set(last)) {
        const counts = rowsLeft.filter((_, i) => last[i] === rows);
        counts.forEach((count, i) => {
          f.get(block.end).get(firstRow).op('i32.sub').i32(count).op('i32.eq');
          if (i > 0) f.op('i32.or');
        });
        f.if(() => {
          emitTile(rows);
          f.br(1);
        });
      }
      emitTile(tile.rows);
      f.br(0);
    }),
  );
}

/** How many rows are multiplied last, as far as it is known; 0: any number of whole tiles. */
function rowsOfLastBlock({
  rows,
  usualRows = 0,
  blockRows = Infinity,
}: Pick<Product, 'rows' | 'usualRows' | 'blockRows'>): number {
  return (typeof rows === 'number' ? rows : usualRows) % blockRows;
}

/** In the first block of rows only. */
function emitFirstTime(f: FunctionBuilder, { firstRow, blockRows }: Product, { first }: Range, body: () => void): void {
  if (blockRows === undefined) {
    body();
    return;
  }
  pushCount(f, firstRow === undefined ? 0 : { local: firstRow })
    .get(first)
    .op('i32.eq');
  f.if(body);
}

/** The innermost loop: all terms of one tile. Returns the locals of the accumulators, [row][vector]. */
function emitTerms(
  f: FunctionBuilder,
  o: Lanes,
  tile: Tile,
  product: Product,
  a: Index,
  b: Index,
  fetch: FetchAhead | null,
): Index[][] {
  const accumulators = Array.from({ length: tile.rows }, () =>
    Array.from({ length: tile.vectors }, () => o.newLocal()),
  );
  for (const local of accumulators.flat()) f.v128(new Uint8Array(16)).set(local);
  const [pa, pb, left] = [f.local('i32'), f.local('i32'), f.local('i32')];
  const { terms } = product;
  const [aTerm, bTerm] = [product.aTerm(tile.rows), product.bTerm(tile.vectors)];
  f.get(a).set(pa).get(b).set(pb);
  const emitSome = (count: number) => {
    for (let term = 0; term < count; term++) {
      const offsets = { a: term * aTerm, aNext: product.aNext ?? product.aRow, b: term * bTerm };
      emitTerm(o, accumulators, pa, pb, offsets);
    }
  };
  const emitLoop = (unroll: number, enough: () => void) => {
    enough();
    f.if(() => {
      f.loop(() => {
        emitSome(unroll);
        if (fetch !== null && unroll === UNROLL) emitFetch(f, fetch);
        f.increment(pa, unroll * aTerm)
          .increment(pb, unroll * bTerm)
          .increment(left, -unroll);
        enough();
        f.brIf(0);
      });
    });
  };
  if (typeof terms === 'number') {
    f.i32(terms).set(left);
    if (terms >= UNROLL) emitLoop(UNROLL, () => f.get(left).i32(UNROLL).op('i32.ge_s'));
    emitSome(terms % UNROLL);
  } else {
    f.get(terms.local).set(left);
    emitLoop(UNROLL, () => f.get(left).i32(UNROLL).op('i32.ge_s'));
    emitLoop(1, () => f.get(left).i32(0).op('i32.ne'));
  }
  return accumulators;
}

function emitFetch(f: FunctionBuilder, { at, step, memory }: FetchAhead): void {
  f.get(at).memory('i32.load', 0, memory).op('drop');
  f.get(at).get(step).op('i32.add').set(at);
}

/** One term for every accumulator of the tile: acc(r, v) += a(r)·b(v). */
function emitTerm(
  o: Lanes,
  accumulators: readonly (readonly Index[])[],
  pa: Index,
  pb: Index,
  offsets: Readonly<Record<'a' | 'aNext' | 'b', number>>,
): void {
  const columns = accumulators[0].map((_, v) => o.load(pb, offsets.b + v * 16));
  const sinks: Sink[] = accumulators.flatMap((row, r) => {
    const factor = o.loadSplat(pa, offsets.a + r * offsets.aNext);
    return row.map((local, v) => ({ value: o.mulAdd(factor, columns[v], o.local(local)), local }));
  });
  o.run(sinks, true);
}
