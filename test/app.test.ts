import http from 'node:http';
import { connect } from 'node:net';
import { describe, expect, it } from 'vitest';
import { errors, errorType } from '../src/errors.ts';
import { useApp } from './support/app.ts';

const running = useApp();

const postNetwork = (body: string) =>
  running.request.post('/v1/networks').set('content-type', 'application/json').send(body);

/** A network that is right in all but what the test makes wrong. */
const network = (changes: object = {}) => ({
  input_size: 2,
  layers: [{ units: 1, activation: 'linear' }],
  loss: 'mean_squared_error',
  ...changes,
});

/** Every problem document says the same about itself in its members, its status and its headers. */
function expectProblem(
  answer: { status: number; headers: Record<string, string>; body: Record<string, unknown> },
  code: keyof typeof errors,
) {
  expect(answer.body.code).toBe(code);
  expect(answer.status).toBe(errors[code].status);
  expect(answer.headers['content-type']).toMatch(/^application\/problem\+json\b/);
  expect(answer.body).toMatchObject({ type: errorType(code), title: errors[code].title, status: errors[code].status });
  expect(answer.body.request_id).toBe(answer.headers['x-request-id']);
  expect(answer.body.detail).toEqual(expect.any(String));
  expect(answer.body.instance).toEqual(expect.any(String));
  expect(JSON.stringify(answer.body)).not.toMatch(/\bat .*\.(ts|js):\d+|node_modules/);
}

async function stored(): Promise<unknown[]> {
  return (await running.request.get('/v1/networks?limit=100')).body.data;
}

describe('a body that is not what JSON allows', () => {
  it.each([
    ['a missing bracket', '{"input_size": 2', 'Line 1, column 17: expected "," or "}", but the text ends.'],
    ['a trailing comma', '{\n  "a": [1,\n2,]}', 'Line 3, column 3: expected a value, but there is "]".'],
    ['NaN', '{"a": NaN}', 'Line 1, column 7: expected a value, but there is "NaN". JSON has no NaN and no Infinity.'],
    [
      'Infinity',
      '[Infinity]',
      'Line 1, column 2: expected a value, but there is "Infinity". JSON has no NaN and no Infinity.',
    ],
    [
      '-Infinity',
      '[-Infinity]',
      'Line 1, column 2: expected a value, but there is "-Infinity". JSON has no NaN and no Infinity.',
    ],
    ['text behind the value', '{} {}', 'Line 1, column 4: expected the end of the text, but there is "{".'],
    ['single quotes', "{'a': 1}", 'Line 1, column 2: expected a key in double quotes, but there is "\'".'],
  ])('%s is a 400 that says where', async (_what, body, detail) => {
    const answer = await postNetwork(body);
    expectProblem(answer, 'malformed_json');
    expect(answer.body.detail).toBe(detail);
  });

  it('bytes that are not UTF-8 are a 400', async () => {
    const bytes = Buffer.concat([Buffer.from('{"name":"'), Buffer.from([0xff, 0xfe]), Buffer.from('"}')]);
    const answer = await running.request
      .post('/v1/networks')
      .set('content-type', 'application/json')
      .serialize((body) => body as never)
      .send(bytes);
    expectProblem(answer, 'malformed_json');
    expect(answer.body.detail).toBe('The body is not valid UTF-8.');
  });

  it('an empty body is a 400, with and without a media type', async () => {
    expectProblem(await postNetwork(''), 'empty_body');
    expectProblem(await running.request.post('/v1/networks'), 'empty_body');
  });

  it.each([
    '{"__proto__": {"units": 1}}',
    '{"layers": [{"\\u005f_proto__": 1}]}',
    '{"metadata": {"constructor": {"prototype": {}}}}',
  ])('a key that poisons prototypes is a 400: %s', async (body) =>
    expectProblem(await postNetwork(body), 'unsafe_json'),
  );

  it('a harmless constructor key is only metadata', async () => {
    const answer = await postNetwork(JSON.stringify(network({ metadata: { constructor: 'me' } })));
    expect(answer.status).toBe(201);
    await running.request.delete(answer.headers.location);
  });

  it.each([
    ['arrays', '['.repeat(100_000) + ']'.repeat(100_000)],
    ['objects', `${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`],
    ['metadata', `{"metadata":${'{"a":'.repeat(70)}1${'}'.repeat(71)}`],
  ])('bottomless nesting of %s is a 400 that names the limit', async (_what, body) => {
    const answer = await postNetwork(body);
    expectProblem(answer, 'json_too_deep');
    expect(answer.body.limit).toEqual({ name: 'max_json_depth', value: 64 });
  });

  it('unclosed bottomless nesting is a 400 too', async () => {
    expectProblem(await postNetwork('['.repeat(100_000)), 'malformed_json');
  });

  it('a byte order mark is skipped', async () => {
    const answer = await running.request
      .post('/v1/networks?validate_only=true')
      .set('content-type', 'application/json')
      .send(`\ufeff${JSON.stringify(network())}`);
    expect(answer.status).toBe(200);
  });

  it('of a key that occurs twice the last value counts', async () => {
    const answer = await running.request
      .post('/v1/networks?validate_only=true')
      .set('content-type', 'application/json')
      .send('{"input_size": 7, "input_size": 2, "layers": [{"units": 1}], "loss": "mean_squared_error"}');
    expect(answer.body.input_size).toBe(2);
  });

  it('a null body is a 422 that points to the whole body', async () => {
    const answer = await postNetwork('null');
    expectProblem(answer, 'validation_failed');
    expect(answer.body.errors).toMatchObject([{ pointer: '', code: 'wrong_type' }]);
  });

  it('leaves nothing behind', async () => {
    expect(await stored()).toEqual([]);
  });
});

