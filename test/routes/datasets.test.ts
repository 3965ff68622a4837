import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { Agent, request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import supertest from 'supertest';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildApp } from '../../src/app.ts';
import { readConfig } from '../../src/config.ts';
import { toyDatasets } from '../../src/datasets/generate.ts';
import { writeCsvRecord } from '../../src/interop/csv.ts';
import { writeNpy } from '../../src/interop/npy.ts';
import { datasetProfile, datasetRows, datasetView } from '../../src/schemas/dataset.ts';
import { openServices, type Services } from '../../src/services/services.ts';
import { storedNpz } from '../support/zip.ts';

const folder = mkdtempSync(join(tmpdir(), 'trainyard-datasets-'));
let services: Services;
let app: FastifyInstance;

beforeAll(async () => {
  const config = readConfig({
    DATA_DIR: folder,
    MAX_UPLOAD_BYTES: '2000000',
    MAX_DATASET_COLUMNS: '5000',
    MAX_DATASET_VALUES: '100000',
    MAX_CATEGORIES: '5',
    MAX_CLASSES: '6',
  });
  services = await openServices(config);
  app = await buildApp(config, services);
});

afterAll(async () => {
  await app.close();
  await services.close();
  rmSync(folder, { recursive: true });
});

const golden = (name: string) => readFileSync(new URL(`../golden/6-datasets/${name}.csv`, import.meta.url));
const upload = (body: string | Uint8Array, query = '', type = 'text/csv') =>
  supertest(app.server)
    .post(`/v1/datasets${query}`)
    .set('content-type', type)
    .send(typeof body === 'string' ? body : Buffer.from(body));
const list = async () => (await supertest(app.server).get('/v1/datasets?limit=100').expect(200)).body.data as unknown[];
const rowsOf = async (id: string, query = '') => {
  const { body } = await supertest(app.server).get(`/v1/datasets/${id}/rows${query}`).expect(200);
  expect(datasetRows.safeParse(body).error).toBeUndefined();
  return body;
};
const valuesOf = async (id: string, query = '') =>
  (await rowsOf(id, query)).data.map(({ values }: { values: unknown }) => values);

