/** SHA-256 over values, so that the same content has the same name whatever the order of its keys. */
import { createHash } from 'node:crypto';

/**
 * Hash of a JSON-like value in canonical form: keys sorted, absent and undefined alike, typed arrays by their bytes.
 * Numbers are written as JSON writes them, which is exact for every float64.
 */
export function digestOf(value: unknown): string {
  return createHash('sha256')
    .update(JSON.stringify(canonical(value)))
    .digest('hex');
}

function canonical(value: unknown): unknown {
  if (ArrayBuffer.isView(value)) {
    const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    return { $type: value.constructor.name, sha256: createHash('sha256').update(bytes).digest('hex') };
  }
  if (Array.isArray(value)) return value.map(canonical);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).filter(([, entry]) => entry !== undefined);
  entries.sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, entry]) => [`.${key}`, canonical(entry)]));
}
