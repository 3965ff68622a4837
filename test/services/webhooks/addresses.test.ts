import { describe, expect, it } from 'vitest';
import { addressFor, isPlainlyPrivate, isPublic } from '../../../src/services/webhooks/addresses.ts';

const forbidden = [
  ...['0.0.0.0', '10.1.2.3', '100.64.0.1', '127.0.0.1', '127.255.255.254', '169.254.169.254', '172.16.0.1'],
  ...['172.31.255.255', '192.0.0.1', '192.0.2.1', '192.168.1.1', '198.18.0.1', '198.51.100.7', '203.0.113.9'],
  ...['224.0.0.1', '239.255.255.255', '240.0.0.1', '255.255.255.255'],
  ...['::', '::1', '::ffff:127.0.0.1', '::ffff:8.8.8.8', '64:ff9b::7f00:1', 'fc00::1', 'fd00:ec2::254', 'fe80::1'],
  ...['fec0::1', 'ff02::1', '2001::1', '2001:db8::1', '2002:7f00:1::1', '3fff::1', '100::1', 'not an address', ''],
];

const allowed = [
  ...['1.1.1.1', '8.8.8.8', '9.255.255.255', '11.0.0.0', '100.63.255.255', '100.128.0.0', '172.15.255.255'],
  ...['172.32.0.0', '192.167.255.255', '192.169.0.0', '223.255.255.255'],
  ...['2606:4700:4700::1111', '2a00:1450:4001:800::200e', '2001:4860:4860::8888', '2003::1'],
];

describe('an address', () => {
  it.each(forbidden)('%s is not public', (address) => {
    expect(isPublic(address)).toBe(false);
  });

  it.each(allowed)('%s is public', (address) => {
    expect(isPublic(address)).toBe(true);
  });
});

describe('a URL', () => {
  it.each([
    'http://localhost/',
    'http://LOCALHOST:8080/',
    'http://a.localhost/',
    'http://localhost./',
    'http://127.1/',
    'http://2130706433/',
    'http://0x7f.0.0.1/',
    'http://0177.0.0.1/',
    'http://169.254.169.254/latest/meta-data',
    'https://[::1]/',
    'https://[::ffff:169.254.169.254]/',
  ])('%s is private however it is written', (url) => {
    expect(isPlainlyPrivate(new URL(url))).toBe(true);
  });

  it.each(['https://example.com/', 'https://8.8.8.8/', 'https://[2606:4700:4700::1111]/', 'http://localhost.example/'])(
    '%s may be public',
    (url) => {
      expect(isPlainlyPrivate(new URL(url))).toBe(false);
    },
  );
});

describe('the address of a host', () => {
  const url = new URL('https://hooks.example:8443/x');
  const v4 = (address: string) => ({ address, family: 4 });

  it('is the first that its name has, if all are public', async () => {
    const asked: string[] = [];
    const resolve = async (host: string) => {
      asked.push(host);
      return [v4('8.8.8.8'), v4('1.1.1.1')];
    };
    expect(await addressFor(url, resolve, false)).toEqual(v4('8.8.8.8'));
    expect(asked).toEqual(['hooks.example']);
  });

  it('is refused when one of them is not public, unless that is allowed', async () => {
    const resolve = async () => [v4('8.8.8.8'), v4('127.0.0.1')];
    await expect(addressFor(url, resolve, false)).rejects.toThrow('not public');
    expect(await addressFor(url, resolve, true)).toEqual(v4('8.8.8.8'));
  });

  it('is missing when the name is unknown or has none', async () => {
    await expect(addressFor(url, async () => [], true)).rejects.toThrow('no address');
    await expect(addressFor(url, () => Promise.reject(new Error('ENOTFOUND')), true)).rejects.toThrow('no address');
  });
});
