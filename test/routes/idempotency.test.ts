import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { useApp } from '../support/app.ts';
import { network } from '../support/jobs.ts';

const running = useApp();

interface Creation {
  readonly path: string;
  readonly list: string;
  readonly type: string;
  readonly body: string;
  /** Says something else. */
  readonly other: string;
}

const json = 'application/json';
const creations: readonly Creation[] = [
  {
    path: '/v1/networks',
    list: '/v1/networks',
    type: json,
    body: JSON.stringify(network),
    other: JSON.stringify({ ...network, name: 'other' }),
  },
  {
    path: '/v1/datasets?name=mine',
    list: '/v1/datasets',
    type: 'text/csv',
    body: 'a,b\n1,2\n3,4\n',
    other: 'a,b\n1,2\n3,5\n',
  },
  {
    path: '/v1/datasets/generate',
    list: '/v1/datasets',
    type: json,
    body: JSON.stringify({ kind: 'xor', rows: 8, seed: 1 }),
    other: JSON.stringify({ kind: 'xor', rows: 8, seed: 2 }),
  },
];

describe.each(creations)('POST $path with an Idempotency-Key', ({ path, list, type, body, other }) => {
  const post = (key: string, text: string) =>
    running.request.post(path).set('Content-Type', type).set('Idempotency-Key', key).send(text);
  const count = async () => (await running.request.get(`${list}?limit=100`)).body.data.length;

  it('creates once however often it comes, also at the same time, and gives the same answer', async () => {
    const before = await count();
    const answers = await Promise.all(Array.from({ length: 4 }, () => post('key-1', body)));
    answers.push(await post('key-1', body));
    expect(answers.map(({ status }) => status)).toEqual(Array(5).fill(201));
    expect(new Set(answers.map(({ text, headers }) => `${headers.location} ${text}`)).size).toBe(1);
    expect(answers[0]?.headers.location).toBe(`${list}/${answers[0]?.body.id}`);
    expect(answers.map(({ headers }) => headers['idempotency-replayed'] ?? 'false').toSorted()).toEqual([
      'false',
      ...Array(4).fill('true'),
    ]);
    expect((await count()) - before).toBe(1);
  });

  it('refuses another body under the same key: 422', async () => {
    await post('key-2', body);
    const before = await count();
    expect((await post('key-2', other)).body).toMatchObject({ status: 422, code: 'idempotency_key_reused' });
    expect(await count()).toBe(before);
  });

  it('leaves nothing behind of what was not needed', async () => {
    await post('key-3', body);
    await post('key-3', body);
    const { body: page } = await running.request.get(`${list}?limit=100`);
    const ids = page.data.map(({ id }: { id: string }) => id);
    for (const id of ids) expect((await running.request.delete(`${list}/${id}`)).status).toBe(204);
    expect(await count()).toBe(0);
    const left = readdirSync(join(running.config.dataDir, 'blobs'), { recursive: true, withFileTypes: true });
    expect(left.filter((file) => file.isFile() && file.parentPath.includes('datasets'))).toEqual([]);
  });
});
