import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = resolve(import.meta.dirname, '..');

function sourceFiles(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(ts|js)$/.test(entry.name))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)));
}

const files = [...sourceFiles('src'), ...sourceFiles('routes')].filter((file) => !file.startsWith('src/web/'));

/** Every module that a file names in an import or export, resolved to a path from the root when it is one of ours. */
function imports(file: string): string[] {
  const text = readFileSync(join(root, file), 'utf8');
  const names = [...text.matchAll(/(?:^|\n)\s*(?:import|export)\b[^'"`;]*?from\s*'([^']+)'/g)].map(
    (match) => match[1]!,
  );
  names.push(...[...text.matchAll(/\bimport\(\s*'([^']+)'\s*\)/g)].map((match) => match[1]!));
  names.push(...[...text.matchAll(/(?:^|\n)\s*import\s*'([^']+)'/g)].map((match) => match[1]!));
  return names.map((name) => (name.startsWith('.') ? relative(root, resolve(root, dirname(file), name)) : name));
}

/**
 * Who may import whom: server → app → routes → services → {store, training, interop}; training → engine; the engine
 * stands alone. The first rule whose folder holds the file counts; a name that ends in `/` is a folder.
 */
const rules: readonly { readonly of: string; readonly may: readonly string[]; readonly packages: boolean }[] = [
  { of: 'src/engine/', may: ['src/engine/'], packages: false },
  { of: 'src/training/', may: ['src/engine/', 'src/training/'], packages: true },
  { of: 'src/interop/', may: ['src/engine/', 'src/interop/', 'src/training/'], packages: true },
  { of: 'src/datasets/', may: ['src/engine/', 'src/interop/', 'src/training/', 'src/datasets/'], packages: true },
  { of: 'src/store/', may: ['src/store/'], packages: true },
  { of: 'src/errors.ts', may: [], packages: true },
  { of: 'src/config.ts', may: ['src/errors.ts'], packages: true },
  {
    of: 'src/schemas/',
    may: ['src/engine/', 'src/training/', 'src/datasets/', 'src/schemas/', 'src/errors.ts', 'src/config.ts'],
    packages: true,
  },
  {
    of: 'src/services/',
    may: [
      'src/engine/',
      'src/training/',
      'src/interop/',
      'src/datasets/',
      'src/store/',
      'src/schemas/',
      'src/services/',
      'src/errors.ts',
      'src/config.ts',
    ],
    packages: true,
  },
  { of: 'src/http/', may: ['src/http/', 'src/schemas/', 'src/errors.ts', 'src/config.ts'], packages: true },
  {
    of: 'routes/',
    // The job states are a table: the actions' routes are made from it.
    may: [
      'routes/',
      'src/services/',
      'src/schemas/',
      'src/http/',
      'src/errors.ts',
      'src/config.ts',
      'src/training/states.ts',
    ],
    packages: true,
  },
];

const isIn = (file: string, place: string) => (place.endsWith('/') ? file.startsWith(place) : file === place);

describe('dependency directions', () => {
  it.each(rules.map((rule) => [rule.of, rule] as const))('%s imports only what stands below it', (_name, rule) => {
    const strays = files
      .filter((file) => isIn(file, rule.of))
      .flatMap((file) => imports(file).map((name) => ({ file, name })))
      .filter(({ name }) => {
        const ours = name.startsWith('src/') || name.startsWith('routes/');
        return ours ? !rule.may.some((place) => isIn(name, place)) : !rule.packages;
      });
    expect(strays).toEqual([]);
  });

  it('the rules see imports at all', () => {
    expect(imports('src/engine/backend.ts')).toContain('src/engine/definition.ts');
  });

  it('only the process imports the application', () => {
    const importers = files.filter((file) => imports(file).includes('src/app.ts'));
    expect(importers).toEqual(['src/server.ts']);
  });
});

describe('the start', () => {
  /** All that the process has loaded when it listens: files, and packages by their names. */
  function loadedBy(file: string, seen = new Set<string>()): Set<string> {
    if (seen.has(file)) return seen;
    seen.add(file);
    if (!files.includes(file)) return seen;
    const text = readFileSync(join(root, file), 'utf8');
    for (const [, name] of text.matchAll(/(?:^|\n)(?:import|export)\b(?! type\b)[^'"`;]*?from\s*'([^']+)'/g)) {
      loadedBy(name!.startsWith('.') ? relative(root, resolve(root, dirname(file), name!)) : name!, seen);
    }
    return seen;
  }

  it('loads nothing that only some processes need', () => {
    const loaded = loadedBy('src/server.ts');
    expect(loaded).toContain('fastify');
    expect(loaded).toContain('src/training/pool.ts');
    const packages = ['pg', 'pino-pretty', '@fastify/swagger', '@fastify/swagger-ui'];
    // What threads do: the compiler, the training loop.
    const later = [...packages, 'src/engine/wasm/backend.ts', 'src/training/run.ts'];
    expect(later.filter((name) => loaded.has(name))).toEqual([]);
  });
});

describe('forbidden words', () => {
  const forbidden: readonly {
    readonly pattern: RegExp;
    readonly except?: readonly string[];
    readonly within?: string;
  }[] = [
    { pattern: /\b(TODO|FIXME|XXX|HACK)\b/ },
    { pattern: /\bMath\.random\b/ },
    { pattern: /\bprocess\.env\b/, except: ['src/config.ts'] },
    // V8 changes these between versions, so no training may depend on them.
    {
      pattern: /\bMath\.(exp|expm1|log|log1p|log2|log10|pow|tanh|sinh|cosh|sin|cos|tan|cbrt|hypot)\b/,
      within: 'src/engine/',
    },
    // Powers of two are exact everywhere; any other power is as free as Math.pow.
    { pattern: /(?<!\b2 )\*\*/, within: 'src/engine/' },
    { pattern: /\b\w*(Manager|Helper|Utils?)\b/ },
    { pattern: /@ts-(ignore|nocheck|expect-error)/ },
    // As an ES module it evaluates every export, `fetch` and WebSocket among them: 20 ms and 3 MB at every start.
    { pattern: /^import (?!type\b).*'node:https?'/ },
  ];

  it.each(forbidden.map((rule) => [String(rule.pattern), rule] as const))('%s', (_name, rule) => {
    const hits = files
      .filter((file) => !rule.except?.includes(file) && file.startsWith(rule.within ?? ''))
      .flatMap((file) =>
        readFileSync(join(root, file), 'utf8')
          .split('\n')
          .map((line, index) => ({ place: `${file}:${index + 1}`, line: line.trim() })),
      )
      .filter(({ line }) => !/^(\/\/|\/?\*)/.test(line) && rule.pattern.test(line));
    expect(hits).toEqual([]);
  });
});

describe('file names', () => {
  it('are kebab-case', () => {
    expect(files.filter((file) => !/^[a-z0-9-]+(\.[a-z]+)+$/.test(file.split('/').at(-1)!))).toEqual([]);
  });
});
