/** Which rows train, which validate and which test: drawn from the seed, or named by the client. */
import { permutation } from '../engine/prng.ts';

/** A share of all rows, drawn at random, or the rows themselves by their 0-based numbers. */
export type SplitPart = { readonly fraction: number } | { readonly rows: readonly number[] };

export interface SplitRequest {
  readonly validation?: SplitPart | undefined;
  readonly test?: SplitPart | undefined;
  /** Keeps the proportions of the classes in every part; needs `labels`. Default: true where there are labels. */
  readonly stratify?: boolean | undefined;
}

/** How many of `rows` rows a part takes: a fraction f is round(f·rows), at least one. */
export function partSize(part: SplitPart | undefined, rows: number): number {
  if (part === undefined) return 0;
  return 'rows' in part ? part.rows.length : Math.max(1, Math.round(part.fraction * rows));
}

/** Row numbers, ascending in each part; every row is in exactly one. */
export interface Split {
  readonly train: Uint32Array;
  readonly validation: Uint32Array;
  readonly test: Uint32Array;
}

/**
 * Splits `rows` rows; what neither validation nor test takes is trained on. The same rows, request, seed and labels give the same split.
 * @param labels one class number per row, for a stratified split
 * @throws {RangeError} when a row is named twice or is not there, or nothing is left to train on
 */
export function splitRows(rows: number, request: SplitRequest, seed: number, labels?: ArrayLike<number>): Split {
  const part = new Uint8Array(rows);
  const named = [request.validation, request.test].map((wanted) =>
    wanted !== undefined && 'rows' in wanted ? wanted.rows : [],
  );
  named.forEach((numbers, i) => {
    claim(part, numbers, i + 1);
  });
  const groups = groupsOf(permutation(rows, seed, 'split', 0), request.stratify === false ? undefined : labels);
  [request.validation, request.test].forEach((wanted, i) => {
    if (wanted === undefined || 'rows' in wanted) return;
    const free = groups.map((group) => group.filter((row) => part[row] === 0));
    draw(free, partSize(wanted, rows), part, i + 1);
  });
  const [train, validation, test] = [0, 1, 2].map((wanted) => rowsOf(part, wanted));
  if (train.length === 0) throw new RangeError('the split leaves no row to train on');
  return { train, validation, test };
}

function claim(part: Uint8Array, rows: readonly number[], mark: number): void {
  for (const row of rows) {
    if (!Number.isInteger(row) || row < 0 || row >= part.length) {
      throw new RangeError(`row ${row} is not one of the ${part.length} rows`);
    }
    if (part[row] !== 0) throw new RangeError(`row ${row} is named twice`);
    part[row] = mark;
  }
}

function rowsOf(part: Uint8Array, mark: number): Uint32Array {
  const found = new Uint32Array(part.reduce((count, value) => count + (value === mark ? 1 : 0), 0));
  let next = 0;
  part.forEach((value, row) => {
    if (value === mark) found[next++] = row;
  });
  return found;
}

/** The rows in their drawn order: one group, or one for each class, in ascending order of the class numbers. */
function groupsOf(order: Uint32Array, labels: ArrayLike<number> | undefined): readonly Uint32Array[] {
  if (labels === undefined) return [order];
  const byLabel = Map.groupBy(order, (row) => labels[row]);
  return [...byLabel.entries()].sort(([a], [b]) => a - b).map(([, group]) => Uint32Array.from(group));
}

/**
 * Marks `wanted` rows, each group giving its share by the method of largest remainders (the lower class wins a tie).
 * A class gives its last row only when nothing else is left: a class that is not trained on cannot be learned.
 */
function draw(groups: readonly Uint32Array[], wanted: number, part: Uint8Array, mark: number): void {
  const available = groups.reduce((sum, group) => sum + group.length, 0);
  if (wanted > available) throw new RangeError('the split leaves no row to train on');
  const shares = groups.map((group) => (wanted * group.length) / available);
  const takes = shares.map(Math.floor);
  const byRemainder = groups.map((_, g) => g).sort((a, b) => shares[b] - takes[b] - (shares[a] - takes[a]) || a - b);
  let missing = wanted - takes.reduce((sum, take) => sum + take, 0);
  const takeFromEach = (keep: number): number => {
    const before = missing;
    for (const g of byRemainder) {
      if (missing === 0 || takes[g] >= groups[g].length - keep) continue;
      takes[g] += 1;
      missing -= 1;
    }
    return before - missing;
  };
  while (takeFromEach(1) > 0);
  takeFromEach(0);
  groups.forEach((group, g) => {
    for (const row of group.subarray(0, takes[g])) part[row] = mark;
  });
}
