import { Writable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { createLogger } from '../../src/http/logging.ts';
import { useApp } from '../support/app.ts';

function capture() {
  const lines: string[] = [];
  const stream = new Writable({
    write(chunk, _encoding, done) {
      lines.push(String(chunk));
      done();
    },
  });
  return { lines, logger: createLogger({ logLevel: 'info' }, stream) };
}

describe('a line of the log', () => {
  it('is one JSON object with level name, time and message', () => {
    const { lines, logger } = capture();
    logger.info({ job_id: 'job_1' }, 'hello');
    logger.debug('not this one');
    expect(lines).toHaveLength(1);
    const line = JSON.parse(lines[0]);
    expect(line).toEqual({ level: 'info', time: expect.stringMatching(/^\d{4}-.*Z$/), job_id: 'job_1', msg: 'hello' });
  });

  it('never shows a secret', () => {
    const { lines, logger } = capture();
    const headers = { authorization: 'Bearer hush', 'x-api-key': 'hush', cookie: 'hush', host: 'here' };
    logger.info({ headers, req: { headers }, config: { apiKeys: ['hush'], databaseUrl: 'postgres://u:hush@db' } }, 'x');
    expect(lines[0]).not.toContain('hush');
    expect(lines[0]).toContain('[redacted]');
    expect(lines[0]).toContain('here');
  });
});

describe('the log of requests', () => {
  const running = useApp({ LOG_LEVEL: 'info' });

  it('has one line per answer, and none for a healthy probe', async () => {
    await running.request.get('/livez');
    const answer = await running.request.get('/v1/networks?limit=5');
    await running.request.get('/v1/nothing');
    const lines = running.log.filter(({ msg }) => msg === 'request answered');
    expect(lines.map(({ url, status }) => [url, status])).toEqual([
      ['/v1/networks?limit=5', 200],
      ['/v1/nothing', 404],
    ]);
    expect(lines[0]).toMatchObject({
      level: 'info',
      request_id: answer.headers['x-request-id'],
      method: 'GET',
      duration_ms: expect.any(Number),
    });
  });
});
