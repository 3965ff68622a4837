/**
 * Component schemas without duplicates. The type provider writes every named schema twice, as input (`XInput`) and as
 * output (`X`); what nothing refers to is left out here, and what is left of a pair gets the plain name if it can.
 */

interface Document {
  components: { schemas: Record<string, unknown> };
}

/** Where references to component schemas lead. */
export const componentPrefix = '#/components/schemas/';
const reference = /"#\/components\/schemas\/([^"]+)"/g;

export function pruneSchemas<D extends Document>(document: D): D {
  const kept = keepUsed(document);
  return rename(kept, plainNames(kept.components.schemas));
}

/** Input forms that can take the plain name: there is no output form, or both are the same once all these are renamed. */
function plainNames(schemas: Readonly<Record<string, unknown>>): ReadonlyMap<string, string> {
  const names = new Map<string, string>();
  for (const name of Object.keys(schemas)) {
    if (name.endsWith('Input')) names.set(name, name.slice(0, -'Input'.length));
  }
  // A form that stays apart keeps those that refer to it apart, too: repeat until nothing changes.
  for (let before = -1; before !== names.size; ) {
    before = names.size;
    for (const [input, plain] of names) {
      const same =
        !Object.hasOwn(schemas, plain) ||
        JSON.stringify(rename(schemas[input], names)) === JSON.stringify(schemas[plain]);
      if (!same) names.delete(input);
    }
  }
  return names;
}

/** All names that the paths reach, directly or through other schemas. */
function keepUsed<D extends Document>(document: D): D {
  const { schemas, ...components } = document.components;
  const used = new Set<string>();
  const pending: unknown[] = [{ ...document, components }];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    for (const [, name] of JSON.stringify(next).matchAll(reference)) {
      if (used.has(name) || !Object.hasOwn(schemas, name)) continue;
      used.add(name);
      pending.push(schemas[name]);
    }
  }
  const kept = Object.fromEntries(Object.entries(schemas).filter(([name]) => used.has(name)));
  return { ...document, components: { ...components, schemas: kept } };
}

function rename<D>(document: D, names: ReadonlyMap<string, string>): D {
  const text = JSON.stringify(document, (key, value) => {
    if (typeof value === 'string' && value.startsWith(componentPrefix)) {
      const name = value.slice(componentPrefix.length);
      return componentPrefix + (names.get(name) ?? name);
    }
    if (key !== 'schemas' || typeof value !== 'object') return value;
    const renamed = Object.entries(value).map(([name, schema]) => [names.get(name) ?? name, schema]);
    return Object.fromEntries(renamed.sort(([a], [b]) => (String(a) < String(b) ? -1 : 1)));
  });
  return JSON.parse(text) as D;
}
