import { mkdtempSync, rmSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { openBlobFiles } from '../../src/store/blob-files.ts';
import { type Files, nodeFiles } from '../../src/store/files.ts';

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
    const { sync, writeFile } = handle;
    return Object.assign(handle, { sync: note('sync', sync), writeFile: note('write', writeFile) }) as FileHandle;
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