describe('uploading CSV', () => {
  it('keeps iris and says what is in it', async () => {
    const { body, headers } = await upload(golden('iris'), '?name=iris').expect(201);
    expect(datasetView.safeParse(body).error).toBeUndefined();
    expect(headers.location).toBe(`/v1/datasets/${body.id}`);
    expect(body).toMatchObject({
      name: 'iris',
      rows: 150,
      input_size: 4,
      task: 'classification',
      targets: ['target'],
      warnings: [],
    });
    expect(body.classes).toEqual([0, 1, 2].map((label) => ({ name: String(label), count: 50 })));
    const sepal = body.columns[0];
    expect(sepal).toMatchObject({
      name: 'sepal_length_cm',
      role: 'input',
      kind: 'number',
      min: 4.3,
      max: 7.9,
      missing: 0,
      distinct: 35,
    });
    // Mean and population sd of Fisher's data; 150 additions of one-decimal numbers: 150 roundings of at most 2^-43.
    expect(Math.abs(sepal.mean - 5.843333333333334)).toBeLessThanOrEqual(1e-13);
    expect(Math.abs(sepal.std - 0.8253012917851409)).toBeLessThanOrEqual(1e-13);
  });

  it('gives back the rows in pages, in the order of the file', async () => {
    const { body } = await upload('a,name,y\n1.5,u,0\n2,v,1\n-3e2,u,1\n').expect(201);
    const first = await supertest(app.server).get(`/v1/datasets/${body.id}/rows?limit=2`).expect(200);
    expect(first.body).toEqual({
      columns: ['a', 'name', 'y'],
      data: [
        { id: 0, values: [1.5, 'u', 0] },
        { id: 1, values: [2, 'v', 1] },
      ],
      has_more: true,
    });
    expect(first.headers.link).toContain('after=1');
    expect(await rowsOf(body.id, '?after=1')).toMatchObject({
      data: [{ id: 2, values: [-300, 'u', 1] }],
      has_more: false,
    });
    expect(await rowsOf(body.id, '?after=99')).toMatchObject({ data: [], has_more: false });
  });

  it.each([';', '\t', '|'] as const)('finds out the separator %j, and quoted fields keep theirs', async (separator) => {
    const rows = [
      ['x', 'kind', 'y'],
      ['1', `a${separator}"b"\r\nc`, '2.5'],
      ['2', 'd', '3.5'],
    ];
    const { body } = await upload(`\uFEFF${rows.map((row) => writeCsvRecord(row, separator)).join('')}`).expect(201);
    expect(await valuesOf(body.id)).toEqual([
      [1, `a${separator}"b"\r\nc`, 2.5],
      [2, 'd', 3.5],
    ]);
  });

  it('takes named targets, leaves columns out and takes numbers for names of things', async () => {
    const { body } = await upload(
      'id,y1,postcode,y2\n7,1,100,5\n8,2,200,6.5\n',
      '?target=y1,y2&ignore=id&categorical=postcode',
    ).expect(201);
    expect(body).toMatchObject({ targets: ['y1', 'y2'], input_size: 2, task: 'regression' });
    expect(body.columns.map(({ name, kind }: { name: string; kind: string }) => [name, kind])).toEqual([
      ['postcode', 'text'],
      ['y1', 'number'],
      ['y2', 'number'],
    ]);
    const profile = await supertest(app.server).get(`/v1/datasets/${body.id}/profile`).expect(200);
    expect(datasetProfile.safeParse(profile.body).error).toBeUndefined();
    expect(profile.body.features).toEqual(['postcode=100', 'postcode=200']);
  });

  it('gives the same hash to the same content in another format', async () => {
    const csv = await upload('x1,x2,y\n0,0,0\n0,1,1\n').expect(201);
    const json = await upload('{"inputs":[[0,0],[0,1]],"targets":[0,1]}', '', 'application/json').expect(201);
    const other = await upload('x1,x2,y\n0,0,0\n0,1,2\n').expect(201);
    expect(json.body.sha256).toBe(csv.body.sha256);
    expect(other.body.sha256).not.toBe(csv.body.sha256);
  });

  it('warns of constant columns and unbalanced classes', async () => {
    const { body } = await upload(`x,c,y\n${'1,5,a\n2,5,a\n'.repeat(6)}3,5,b\n`).expect(201);
    expect(body.warnings.map(({ code, column }: { code: string; column: string }) => [code, column])).toEqual([
      ['constant_column', 'c'],
      ['imbalanced_classes', 'y'],
    ]);
    expect(body.columns[1]).toMatchObject({ constant: true, std: 0, mean: 5 });
  });
});

describe('missing values', () => {
  const text = 'x,kind,y\n1,a,0\n,b,1\n4,,0\nNA,b,1\n100,b,1\n';

  it('are refused by row and column unless something is said', async () => {
    const { body } = await upload(text).expect(422);
    expect(body.errors.map(({ pointer, code }: { pointer: string; code: string }) => [pointer, code])).toEqual([
      ['#cell=3,1', 'required'],
      ['#cell=5,1', 'required'],
      ['#cell=4,2', 'required'],
    ]);
    expect(body.errors[0].detail).toContain('Row 2, column "x"');
  });

  it.each([
    ['mean', 35],
    ['median', 4],
  ])('are filled with the %s, texts with the most frequent one', async (policy, filler) => {
    const { body } = await upload(text, `?missing=${policy}`).expect(201);
    expect(await valuesOf(body.id)).toEqual([
      [1, 'a', 0],
      [filler, 'b', 1],
      [4, 'b', 0],
      [filler, 'b', 1],
      [100, 'b', 1],
    ]);
    expect(body.columns[0]).toMatchObject({ missing: 2, filled_with: filler, min: 1, max: 100, mean: 35 });
    expect(body.columns[1]).toMatchObject({ missing: 1, filled_with: 'b' });
  });

  it('take their rows away', async () => {
    const { body } = await upload(text, '?missing=drop').expect(201);
    expect(await valuesOf(body.id)).toEqual([
      [1, 'a', 0],
      [100, 'b', 1],
    ]);
    expect(body.warnings).toContainEqual({
      code: 'rows_dropped',
      column: null,
      detail: '3 rows with missing values were left out.',
    });
  });

  it('take the texts away that stand in no other row', async () => {
    const { body } = await upload('x,kind,y\n1,a,no\n,b,maybe\n4,a,yes\n', '?missing=drop').expect(201);
    expect(body.columns[1].categories).toEqual(['a']);
    expect(body.classes).toEqual([
      { name: 'no', count: 1 },
      { name: 'yes', count: 1 },
    ]);
    const none = await upload('x,y\n,1\n,2\n', '?missing=drop').expect(422);
    expect(none.body.errors[0].detail).toBe('All 2 rows have missing values.');
  });

  it('in a target are never made up', async () => {
    const { body } = await upload('x,y\n1,0\n2,\n', '?missing=mean').expect(422);
    expect(body.errors[0]).toMatchObject({ pointer: '#cell=3,2', code: 'required' });
  });
});

