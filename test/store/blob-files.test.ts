import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { openBlobFiles } from '../../src/store/blob-files.ts';
import { type Files, nodeFiles } from '../../src/store/files.ts';
import { StoreError } from '../../src/store/store.ts';

let directory: string;
let done: string[];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'trainyard-blobs-'));
  done = [];
});

afterEach(() => rmSync(directory, { recursive: true }));

const nameOf = (path: unknown) => (String(path).includes('temporary/') ? 'the temporary file' : basename(String(path)));

/** Notes what reaches the disk, in order: names made, contents written, syncs. */
const noting: Files = {
  ...nodeFiles,
  async open(path, flags, mode) {
    const handle = await nodeFiles.open(path, flags, mode);
    const note =
      <Rest extends unknown[], Result>(what: string, method: (...rest: Rest) => Promise<Result>) =>
      async (...rest: Rest): Promise<Result> => {
        const result = await method.apply(handle, rest);
        done.push(`${what} ${nameOf(path)}`);
        return result;
      };
    const { datasync, sync, writeFile } = handle;
    return Object.assign(handle, {
      datasync: note('datasync', datasync),
      sync: note('sync', sync),
      writeFile: note('write', writeFile),
    }) as FileHandle;
  },
  async rename(from, to) {
    await nodeFiles.rename(from, to);
    done.push(`rename ${nameOf(from)} to ${nameOf(to)}`);
  },
};

it('a blob is written beside its place, synced, renamed, and its directory synced, before it counts as stored', async () => {
  const blobs = await openBlobFiles(directory, noting);
  await blobs.put('jobs/one/data', new Uint8Array(3));
  done = [];
  await blobs.put('jobs/one/other', new Uint8Array(3));
  expect(done).toEqual([
    'write the temporary file',
    'sync the temporary file',
    'rename the temporary file to other',
    'sync one',
  ]);
});

it('a new directory is synced in the one that holds it, up to the first that was there', async () => {
  const blobs = await openBlobFiles(directory, noting);
  done = [];
  await blobs.put('jobs/one/data', new Uint8Array(3));
  expect(done.slice(0, 2)).toEqual(['sync jobs', 'sync content']);
});

const mebibyte = 2 ** 20;

async function* mebibytes(count: number) {
  for (let i = 0; i < count; i++) yield new Uint8Array(mebibyte).fill(i);
}

it('what comes in pieces goes to the disk while it is written, and is synced to its end before it gets its name', async () => {
  const blobs = await openBlobFiles(directory, noting);
  await blobs.put('one/data', new Uint8Array(3));
  done = [];
  expect(await blobs.put('one/large', mebibytes(9))).toBe(9 * mebibyte);
  const written = done.lastIndexOf('write the temporary file');
  expect(done.slice(0, written).filter((what) => what === 'datasync the temporary file')).not.toEqual([]);
  expect(done.slice(written + 1).filter((what) => !what.startsWith('datasync'))).toEqual([
    'sync the temporary file',
    'rename the temporary file to large',
    'sync one',
  ]);
  const content = await blobs.get('one/large');
  expect(content?.every((value, i) => value === Math.floor(i / mebibyte))).toBe(true);
});

it.each([4, 9])('a fault of the disk under way, at mebibyte 4 of %d, is told, and nothing is left', async (count) => {
  const failing: Files = {
    ...nodeFiles,
    async open(path, flags, mode) {
      const handle = await nodeFiles.open(path, flags, mode);
      const datasync = () =>
        Promise.reject(Object.assign(new Error('EIO: i/o error'), { code: 'EIO', syscall: 'fdatasync' }));
      return Object.assign(handle, { datasync }) as FileHandle;
    },
  };
  const blobs = await openBlobFiles(directory, failing);
  await expect(blobs.put('one/large', mebibytes(count))).rejects.toThrow(StoreError);
  expect(await blobs.get('one/large')).toBeUndefined();
  expect(readdirSync(join(directory, 'temporary'))).toEqual([]);
});
