/** Lists of floats as JSON text. */
import type { FloatArray } from '../engine/backend.ts';

/** What is not finite is a string: `"NaN"`, `"Infinity"`, `"-Infinity"`. */
export function jsonNumbers(values: FloatArray): string {
  if (values.every(Number.isFinite)) return `[${values.join(',')}]`;
  return JSON.stringify(Array.from(values, (value) => (Number.isFinite(value) ? value : String(value))));
}