describe('an upload that cannot be used', () => {
  const manyColumns = `${Array.from({ length: 100_000 }, (_, i) => `c${i}`).join(',')}\n`;
  it.each([
    ['nothing', '', '', 'empty', ''],
    ['a header without rows', 'a,b\n', '', 'empty', ''],
    ['one column', 'a\n1\n2\n', '', 'required', 'No column is left for the inputs'],
    ['a ragged row', 'a,b\n1,2\n1\n1,2,3\n', '', 'ragged_rows', 'Row 2 has 1 field, but the header has 2.'],
    ['a header named twice', 'a,b,a\n1,2,3\n', '', 'invalid', '"a" twice'],
    ['no header', '1,2\n3,4\n', '', 'required', 'a header row'],
    ['text among numbers', 'a,b\n1,2\n3,4\nx,5\n', '', 'wrong_type', 'Row 3, column "a": "x" is not a number.'],
    ['a decimal comma', 'a;b\n1;2\n3;4\n1,5;5\n', '', 'wrong_type', 'Write decimals with a point'],
    ['a number beyond float64', 'a,b\n1,2\n3,1e309\n', '', 'not_finite', 'Row 2, column "b"'],
    ['Infinity', 'a,b\n1,2\n3,4\n5,Infinity\n', '', 'wrong_type', '"Infinity" is not a number'],
    ['binary data', '\x00\x01,\x02\n1,2\n', '', 'wrong_format', 'binary'],
    ['a quote that is never closed', 'a,b\n1,"2\n', '', 'wrong_format', 'never closed'],
    ['100,000 columns', manyColumns, '', 'wrong_format', 'more than 5000 columns'],
    [
      'too many texts',
      `a,b\n${[...'uvwxyz'].map((c) => `${c},1\n`).join('')}`,
      '',
      'limit_exceeded',
      'max_categories = 5',
    ],
    ['too many values', `a,b\n${'1,2\n'.repeat(60_000)}`, '', 'limit_exceeded', 'max_dataset_values = 100000'],
    [
      'too many classes',
      'a,b\n1,1\n1,2\n1,3\n1,4\n1,5\n1,6\n1,7\n',
      '?task=classification',
      'limit_exceeded',
      'more than 6 classes',
    ],
    ['a target that is not there', 'a,b\n1,2\n', '?target=c', 'unknown_name', 'the columns are a, b'],
    ['a column without any value', 'a,b\n,1\n,2\n', '?missing=mean', 'empty', '"a" has no value'],
  ])('is refused: %s', async (_name, body, query, code, detail) => {
    const before = await list();
    const answer = await upload(body, query);
    expect([answer.status, answer.body.errors[0].code]).toEqual([422, code]);
    expect(answer.body.errors[0].detail).toContain(detail);
    expect(await list()).toEqual(before);
    expect(readdirSync(join(folder, 'uploads'))).toEqual([]);
  });

  it('too wide once its texts are features, is refused and leaves no blob', async () => {
    const blobs = () =>
      readdirSync(join(folder, 'blobs'), { recursive: true }).filter((name) => String(name).includes('part-'));
    const before = blobs();
    const rows = Array.from({ length: 10_001 }, (_, i) => `${'uvwxy'[i % 5]},${'vwxyz'[i % 5]},1\n`).join('');
    const { body, status } = await upload(`a,b,y\n${rows}`);
    expect([status, body.errors[0].detail]).toEqual([422, expect.stringContaining('100010 values')]);
    expect(blobs()).toEqual(before);
    expect(before.length).toBeGreaterThan(0);
  });

  it('names several places at once, at most 20', async () => {
    const good = 'a,b\n1,2\n1,2\n';
    expect((await upload(`${good}x,2\n1,y\n`)).body.errors).toHaveLength(2);
    expect((await upload(`${good.repeat(1)}${'1,2\n'.repeat(50)}${'x,2\n'.repeat(30)}`)).body.errors).toHaveLength(20);
  });

  it('of an unknown media type is a 415, of an unknown parameter a 422', async () => {
    expect((await upload('a,b\n1,2\n', '', 'text/html')).status).toBe(415);
    const { body, status } = await upload('a,b\n1,2\n', '?targets=b');
    expect([status, body.errors[0].pointer, body.errors[0].did_you_mean]).toEqual([422, '?targets', 'target']);
  });

  it('larger than the limit is a 413 that names it', async () => {
    const { body, status } = await upload(`a,b\n${'1,2\n'.repeat(600_000)}`);
    expect([status, body.limit]).toEqual([413, { name: 'max_upload_bytes', value: 2_000_000 }]);
    expect(readdirSync(join(folder, 'uploads'))).toEqual([]);
  });

  it('larger than the limit leaves its connection usable', async () => {
    if (!app.server.listening) await app.listen({ port: 0, host: '127.0.0.1' });
    const { port } = app.server.address() as AddressInfo;
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const send = (method: string, path: string, body: string) =>
      new Promise<number | undefined>((resolve, reject) => {
        const sent = httpRequest({ port, method, path, agent, headers: { 'content-type': 'text/csv' } }, (answer) => {
          answer.resume().on('end', () => resolve(answer.statusCode));
        });
        sent.on('error', reject).end(body);
      });
    expect(await send('POST', '/v1/datasets', '1,2\n'.repeat(3_000_000))).toBe(413);
    expect(await send('GET', '/livez', '')).toBe(200);
    agent.destroy();
  });

  it('that is not UTF-8 is refused', async () => {
    const { body, status } = await upload(
      Buffer.concat([Buffer.from('a,b\n'), Buffer.from([0xff, 0xfe]), Buffer.from(',1\n')]),
    );
    expect([status, body.errors[0].detail]).toEqual([422, 'The text is not UTF-8.']);
  });

  it('that is aborted leaves nothing', async () => {
    const before = await list();
    if (!app.server.listening) await app.listen({ port: 0, host: '127.0.0.1' });
    const { port } = app.server.address() as AddressInfo;
    const body = httpRequest({ port, method: 'POST', path: '/v1/datasets', headers: { 'content-type': 'text/csv' } });
    body.on('error', () => undefined);
    const uploads = join(folder, 'uploads');
    body.write('a,b\n1,2\n');
    await expect.poll(() => readdirSync(uploads).length).toBe(1);
    body.destroy();
    await expect.poll(() => readdirSync(uploads).length).toBe(0);
    expect(await list()).toEqual(before);
  });
});

