/** The operations of RFC 6902 that warnings use: add, replace and remove of an object's member. */
import { expect } from 'vitest';
import type { Warning } from '../../src/schemas/network.ts';

export function patched<Document extends object>(document: Document, patch: Warning['patch']): Document {
  const copy = structuredClone(document);
  for (const { op, path, value } of patch) {
    const keys = path.slice(1).split('/');
    const last = keys.pop()!;
    const target = keys.reduce((node, key) => node[key] as Record<string, unknown>, copy as Record<string, unknown>);
    if (op !== 'add') expect(target).toHaveProperty(last);
    if (op === 'remove') delete target[last];
    else target[last] = value;
  }
  return copy;
}
