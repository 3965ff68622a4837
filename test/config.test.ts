import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ConfigError, defaultLimits, limitNames, limits, limitVariable, readConfig, settings } from '../src/config.ts';

function faultsOf(env: Record<string, string>): readonly string[] {
  try {
    readConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) return error.faults;
    throw error;
  }
  return [];
}

describe('the configuration', () => {
  it('has defaults for everything', () => {
    expect(readConfig({})).toEqual({
      host: '127.0.0.1',
      port: 3000,
      dataDir: './data',
      databaseUrl: undefined,
      maxWorkers: Math.max(1, availableParallelism() - 1),
      maxThreadsPerJob: 64,
      logLevel: 'info',
      apiKeys: [],
      webhooks: { allowPrivate: false, secret: undefined },
      limits: defaultLimits,
    });
  });

  it('an empty variable counts as unset', () => {
    const names = [...Object.keys(settings), ...limitNames.map(limitVariable)];
    expect(readConfig(Object.fromEntries(names.map((name) => [name, ' '])))).toEqual(readConfig({}));
  });

  it('takes every setting from the environment', () => {
    const env = {
      HOST: '::1',
      PORT: '0',
      DATA_DIR: '/data',
      DATABASE_URL: 'postgresql://db/trainyard',
      MAX_WORKERS: '7',
      MAX_THREADS_PER_JOB: '3',
      LOG_LEVEL: 'debug',
      API_KEYS: 'first-key-0123456789, second-key-0123456789',
      MAX_LAYERS: '5',
      WEBHOOK_SECRET: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
      ALLOW_PRIVATE_WEBHOOKS: 'true',
    };
    expect(readConfig(env)).toEqual({
      host: '::1',
      port: 0,
      dataDir: '/data',
      databaseUrl: 'postgresql://db/trainyard',
      maxWorkers: 7,
      maxThreadsPerJob: 3,
      logLevel: 'debug',
      apiKeys: ['first-key-0123456789', 'second-key-0123456789'],
      webhooks: { allowPrivate: true, secret: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw' },
      limits: { ...defaultLimits, max_layers: 5 },
    });
  });

  it('lists every fault at once, by the name of its variable', () => {
    const env = {
      PORT: '65536',
      MAX_WORKERS: '0',
      LOG_LEVEL: 'loud',
      API_KEYS: 'short',
      DATABASE_URL: 'mysql://x',
      MAX_UNITS: '1e3',
      ALLOW_UNAUTHENTICATED: 'maybe',
      WEBHOOK_SECRET: 'whsec_dG9vc2hvcnQ=',
    };
    const faults = faultsOf(env);
    expect(faults.map((fault) => fault.split(' ')[0]).sort()).toEqual(Object.keys(env).sort());
    expect(faults).toContain('PORT must be a whole number from 0 to 65535');
    expect(faults).toContain('LOG_LEVEL must be one of fatal, error, warn, info, debug, trace, silent');
  });

  it.each(['1.5', '-1', '0x10', 'NaN', 'Infinity', '٣'])('%s is not a whole number', (value) => {
    expect(faultsOf({ PORT: value })).toHaveLength(1);
  });

  it.each(['0.0.0.0', '::', '192.168.1.5', 'example.org', '127.evil.org'])(
    'HOST %s without API keys is refused',
    (host) => {
      expect(faultsOf({ HOST: host })).toEqual([expect.stringContaining('API_KEYS is not set')]);
      expect(readConfig({ HOST: host, API_KEYS: 'a-key-0123456789abc' }).host).toBe(host);
      expect(readConfig({ HOST: host, ALLOW_UNAUTHENTICATED: 'true' }).apiKeys).toEqual([]);
      expect(faultsOf({ HOST: host, ALLOW_UNAUTHENTICATED: 'false' })).toHaveLength(1);
    },
  );

  it.each(['127.0.0.1', '127.8.8.8', 'localhost', '::1'])('HOST %s needs no API keys', (host) => {
    expect(readConfig({ HOST: host }).host).toBe(host);
  });
});

describe('.env.example', () => {
  const lines = readFileSync(join(import.meta.dirname, '../.env.example'), 'utf8').split('\n');
  const assigned = lines.flatMap((line) => {
    const match = /^#?([A-Z_]+)=(.*)$/.exec(line);
    return match === null ? [] : [[match[1], match[2]]];
  });

  it('lists every setting and limit in order', () => {
    expect(assigned.map(([name]) => name)).toEqual([...Object.keys(settings), ...limitNames.map(limitVariable)]);
  });

  it('shows the defaults and the descriptions', () => {
    const env = Object.fromEntries(assigned.filter(([, value]) => value !== ''));
    expect(readConfig(env)).toEqual(readConfig({}));
    for (const { description } of [...Object.values(settings), ...Object.values(limits)])
      expect(lines).toContain(`# ${description}`);
  });
});