describe('other formats', () => {
  it('takes lines of JSON, by name or in order', async () => {
    const named = await upload(
      '{"a":1,"b":"u","y":2.5}\n{"y":3.5,"b":"v","a":true}\n',
      '',
      'application/x-ndjson',
    ).expect(201);
    expect(await valuesOf(named.body.id)).toEqual([
      [1, 'u', 2.5],
      [1, 'v', 3.5],
    ]);
    const ordered = await upload('[1,2]\n[3,4]\n', '?target=column_1', 'application/x-ndjson').expect(201);
    expect(ordered.body.targets).toEqual(['column_1']);
  });

  it.each([
    ['{"a":1,"z":1}\n{"b":1,"z":1}\n', '/1/b', 'unknown_field'],
    ['{"a":1,"b":2}\n3\n', '/1', 'wrong_type'],
    ['[1,2]\n[1]\n', '/1', 'ragged_rows'],
    ['[1,2]\n[3,4]\n[[5],6]\n', '/2/0', 'wrong_type'],
    ['{"a":1,"b":2}\nnonsense\n', '', 'wrong_format'],
    ['[1,2]\n[1e309,4]\n', '/1/0', 'not_finite'],
  ])('refuses bad lines with their place: %s', async (text, pointer, code) => {
    const { body, status } = await upload(text, '', 'application/x-ndjson');
    expect([status, body.errors[0].pointer, body.errors[0].code]).toEqual([422, pointer, code]);
  });

  it('takes JSON with labels by name', async () => {
    const { body } = await upload(
      '{"targets":["cat","dog","cat"],"inputs":[[1,2],[3,4],[5,6]]}',
      '',
      'application/json',
    ).expect(201);
    expect(body.classes).toEqual([
      { name: 'cat', count: 2 },
      { name: 'dog', count: 1 },
    ]);
  });

  it.each([
    ['{"inputs":[[1,2],[3]],"targets":[0,1]}', '/inputs/1', 'ragged_rows'],
    ['{"inputs":[[1,2],[3,4]],"targets":[0]}', '/targets', 'row_mismatch'],
    ['{"inputs":[[1,2]]}', '/targets', 'required'],
    ['{"inputs":[[1,2]],"targets":[0],"extra":[1]}', '/extra', 'unknown_field'],
    ['{"inputs":[[1,1e309]],"targets":[0]}', '/inputs/0/1', 'not_finite'],
    ['{"inputs":[[1,null]],"targets":[0]}', '/inputs/0/1', 'required'],
    ['{"inputs":[[1,NaN]],"targets":[0]}', '/inputs/0', 'wrong_format'],
    ['{"inputs":[1,2],"targets":[0,1]}', '/inputs/0', 'wrong_type'],
    ['[1]', '', 'wrong_format'],
  ])('refuses bad JSON with its place: %s', async (text, pointer, code) => {
    const { body, status } = await upload(text, '', 'application/json');
    expect([status, body.errors[0].pointer, body.errors[0].code]).toEqual([422, pointer, code]);
  });

  it.each([
    [
      'drop',
      [
        [1, 2, 0],
        [7, 8, 1],
      ],
    ],
    ['mean', null],
  ])('of JSON has missing values taken away with their rows, or filled: %s', async (policy, rows) => {
    const { body, status } = await upload(
      '{"inputs":[[1,2],[null,4],[5,6],[7,8]],"targets":[0,1,null,1]}',
      `?missing=${policy}`,
      'application/json',
    );
    if (rows === null) expect([status, body.errors[0].pointer]).toEqual([422, '/targets/2/0']);
    else expect(await valuesOf(body.id)).toEqual(rows);
  });

  it.each([
    ['mean', 3],
    ['median', 1],
  ])('fills what is null in JSON and NaN in arrays with the %s', async (policy, filler) => {
    const json = '{"inputs":[[1],[null],[1],[7]],"targets":[0.5,1,2,3]}';
    const npy = writeNpy(Float64Array.of(1, 0.5, Number.NaN, 1, 1, 2, 7, 3), [4, 2]);
    const wanted = [1, filler, 1, 7];
    for (const [body, type] of [
      [json, 'application/json'],
      [npy, 'application/x-npy'],
    ] as const) {
      const { body: dataset } = await upload(body, `?missing=${policy}`, type).expect(201);
      expect((await valuesOf(dataset.id)).map(([x]: number[]) => x)).toEqual(wanted);
    }
  });

  it('of arrays drops rows with NaN and names the columns that are left out or meant', async () => {
    const X = writeNpy(Float64Array.of(1, 2, 3, 4, Number.NaN, 6, 7, 8, 9), [3, 3]);
    const y = writeNpy(Float64Array.of(0, 1, 1), [3]);
    const whole = await upload(storedNpz({ X, y }), '?missing=drop', 'application/x-npz').expect(201);
    expect(await valuesOf(whole.body.id)).toEqual([
      [1, 2, 3, 0],
      [7, 8, 9, 1],
    ]);
    const without = await upload(storedNpz({ X, y }), '?ignore=x2&categorical=x1', 'application/x-npz').expect(201);
    expect(await valuesOf(without.body.id)).toEqual([
      ['1', 3, 0],
      ['4', 6, 1],
      ['7', 9, 1],
    ]);
    const named = await upload(storedNpz({ X }), '?target=x3&ignore=x2', 'application/x-npz').expect(201);
    expect(named.body).toMatchObject({ targets: ['x3'], input_size: 1, rows: 3 });
  });

  it('of JSON takes named columns of either field as targets', async () => {
    const text = '{"inputs":[[1,2],[3,4]],"targets":[[5,6],[7,8]]}';
    const one = await upload(text, '?target=y2', 'application/json').expect(201);
    expect(await valuesOf(one.body.id)).toEqual([
      [1, 2, 6],
      [3, 4, 8],
    ]);
    const both = await upload(text, '?target=x1,y1&task=regression', 'application/json').expect(201);
    expect(both.body).toMatchObject({ targets: ['x1', 'y1'], input_size: 1 });
    const alone = await upload('{"inputs":[[1,2],[3,4]]}', '?target=x2', 'application/json').expect(201);
    expect(alone.body.targets).toEqual(['x2']);
    const wrong = await upload(text, '?ignore=x9', 'application/json').expect(422);
    expect(wrong.body.errors[0]).toMatchObject({ pointer: '?ignore', code: 'unknown_name' });
    expect(wrong.body.errors[0].detail).toContain('x1, x2, y1, y2');
    const nothing = await upload(text, '?ignore=x1,x2', 'application/json').expect(422);
    expect(nothing.body.errors[0].detail).toContain('No column is left for the inputs');
  });

  it('numbers sparse labels by their order, whatever the format', async () => {
    const json = await upload(
      '{"inputs":[[1],[2],[3],[4]],"targets":[30,10,30,20]}',
      '?task=classification',
      'application/json',
    ).expect(201);
    const names = ['10', '20', '30'].map((name) => ({ name, count: name === '30' ? 2 : 1 }));
    expect(json.body.classes).toEqual(names);
    const npy = writeNpy(Float64Array.of(1, 30, 2, 10, 3, 30, 4, 20), [4, 2]);
    const array = await upload(npy, '?task=classification', 'application/x-npy').expect(201);
    expect(array.body.classes).toEqual(names);
  });

  it('takes a matrix of numpy, the last column as the target', async () => {
    const { body } = await upload(
      writeNpy(Float64Array.of(1, 2, 0.5, 3, 4, 1.5), [2, 3]),
      '',
      'application/x-npy',
    ).expect(201);
    expect(body).toMatchObject({ rows: 2, input_size: 2, targets: ['column_3'] });
    expect(await valuesOf(body.id)).toEqual([
      [1, 2, 0.5],
      [3, 4, 1.5],
    ]);
  });

  it('refuses a NaN in a matrix as a missing value', async () => {
    const { body, status } = await upload(
      writeNpy(Float64Array.of(1, Number.NaN, 3, 4), [2, 2]),
      '',
      'application/x-npy',
    );
    expect([status, body.errors[0].pointer, body.errors[0].code]).toEqual([422, '/0/1', 'required']);
  });
});

