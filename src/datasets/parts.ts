/** The matrix of a data set as it is stored: cut into parts of rows. */
import type { Hash } from 'node:crypto';
import type { Column } from './columns.ts';

export function fitsFloat32(columns: readonly Column[]): boolean {
  return columns.every(({ values, stride, offset }) => {
    const cells = values();
    if (cells instanceof Float32Array) return true;
    for (let at = offset; at < cells.length; at += stride) if (Math.fround(cells[at]) !== cells[at]) return false;
    return true;
  });
}

export function writeParts(
  columns: readonly Column[],
  rows: number,
  { type, part_rows }: { readonly type: 'float32' | 'float64'; readonly part_rows: number },
  hash: Hash,
  store: (part: Uint8Array<ArrayBuffer>) => void,
): number {
  let parts = 0;
  for (let first = 0; first < rows; first += part_rows, parts += 1) {
    const count = Math.min(part_rows, rows - first);
    const part =
      type === 'float32' ? new Float32Array(count * columns.length) : new Float64Array(count * columns.length);
    columns.forEach(({ values, stride, offset }, column) => {
      const cells = values();
      for (let row = 0; row < count; row += 1)
        part[row * columns.length + column] = cells[(first + row) * stride + offset];
    });
    const bytes = new Uint8Array(part.buffer);
    hash.update(bytes);
    store(bytes);
  }
  return parts;
}
