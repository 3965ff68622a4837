import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { errors } from '../../src/errors.ts';
import { useApp } from '../support/app.ts';

const run = promisify(execFile);

interface Media {
  readonly schema?: Record<string, unknown>;
  readonly example?: unknown;
  readonly examples?: Readonly<Record<string, { readonly value: unknown }>>;
}
interface Operation {
  readonly operationId?: string;
  readonly summary?: string;
  readonly description?: string;
  readonly tags?: readonly string[];
  readonly parameters?: readonly { readonly name: string; readonly description?: string; readonly schema: unknown }[];
  readonly requestBody?: { readonly content: Readonly<Record<string, Media>> };
  readonly responses: Readonly<
    Record<string, { readonly description: string; readonly content?: Readonly<Record<string, Media>> }>
  >;
}
interface Document {
  readonly openapi: string;
  readonly info: Readonly<Record<string, unknown>>;
  readonly tags: readonly { readonly name: string; readonly description: string }[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, unknown>>; readonly securitySchemes: object };
}

const running = useApp();
let document: Document;
let operations: { readonly name: string; readonly operation: Operation }[];

beforeAll(async () => {
  document = (await running.request.get('/openapi.json')).body;
  operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ name: `${method.toUpperCase()} ${path}`, operation })),
  );
});

/** The names of the operations that break a rule. */
const offenders = (holds: (operation: Operation) => boolean): string[] =>
  operations.filter(({ operation }) => !holds(operation)).map(({ name }) => name);

const prefix = '#/components/schemas/';

/** By the text of the schema: making one takes as long as all else, and most answers share theirs. */
const validators = new Map<string, z.ZodType>();

function validator(schema: unknown): z.ZodType {
  const text = JSON.stringify(schema);
  const known = validators.get(text) ?? newValidator(schema);
  validators.set(text, known);
  return known;
}

/** The schema as a validator: references lead to the document's own components. */
function newValidator(schema: unknown): z.ZodType {
  const local = JSON.stringify({ ...(schema as object), $defs: document.components.schemas }).replaceAll(
    prefix,
    '#/$defs/',
  );
  return z.fromJSONSchema(JSON.parse(local));
}

const examplesOf = (media: Media): unknown[] => [
  ...Object.values(media.examples ?? {}).map(({ value }) => value),
  ...(media.example === undefined ? [] : [media.example]),
];

/** The examples of the schema itself, or of the component it refers to. */
function schemaExamples({ schema }: Media): unknown[] {
  const name = typeof schema?.$ref === 'string' ? schema.$ref.slice(prefix.length) : undefined;
  const target = (name === undefined ? schema : document.components.schemas[name]) as
    | { examples?: unknown[] }
    | undefined;
  return target?.examples ?? [];
}

function mediaOf(operation: Operation): { readonly place: string; readonly media: Media }[] {
  const bodies = Object.entries(operation.requestBody?.content ?? {}).map(([type, media]) => ({
    place: `request ${type}`,
    media,
  }));
  const answers = Object.entries(operation.responses).flatMap(([status, { content }]) =>
    Object.entries(content ?? {}).map(([type, media]) => ({ place: `${status} ${type}`, media })),
  );
  return [...bodies, ...answers];
}