describe('toy data sets', () => {
  it.each(Object.keys(toyDatasets))('%s is the same for the same seed and another for another', async (kind) => {
    const draw = async (seed: number) =>
      (await supertest(app.server).post('/v1/datasets/generate').send({ kind, seed, rows: 40 }).expect(201)).body;
    const [first, again, other] = [await draw(1), await draw(1), await draw(2)];
    expect(first.rows).toBe(40);
    expect(again.sha256).toBe(first.sha256);
    if (kind !== 'xor') expect(other.sha256).not.toBe(first.sha256);
  });

  it('draws the same first rows however many are asked for', async () => {
    const draw = async (rows: number) =>
      valuesOf(
        (await supertest(app.server).post('/v1/datasets/generate').send({ kind: 'moons', rows }).expect(201)).body.id,
        '?limit=5',
      );
    expect(await draw(10)).toEqual(await draw(500));
  });

  it('xor is the four corners, seed_question 100 rows of its whole numbers', async () => {
    const xor = await supertest(app.server).post('/v1/datasets/generate').send({ kind: 'xor' }).expect(201);
    expect(await valuesOf(xor.body.id)).toEqual([
      [0, 0, 0],
      [0, 1, 1],
      [1, 0, 1],
      [1, 1, 0],
    ]);
    const seed = await supertest(app.server).post('/v1/datasets/generate').send({ kind: 'seed_question' }).expect(201);
    expect(seed.body).toMatchObject({ rows: 100, input_size: 3, targets: ['y1', 'y2'] });
    for (const [x1, x2, x3, y1, y2] of await valuesOf(seed.body.id, '?limit=100')) {
      for (const x of [x1, x2, x3]) expect(Number.isInteger(x) && x >= 0 && x <= 20).toBe(true);
      for (const y of [y1, y2]) expect([0, 1]).toContain(y);
    }
  });

  it('circles have the radii that are asked for', async () => {
    const { body } = await supertest(app.server)
      .post('/v1/datasets/generate')
      .send({ kind: 'circles', noise: 0, factor: 0.25, rows: 50 })
      .expect(201);
    for (const [x, y, label] of await valuesOf(body.id, '?limit=50')) {
      // Two products and a sum of cosines that are right to about an ulp each.
      expect(Math.abs(x * x + y * y - (label === 1 ? 0.0625 : 1))).toBeLessThanOrEqual(8 * 2 ** -53);
    }
  });

  it.each([
    [{ kind: 'moon' }, '/kind'],
    [{ kind: 'moons', noize: 1 }, '/noize'],
    [{ kind: 'moons', rows: 0 }, '/rows'],
    [{ kind: 'blobs', classes: 1.5 }, '/classes'],
  ])('refuses %j', async (input, pointer) => {
    const { body } = await supertest(app.server).post('/v1/datasets/generate').send(input).expect(422);
    expect(body.errors[0].pointer).toBe(pointer);
  });
});

