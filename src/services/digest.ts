/** SHA-256 over values, so that the same content has the same name whatever the order of its keys. */
import { createHash } from 'node:crypto';
import { inTurns } from './turns.ts';

/** Digests of arrays that are known already. */
type Known = ReadonlyMap<ArrayBufferView, string>;

/** Bytes that are hashed in one turn: a few milliseconds. */
const pieceBytes = 2 ** 21;

/**
 * Hash of a JSON-like value in canonical form: keys sorted, absent and undefined alike, typed arrays by their bytes.
 * Numbers are written as JSON writes them, which is exact for every float64.
 */
export function digestOf(value: unknown, known: Known = new Map()): string {
  return createHash('sha256')
    .update(JSON.stringify(canonical(value, known)))
    .digest('hex');
}

/** The same as {@link digestOf}, of arrays that can be very long: the event loop turns between their pieces. */
export async function digestOfArrays(arrays: Readonly<Record<string, ArrayBufferView>>): Promise<string> {
  const known = new Map<ArrayBufferView, string>();
  for (const array of Object.values(arrays)) {
    const hash = createHash('sha256');
    await inTurns(array.byteLength, pieceBytes, (from, to) => {
      hash.update(Buffer.from(array.buffer, array.byteOffset + from, to - from));
    });
    known.set(array, hash.digest('hex'));
  }
  return digestOf(arrays, known);
}

function bytesDigest(array: ArrayBufferView): string {
  return createHash('sha256')
    .update(Buffer.from(array.buffer, array.byteOffset, array.byteLength))
    .digest('hex');
}

function canonical(value: unknown, known: Known): unknown {
  if (ArrayBuffer.isView(value)) {
    return { $type: value.constructor.name, sha256: known.get(value) ?? bytesDigest(value) };
  }
  if (Array.isArray(value)) return value.map((entry) => canonical(entry, known));
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).filter(([, entry]) => entry !== undefined);
  entries.sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, entry]) => [`.${key}`, canonical(entry, known)]));
}