describe('a request that the service cannot take', () => {
  it.each([
    'text/plain',
    'application/xml',
    'multipart/form-data; boundary=x',
    'application/x-www-form-urlencoded',
    'nonsense',
  ])('a body of type %s is a 415', async (type) => {
    const answer = await running.request.post('/v1/networks').set('content-type', type).send('hello');
    expectProblem(answer, 'unsupported_media_type');
  });

  it('JSON with a charset is accepted', async () => {
    const answer = await running.request
      .post('/v1/networks?validate_only=true')
      .set('content-type', 'application/json; charset=utf-8')
      .send(JSON.stringify(network()));
    expect(answer.status).toBe(200);
  });

  it('an unknown path is a 404, whatever its body', async () => {
    expectProblem(await running.request.get('/v1/nothing?x=1'), 'not_found');
    expectProblem(
      await running.request.post('/v1/nothing').set('content-type', 'application/json').send('{"broken'),
      'not_found',
    );
  });

  it('a wrong method is a 405 whose Allow lists the right ones', async () => {
    const answer = await running.request.put('/v1/networks').send(network());
    expectProblem(answer, 'method_not_allowed');
    expect(answer.headers.allow).toBe('GET, HEAD, OPTIONS, POST');
    const byId = await running.request.patch('/v1/networks/net_1').send({});
    expectProblem(byId, 'method_not_allowed');
    expect(byId.headers.allow).toBe('DELETE, GET, HEAD, OPTIONS');
  });

  it('OPTIONS answers Allow', async () => {
    const answer = await running.request.options('/v1/networks');
    expect(answer.status).toBe(204);
    expect(answer.headers.allow).toBe('GET, HEAD, OPTIONS, POST');
  });

  it('a path with a broken escape is a 400, one with an endless id a 414', async () => {
    expectProblem(await running.request.get('/v1/networks/%zz'), 'bad_request');
    expectProblem(await running.request.get(`/v1/networks/${'a'.repeat(300)}`), 'uri_too_long');
  });

  it('what is not HTTP at all gets a problem document and a closed connection', async () => {
    const text = await new Promise<string>((resolve, reject) => {
      const chunks: Buffer[] = [];
      const socket = connect(running.port, '127.0.0.1', () => socket.write('HELLO?\r\n\r\n'));
      socket
        .on('data', (chunk) => chunks.push(chunk))
        .on('end', () => resolve(Buffer.concat(chunks).toString()))
        .on('error', reject);
    });
    const [head, body] = text.split('\r\n\r\n');
    expect(head).toMatch(/^HTTP\/1\.1 400 Bad Request\r\nContent-Type: application\/problem\+json\r\n/);
    expect(JSON.parse(body)).toMatchObject({ code: 'bad_request', status: 400 });
  });

  it('leaves nothing behind', async () => {
    expect(await stored()).toEqual([]);
  });
});

