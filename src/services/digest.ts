/** SHA-256 over values, so that the same content has the same name whatever the order of its keys. */
import { createHash } from 'node:crypto';
import type { FloatArray } from '../engine/backend.ts';
import { free } from '../engine/free.ts';
import { inTurns } from './turns.ts';

interface ArrayDigest {
  readonly $type: string;
  readonly sha256: string;
}

/** Digests of arrays that are known already. */
type Known = ReadonlyMap<ArrayBufferView, ArrayDigest>;

/** Values that are hashed in one turn: a few milliseconds. */
const pieceValues = 2 ** 18;

/**
 * Hash of a JSON-like value in canonical form: keys sorted, absent and undefined alike, typed arrays by their bytes.
 * Numbers are written as JSON writes them, which is exact for every float64.
 */
export function digestOf(value: unknown, known: Known = new Map()): string {
  return createHash('sha256')
    .update(JSON.stringify(canonical(value, known)))
    .digest('hex');
}

/**
 * {@link digestOf} the same numbers in float64, whichever type holds them: their name does not depend on how they are kept.
 * The arrays can be very long; the event loop turns between their pieces.
 */
export async function digestOfArrays(arrays: Readonly<Record<string, FloatArray>>): Promise<string> {
  const known = new Map<ArrayBufferView, ArrayDigest>();
  let widened = new Float64Array(0);
  for (const array of Object.values(arrays)) {
    const hash = createHash('sha256');
    await inTurns(array.length, pieceValues, (from, to) => {
      const piece = array.subarray(from, to);
      if (piece instanceof Float64Array) {
        hash.update(bytesOf(piece));
        return;
      }
      if (widened.length < piece.length) widened = new Float64Array(piece.length);
      widened.set(piece);
      hash.update(bytesOf(widened.subarray(0, piece.length)));
    });
    known.set(array, { $type: Float64Array.name, sha256: hash.digest('hex') });
  }
  free(widened);
  return digestOf(arrays, known);
}

const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView) => Buffer.from(buffer, byteOffset, byteLength);

function canonical(value: unknown, known: Known): unknown {
  if (ArrayBuffer.isView(value)) {
    const sha256 = () => createHash('sha256').update(bytesOf(value)).digest('hex');
    return known.get(value) ?? { $type: value.constructor.name, sha256: sha256() };
  }
  if (Array.isArray(value)) return value.map((entry) => canonical(entry, known));
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).filter(([, entry]) => entry !== undefined);
  entries.sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, entry]) => [`.${key}`, canonical(entry, known)]));
}
