/** JSON Patch (RFC 6902), as far as remedies need it: members of objects and entries of arrays. */

export interface PatchOperation {
  /** `add` replaces a member that is there. */
  readonly op: 'add' | 'remove' | 'replace';
  /** RFC 6901. */
  readonly path: string;
  readonly value?: unknown;
}

const plainToken = (token: string): string => token.replaceAll('~1', '/').replaceAll('~0', '~');

/** The patched document; the given one stays as it is. Parents that are missing are made. */
export function applyPatch<Document extends object>(document: Document, patch: readonly PatchOperation[]): Document {
  return patch.reduce<object>((patched, operation) => {
    const tokens = operation.path.split('/').slice(1).map(plainToken);
    return changed(patched, tokens, operation) as object;
  }, document) as Document;
}

function changed(value: unknown, [token, ...rest]: readonly string[], operation: PatchOperation): unknown {
  if (token === undefined) return operation.value;
  if (Array.isArray(value)) {
    return value.map((entry, i) => (String(i) === token ? changed(entry, rest, operation) : entry));
  }
  const { [token]: member, ...others } = (value ?? {}) as Record<string, unknown>;
  if (rest.length === 0 && operation.op === 'remove') return others;
  return { ...others, [token]: changed(member, rest, operation) };
}