describe('request ids', () => {
  it('a harmless one is echoed and stands in the log', async () => {
    const answer = await running.request.get('/version').set('x-request-id', 'order-66.a:b');
    expect(answer.headers['x-request-id']).toBe('order-66.a:b');
    expect(running.log.find((line) => line.request_id === 'order-66.a:b')).toMatchObject({
      method: 'GET',
      url: '/version',
      status: 200,
    });
  });

  it.each(['x'.repeat(129), 'two words', '"quoted"'])('another is replaced: %s', async (given) => {
    const answer = await running.request.get('/version').set('x-request-id', given);
    expect(answer.headers['x-request-id']).toMatch(/^[\da-f-]{36}$/);
  });
});

describe('a failure of the service itself', () => {
  it('is a 500 that tells the client nothing and the log everything', async () => {
    const { networks } = running.services;
    const original = networks.get;
    networks.get = async () => {
      throw new Error('the password is hunter2');
    };
    try {
      const answer = await running.request.get('/v1/networks/net_1');
      expectProblem(answer, 'internal_error');
      expect(answer.text).not.toContain('hunter2');
      const line = running.log.find(
        ({ request_id, level }) => request_id === answer.body.request_id && level === 'error',
      );
      expect(line?.err).toMatchObject({
        message: 'the password is hunter2',
        stack: expect.stringContaining('app.test.ts'),
      });
    } finally {
      networks.get = original;
    }
  });
});

describe('a body in a form that is not read', () => {
  it('of another media type is a 415 that names those of the operation', async () => {
    const post = await running.request.post('/v1/networks').set('content-type', 'text/plain').send('x');
    expectProblem(post, 'unsupported_media_type');
    expect([post.headers['accept-post'], post.body.detail]).toEqual([
      'application/json',
      'The Content-Type of the body is not one that this operation accepts: application/json.',
    ]);
    const patch = await running.request.patch('/v1/jobs/job_1').set('content-type', 'text/plain').send('x');
    expectProblem(patch, 'unsupported_media_type');
    expect(patch.headers['accept-patch']).toBe('application/json, application/merge-patch+json');
  });

  it('compressed is a 415 that says so, also for uploads', async () => {
    for (const [path, type] of Object.entries({ '/v1/networks': 'application/json', '/v1/datasets': 'text/csv' })) {
      const request = running.request.post(path).set('content-type', type).set('content-encoding', 'gzip');
      const answer = await request.send('{}');
      expectProblem(answer, 'unsupported_media_type');
      expect(answer.headers['accept-encoding']).toBe('identity');
    }
    const plain = running.request.post('/v1/networks').set('content-encoding', 'Identity');
    expect((await plain.send(network())).status).toBe(201);
  });

  it('that is expected to be handled otherwise is a 417', async () => {
    const url = `http://127.0.0.1:${running.port}/v1/networks`;
    const { promise, resolve, reject } = Promise.withResolvers<http.IncomingMessage>();
    http
      .request(url, { method: 'POST', headers: { expect: 'miracles' } }, resolve)
      .once('error', reject)
      .end();
    const answer = await promise;
    const [body] = await answer.map((chunk) => JSON.parse(String(chunk))).toArray();
    expect([answer.statusCode, body.code, body.instance]).toEqual([417, 'expectation_failed', '/v1/networks']);
    expect(answer.headers['content-type']).toBe('application/problem+json');
  });
});

