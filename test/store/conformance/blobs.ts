import { expect, it } from 'vitest';
import type { BlobStore } from '../../../src/store/blobs.ts';
import type { Fixture } from '../conformance.ts';
import { collect } from '../records.ts';

/** Bytes that differ from place to place: i·2654435761 mod 2³², the top byte. */
function pattern(length: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, (_, i) => Math.imul(i, 2654435761) >>> 24);
}

async function* inPieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

const sha = async (bytes: Uint8Array<ArrayBuffer>) =>
  Buffer.from(await crypto.subtle.digest('SHA-256', bytes)).toString('hex');

const keys = async (blobs: BlobStore, prefix = '') => (await collect(blobs.list(prefix))).map(({ key }) => key);

export function blobsConform(fixture: Fixture): void {
  it.each([0, 1, 2 ** 20 - 1, 2 ** 20, 2 ** 20 + 1, 2 ** 21 + 7])(
    'gives %i bytes back as they were',
    async (length) => {
      const { blobs } = fixture.store;
      const bytes = pattern(length);
      expect(await blobs.put('a/whole', bytes)).toBe(length);
      expect(await blobs.put('a/pieces', inPieces(bytes, 300_007))).toBe(length);
      for (const key of ['a/whole', 'a/pieces']) {
        expect(await sha((await blobs.get(key))!)).toBe(await sha(bytes));
        const streamed = Buffer.concat(await collect((await blobs.stream(key))!));
        expect(await sha(new Uint8Array(streamed))).toBe(await sha(bytes));
      }
    },
  );

  it('stores a view into a larger buffer as what the view shows', async () => {
    const bytes = pattern(64);
    await fixture.store.blobs.put('view', bytes.subarray(8, 24));
    expect(await fixture.store.blobs.get('view')).toEqual(bytes.slice(8, 24));
  });

  it('answers undefined or false for what is not there', async () => {
    const { blobs } = fixture.store;
    expect(await blobs.get('a/none')).toBeUndefined();
    expect(await blobs.stream('a/none')).toBeUndefined();
    expect(await blobs.delete('a/none')).toBe(false);
    await blobs.deleteAll('none/');
    expect(await keys(blobs)).toEqual([]);
    expect(await keys(blobs, 'none/')).toEqual([]);
  });

  it('replaces a blob whole', async () => {
    const { blobs } = fixture.store;
    await blobs.put('a', pattern(3_000_000));
    await blobs.put('a', new Uint8Array([1]));
    expect(await blobs.get('a')).toEqual(new Uint8Array([1]));
    expect(await blobs.delete('a')).toBe(true);
    expect(await blobs.get('a')).toBeUndefined();
  });

  it('shows nothing of a blob whose source fails, and keeps the one before', async () => {
    const { blobs } = fixture.store;
    async function* failing() {
      yield pattern(3_000_000);
      throw new Error('upload broke off');
    }
    await blobs.put('a/old', new Uint8Array([1]));
    await expect(blobs.put('a/new', failing())).rejects.toThrow('upload broke off');
    await expect(blobs.put('a/old', failing())).rejects.toThrow('upload broke off');
    expect(await keys(blobs)).toEqual(['a/old']);
    expect(await blobs.get('a/old')).toEqual(new Uint8Array([1]));
  });

  it('lists and deletes below a prefix, and nothing beside it', async () => {
    const { blobs } = fixture.store;
    for (const key of ['jobs/b/2', 'jobs/B/1', 'jobs/a/x/1', 'jobs/a-', 'jobs/a.b/1', 'jobs/a/2', 'jobs/a0']) {
      await blobs.put(key, new Uint8Array([1, 2]));
    }
    expect(await keys(blobs, 'jobs/a/')).toEqual(['jobs/a/2', 'jobs/a/x/1']);
    const [first] = await collect(blobs.list('jobs/a/'));
    expect(first).toMatchObject({ key: 'jobs/a/2', size: 2, written_at: expect.any(Number) });
    await blobs.deleteAll('jobs/a/');
    expect(await keys(blobs)).toEqual(['jobs/B/1', 'jobs/a-', 'jobs/a.b/1', 'jobs/a0', 'jobs/b/2']);
  });

  it('refuses keys that are not paths of plain names', async () => {
    const { blobs } = fixture.store;
    const escaping = [
      '',
      '/',
      '/etc/passwd',
      '../up',
      'a/../../up',
      'a/..',
      '.',
      'a/.hidden',
      'a\\..\\up',
      'a%2Fb',
      'a\0',
    ];
    for (const key of [...escaping, 'a//b', 'a/', 'ä', 'a b', 'n'.repeat(129), 'a/b/c/d/e/f/g/h/i']) {
      const refused = expect.objectContaining({
        name: 'RangeError',
        message: `not a blob key: ${JSON.stringify(key)}`,
      });
      const calls = [
        () => blobs.put(key, new Uint8Array()),
        () => blobs.get(key),
        () => blobs.stream(key),
        () => blobs.delete(key),
      ];
      for (const call of calls) await expect((async () => call())()).rejects.toEqual(refused);
    }
  });

  it('refuses to delete or list below a prefix that is not whole names', async () => {
    const { blobs } = fixture.store;
    await blobs.put('a/b', new Uint8Array());
    for (const prefix of ['a', '/', '../', 'a/../', 'a//']) {
      await expect((async () => blobs.deleteAll(prefix))()).rejects.toThrow(RangeError);
      await expect(keys(blobs, prefix)).rejects.toThrow(RangeError);
    }
    await expect((async () => blobs.deleteAll(''))()).rejects.toThrow(RangeError);
    expect(await keys(blobs)).toEqual(['a/b']);
  });
}
