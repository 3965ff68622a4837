import { readdirSync } from 'node:fs';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { JobView } from '../../src/schemas/job-view.ts';
import { useApp } from '../support/app.ts';
import { job as inlineJob, train } from '../support/jobs.ts';
import { csv, options } from '../support/kinds.ts';

const running = useApp({ MAX_WORKERS: '1', MAX_UPLOAD_BYTES: '3000000' });

let trained: JobView;

beforeAll(async () => {
  const dataset = await running.request.post('/v1/datasets').set('content-type', 'text/csv').send(csv).expect(201);
  trained = await train(running, { ...options, dataset_id: dataset.body.id });
});

const send = (body: string | Buffer, path = trained.urls.predict, type = 'application/x-ndjson') =>
  running.request.post(path).set('content-type', type).buffer(true).parse(asText).send(body);
const asText = (response: unknown, done: (error: Error | null, text: string) => void) => {
  let text = '';
  (response as IncomingMessage)
    .setEncoding('utf8')
    .on('data', (piece) => {
      text += piece;
    })
    .on('end', () => done(null, text));
};
const linesOf = (text: string) =>
  text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line));

describe('lines of JSON', () => {
  it('are answered line by line with what a JSON request would give, by name, by place or by feature', async () => {
    const rows = [{ colour: 'blue', size: 1 }, [18, 'red'], [18, 0, 1], { size: 3, colour: 'red' }];
    const { body: text, headers } = await send(`\uFEFF${rows.map((row) => JSON.stringify(row)).join('\r\n\n')}`).expect(
      200,
    );
    expect(headers['content-type']).toBe('application/x-ndjson');
    expect(headers).toMatchObject({ 'x-model-step': '400', 'x-parameters-sha256': trained.parameters_sha256 });
    const { body } = await running.request.post(trained.urls.predict).send({ inputs: rows }).expect(200);
    expect(linesOf(text)).toEqual(rows.map((_, i) => ({ outputs: body.outputs[i], label: body.labels[i] })));
    expect(body.labels).toEqual(['small', 'large', 'large', 'small']);
  });

  it('come back many thousands at once, in order, whatever pieces they arrive in', async () => {
    const sizes = Array.from({ length: 30_000 }, (_, i) => (i * 7) % 20);
    const { body: text } = await send(sizes.map((size) => `{"size":${size},"colour":"red"}\n`).join('')).expect(200);
    const inputs = Array.from({ length: 20 }, (_, size) => [size, 'red']);
    const { body } = await running.request.post(trained.urls.predict).send({ inputs }).expect(200);
    const answers = linesOf(text);
    expect(answers).toHaveLength(sizes.length);
    expect(answers.every(({ outputs }, i) => outputs[1] === body.outputs[sizes[i]][1])).toBe(true);
  });

  it('of a job on inline data are lists, or objects with the columns x1, x2, …', async () => {
    const done = await train(running, { ...inlineJob, simulate_bug: 'wrong_sign' });
    const { body: text } = await send('[0,1]\n{"x2":1,"x1":0}\n', done.urls.predict, 'application/jsonl').expect(200);
    const [first, second] = linesOf(text);
    expect(first).toEqual({ outputs: [expect.any(Number)], label: expect.any(Number), simulate_bug: 'wrong_sign' });
    expect(second).toEqual(first);
  });

  it('are answered while the body is still arriving', async () => {
    const sent = httpRequest({
      port: running.port,
      method: 'POST',
      path: trained.urls.predict,
      headers: { 'content-type': 'application/x-ndjson' },
    });
    sent.write('[1,"red"]\n[2,"r');
    const response = await new Promise<IncomingMessage>((resolve) => sent.once('response', resolve));
    const pieces = response.setEncoding('utf8')[Symbol.asyncIterator]();
    expect(linesOf((await pieces.next()).value)).toHaveLength(1);
    sent.end('ed"]');
    expect(linesOf((await pieces.next()).value)).toHaveLength(1);
    expect((await pieces.next()).done).toBe(true);
  });

  it('with a wrong row at the beginning are refused with its number', async () => {
    const refused = async (body: string | Buffer) => {
      const { status, body: text } = await send(body);
      const { errors } = JSON.parse(text);
      return [status, errors[0].pointer, errors[0].code];
    };
    expect(await refused('[1,"red"]\n[2,"green"]\n')).toEqual([422, '/1/1', 'unknown_name']);
    expect(await refused('[1,"red"]\n\n{"size":2}\n')).toEqual([422, '/1/colour', 'required']);
    expect(await refused('{"size":1,"colour":"red"}\n{"size"\n')).toEqual([422, '/1', 'wrong_format']);
    expect(await refused('{"size"')).toEqual([422, '/0', 'wrong_format']);
    expect(await refused('[1]\n')).toEqual([422, '/0', 'ragged_rows']);
    expect(await refused('7\n')).toEqual([422, '/0', 'wrong_type']);
    expect(await refused(Buffer.from([0x22, 0xff, 0x22, 0x0a]))).toEqual([422, '', 'wrong_format']);
    expect(await refused('[1e309,"red"]')).toEqual([422, '/0/0', 'not_finite']);
  });

  it('with a last line that is not finished, or no JSON, are refused with its number when they are short', async () => {
    const good = '[1,"red"]\n'.repeat(100);
    for (const last of ['[2,"r', '{"size":', 'what']) {
      const { status, body: text } = await send(`${good}${last}`);
      const { errors } = JSON.parse(text);
      expect([status, errors[0].pointer, errors[0].code]).toEqual([422, '/100', 'wrong_format']);
    }
    expect(linesOf((await send(`${good}[2,"red"]`).expect(200)).body)).toHaveLength(101);
  });

  it('with a wrong row later end with a line that says so, after the answers to all rows before it', async () => {
    const good = '{"size":3,"colour":"red"}\n'.repeat(20_000);
    const { body: text } = await send(`${good}[1,"green"]\n${good}`).expect(200);
    const answers = linesOf(text);
    expect(answers).toHaveLength(20_001);
    expect(answers.at(-1)).toMatchObject({
      error: {
        status: 422,
        code: 'validation_failed',
        errors: [{ pointer: '/20000/1', code: 'unknown_name', detail: expect.stringContaining('Row 20000') }],
      },
    });
  });

  it('over the limit of an upload are refused, at the beginning or in the end', async () => {
    const { status, body: text } = await send('x'.repeat(4_000_000));
    expect([status, JSON.parse(text).limit]).toEqual([413, { name: 'max_upload_bytes', value: 3_000_000 }]);
    const { body } = await send('[1,"red"]\n'.repeat(400_000)).expect(200);
    expect(linesOf(body).at(-1)).toMatchObject({ error: { code: 'payload_too_large' } });
  });

  it('of none are no answer, and of a job that is not there a 404', async () => {
    expect((await send('').expect(200)).body).toBe('');
    expect((await send('\n\n').expect(200)).body).toBe('');
    const { status, body } = await send('[1]\n'.repeat(100_000), '/v1/jobs/job_0/predict');
    expect([status, JSON.parse(body).code]).toEqual([404, 'not_found']);
  });

  it('leave nothing behind when their sender has gone', async () => {
    const sent = httpRequest({
      port: running.port,
      method: 'POST',
      path: trained.urls.predict,
      headers: { 'content-type': 'application/x-ndjson' },
    });
    sent.on('error', () => undefined);
    sent.write('[1,"red"]\n');
    await new Promise((resolve) => sent.once('response', resolve));
    sent.destroy();
    expect(readdirSync(join(running.config.dataDir, 'uploads'))).toEqual([]);
    expect((await send('[1,"red"]').expect(200)).body).toContain('"label":"small"');
  });
});