describe('headers', () => {
  it('are those of helmet, without forcing HTTPS', async () => {
    const { headers } = await running.request.get('/');
    expect(headers['content-security-policy']).toContain("script-src 'self'");
    expect(headers['content-security-policy']).not.toContain('upgrade-insecure-requests');
    expect(headers['x-content-type-options']).toBe('nosniff');
    expect(headers['strict-transport-security']).toBeUndefined();
  });

  const fresh = useApp();

  it('are the same for every answer, from the first one on', async () => {
    const ofNext = async () => {
      const { date: _, 'x-request-id': __, ...headers } = (await fresh.request.get('/livez')).headers;
      return headers;
    };
    const first = await ofNext();
    expect(first['content-security-policy']).toContain("script-src 'self'");
    expect(first['cross-origin-opener-policy']).toBe('same-origin');
    expect([await ofNext(), await ofNext()]).toEqual([first, first]);
  });
});

describe('limits on the size of a body', () => {
  const small = useApp({ MAX_BODY_BYTES: '1000' });

  const large = JSON.stringify(network({ name: 'x'.repeat(1000) }));

  it('a larger body is a 413 that names the limit', async () => {
    const answer = await small.request.post('/v1/networks').set('content-type', 'application/json').send(large);
    expectProblem(answer, 'payload_too_large');
    expect(answer.body.limit).toEqual({ name: 'max_body_bytes', value: 1000 });
  });

  it('a larger body without a Content-Length is a 413 too', async () => {
    const body = new Blob([large]).stream();
    const headers = { 'content-type': 'application/json' };
    const url = `http://127.0.0.1:${small.port}/v1/networks`;
    const answer = await fetch(url, { method: 'POST', headers, body, duplex: 'half' } as RequestInit);
    expect(answer.status).toBe(413);
    expect(await answer.json()).toMatchObject({
      code: 'payload_too_large',
      limit: { name: 'max_body_bytes', value: 1000 },
    });
  });
});

describe('API keys', () => {
  const key = 'correct-horse-battery';
  const guarded = useApp({ API_KEYS: `other-key-of-someone, ${key}` });

  it('a request without one is a 401 that names the scheme', async () => {
    const answer = await guarded.request.get('/v1/networks');
    expectProblem(answer, 'unauthorized');
    expect(answer.headers['www-authenticate']).toBe('Bearer realm="trainyard"');
  });

  it.each(['', 'wrong', `${key}x`, key.slice(1), key.toUpperCase()])('a wrong one is a 401: "%s"', async (wrong) => {
    expectProblem(await guarded.request.get('/v1/networks').set('authorization', `Bearer ${wrong}`), 'unauthorized');
    expectProblem(await guarded.request.get('/v1/networks').set('x-api-key', wrong), 'unauthorized');
  });

  it('a right one opens everything, as a bearer token or in its own header', async () => {
    expect((await guarded.request.get('/v1/networks').set('authorization', `Bearer ${key}`)).status).toBe(200);
    expect((await guarded.request.get('/v1/networks').set('x-api-key', key)).status).toBe(200);
  });

  it('unknown paths tell nothing without a key', async () => {
    expectProblem(await guarded.request.get('/v1/nothing'), 'unauthorized');
  });

  it('probes need none', async () => {
    expect((await guarded.request.get('/livez')).status).toBe(200);
    expect((await guarded.request.get('/readyz')).status).toBe(200);
  });

  it('never stands in the log', () => {
    expect(guarded.log.length).toBeGreaterThan(5);
    expect(JSON.stringify(guarded.log)).not.toContain(key);
  });
});
