/** JSON of plain values with typed arrays in them; what is not finite becomes "NaN", "Infinity" or "-Infinity". */
export function wireText(value: unknown): string {
  return JSON.stringify(value, (_key, entry: unknown) => {
    if (typeof entry === 'number' && !Number.isFinite(entry)) return String(entry);
    return ArrayBuffer.isView(entry) ? Array.from(entry as Float64Array) : entry;
  });
}