describe('the OpenAPI document', () => {
  it('is 3.1, with licence, server, security schemes and every tag described', () => {
    expect(document.openapi).toMatch(/^3\.1\./);
    expect(document.info).toMatchObject({
      title: 'Trainyard',
      version: expect.stringMatching(/^\d+\.\d+\.\d+/),
      license: { identifier: 'MIT' },
    });
    expect(Object.keys(document.components.securitySchemes)).toEqual(['bearer', 'api_key']);
    for (const tag of document.tags) expect(tag.description).not.toBe('');
  });

  it('contains the operations', () => {
    expect(operations.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['POST /v1/networks', 'GET /v1/networks/{id}', 'GET /v1/catalog', 'GET /livez']),
    );
  });

  it('gives every operation an id of its own, a summary, a description and a known tag', () => {
    const ids = operations.map(({ operation }) => operation.operationId);
    expect(new Set(ids).size).toBe(ids.length);
    const tags = new Set(document.tags.map(({ name }) => name));
    expect(offenders(({ operationId }) => /^[a-z][A-Za-z]+$/.test(operationId ?? ''))).toEqual([]);
    expect(offenders(({ summary, description }) => Boolean(summary) && Boolean(description))).toEqual([]);
    expect(offenders((operation) => operation.tags?.length === 1 && tags.has(operation.tags[0]))).toEqual([]);
  });

  it('describes every parameter and every response', () => {
    expect(offenders(({ parameters = [] }) => parameters.every(({ description }) => Boolean(description)))).toEqual([]);
    expect(
      offenders(({ responses }) =>
        Object.values(responses).every(({ description }) => description !== '' && description !== 'Default Response'),
      ),
    ).toEqual([]);
  });

  it('documents the errors of every operation as problem+json, with an example of each code', () => {
    expect(offenders(({ responses }) => '400' in responses && '401' in responses && '500' in responses)).toEqual([]);
    expect(
      offenders(
        (operation) =>
          operation.requestBody === undefined || ['413', '415', '422'].every((status) => status in operation.responses),
      ),
    ).toEqual([]);
    expect(
      offenders(
        (operation) => !operation.parameters?.some(({ name }) => name === 'id') || '404' in operation.responses,
      ),
    ).toEqual([]);
    for (const { operation } of operations) {
      for (const [status, { content }] of Object.entries(operation.responses).filter(
        ([status]) => Number(status) >= 400,
      )) {
        expect(Object.keys(content ?? {})).toEqual(['application/problem+json']);
        for (const code of Object.keys(content?.['application/problem+json'].examples ?? {})) {
          expect(errors[code as keyof typeof errors].status).toBe(Number(status));
        }
      }
    }
  });

  it('has an example for every body and every answer', () => {
    const without = operations.flatMap(({ name, operation }) =>
      mediaOf(operation)
        .filter(({ media }) => examplesOf(media).length + schemaExamples(media).length === 0)
        .map(({ place }) => `${name}: ${place}`),
    );
    expect(without).toEqual([]);
  });

  it('has only examples that are valid by their schemas', () => {
    const invalid = operations.flatMap(({ name, operation }) =>
      mediaOf(operation).flatMap(({ place, media }) =>
        [...examplesOf(media), ...schemaExamples(media)]
          .map((example) => validator(media.schema).safeParse(example))
          .filter(({ success }) => !success)
          .map(({ error }) => `${name}: ${place}: ${error?.message}`),
      ),
    );
    expect(invalid).toEqual([]);
  });

  it('describes the webhooks that the service sends, each with the same message and its signature', async () => {
    const { webhooks } = document as unknown as { webhooks: Record<string, { post: Operation & { security: [] } }> };
    expect(Object.keys(webhooks)).toEqual(expect.arrayContaining(['job.state', 'job.threshold_reached']));
    for (const { post } of Object.values(webhooks)) {
      expect(post.requestBody?.content['application/json']?.schema).toEqual({ $ref: `${prefix}WebhookMessage` });
      expect(post.parameters?.map(({ name }) => name)).toEqual([
        'webhook-id',
        'webhook-timestamp',
        'webhook-signature',
      ]);
    }
  });

  it('contains no component twice and none that nothing refers to', () => {
    const text = JSON.stringify(document);
    const unused = Object.keys(document.components.schemas).filter((name) => !text.includes(`"${prefix}${name}"`));
    expect(unused).toEqual([]);
    const texts = Object.values(document.components.schemas).map((schema) => JSON.stringify(schema));
    expect(new Set(texts).size).toBe(texts.length);
    expect(text).not.toContain('x-docs');
    const missing = [...text.matchAll(/"#\/components\/schemas\/([^"]+)"/g)]
      .map((match) => match[1])
      .filter((name) => !Object.hasOwn(document.components.schemas, name));
    expect(missing).toEqual([]);
  });
});

describe('two paths that can stand for the same URL', () => {
  const matches = (path: string, other: string): boolean => {
    const [parts, others] = [path.split('/'), other.split('/')];
    return (
      parts.length === others.length &&
      parts.every((part, i) => part === others[i] || part.startsWith('{') || others[i]!.startsWith('{'))
    );
  };

  it('have no method in common, unless one of them has no parameter', () => {
    const paths = Object.keys(document.paths).filter((path) => path.includes('{'));
    const ambiguous = paths.flatMap((path, i) =>
      paths
        .slice(i + 1)
        .filter((other) => matches(path, other))
        .filter((other) => Object.keys(document.paths[path]!).some((method) => method in document.paths[other]!)),
    );
    expect(ambiguous).toEqual([]);
  });
});

describe('the linter', () => {
  it('finds no error and no warning by the recommended rules', async () => {
    const file = join(running.config.dataDir, 'openapi.json');
    writeFileSync(file, JSON.stringify(document));
    const cli = join(import.meta.dirname, '../../node_modules/@redocly/cli/bin/cli.js');
    // Offline: no telemetry, no question whether there is a newer version.
    const env = { ...process.env, REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true' };
    // Ambiguous are only paths without a common method, which is tested above.
    const rules = ['--extends=recommended', '--skip-rule=no-ambiguous-paths'];
    const args = [cli, 'lint', file, ...rules, '--format=json'];
    const { stdout } = await run(process.execPath, args, { cwd: running.config.dataDir, env, maxBuffer: 2 ** 26 });
    const report = JSON.parse(stdout.slice(stdout.indexOf('{'))) as {
      totals: object;
      problems: { ruleId: string; message: string }[];
    };
    expect(report.problems.map(({ ruleId, message }) => `${ruleId}: ${message}`)).toEqual([]);
    expect(report.totals).toMatchObject({ errors: 0, warnings: 0 });
  });
});

describe('/docs', () => {
  it('is a page whose scripts and styles the service serves itself, within its content security policy', async () => {
    const page = await running.request.get('/docs');
    expect(page.status).toBe(200);
    expect(page.text).not.toMatch(/<script>|<style>|https?:\/\//);
    const assets = [...page.text.matchAll(/(?:src|href)="([^"]+)"/g)].map((match) => match[1]);
    expect(assets.length).toBeGreaterThan(4);
    for (const asset of assets) expect((await running.request.get(asset)).status).toBe(200);
  });

  it('shows the document of the service', async () => {
    expect((await running.request.get('/docs/json')).body).toEqual(document);
  });
});