describe('a data set', () => {
  it('is read, listed and deleted by its id', async () => {
    const { body } = await upload('a,y\n1,2\n3,4\n').expect(201);
    const path = `/v1/datasets/${body.id}`;
    expect((await supertest(app.server).get(path).expect(200)).body).toEqual(body);
    expect(await list()).toContainEqual(expect.objectContaining({ id: body.id, rows: 2 }));
    await supertest(app.server).delete(path).expect(204);
    for (const suffix of ['', '/rows', '/profile']) await supertest(app.server).get(`${path}${suffix}`).expect(404);
    await supertest(app.server).delete(path).expect(404);
  });

  it('is loaded in the form that a network needs', async () => {
    const { body } = await upload('x,colour,y\n1,red,no\n2,blue,yes\n3,red,no\n').expect(201);
    const load = async (loss: Parameters<Services['datasets']['load']>[1] extends infer T ? NonNullable<T> : never) =>
      services.datasets.load(body.id, loss);
    const labels = await load({ loss: 'sparse_categorical_cross_entropy', output_size: 2 });
    expect([...labels!.inputs.values]).toEqual([1, 0, 1, 2, 1, 0, 3, 0, 1]);
    expect([...labels!.targets.values]).toEqual([0, 1, 0]);
    expect(labels).toMatchObject({
      features: { classes: ['no', 'yes'], columns: [{ name: 'x' }, { name: 'colour', categories: ['blue', 'red'] }] },
      rows: 3,
      inputs: { columns: 3 },
      targets: { columns: 1, flat: true },
    });
    expect(labels!.inputs.values.buffer).toBeInstanceOf(SharedArrayBuffer);
    expect([...(await load({ loss: 'categorical_cross_entropy', output_size: 2 }))!.targets.values]).toEqual([
      1, 0, 0, 1, 1, 0,
    ]);
    expect([...(await load({ loss: 'binary_cross_entropy', output_size: 1 }))!.targets.values]).toEqual([0, 1, 0]);
    expect([...(await load({ loss: 'hinge', output_size: 1 }))!.targets.values]).toEqual([-1, 1, -1]);
    expect(await services.datasets.load('ds_none')).toBeUndefined();
  });

  it('of whole numbers that are no labels is numbered by its sorted classes', async () => {
    const { body } = await upload('x,y\n1,3\n2,9\n3,5\n4,3\n5,9\n6,5\n').expect(201);
    const loaded = await services.datasets.load(body.id, { loss: 'sparse_categorical_cross_entropy', output_size: 3 });
    expect([loaded!.features.classes, [...loaded!.targets.values]]).toEqual([
      ['3', '5', '9'],
      [0, 2, 1, 0, 2, 1],
    ]);
    const values = await services.datasets.load(body.id, { loss: 'mean_squared_error', output_size: 1 });
    expect([...values!.targets.values]).toEqual([3, 9, 5, 3, 9, 5]);
  });

  it('that needs float64 keeps every bit', async () => {
    const { body } = await upload('x,y\n0.1,1e300\n5e-324,-0.3\n').expect(201);
    expect(await valuesOf(body.id)).toEqual([
      [0.1, 1e300],
      [5e-324, -0.3],
    ]);
  });
});
