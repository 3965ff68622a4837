import { describe, expect, it } from 'vitest';
import { checkOrder } from '../../scripts/fsync/order.ts';
import { straceProblem, traceServer } from '../../scripts/fsync/run.ts';
import { parseTrace } from '../../scripts/fsync/trace.ts';

const id = 'job_01a20870-daac-7509-af19-fa55bf3226f9';
const blob = `jobs/${id}/data`;
const folder = `/d/blobs/content/jobs/${id}`;

/** A job with a blob, acknowledged as it should be: one system call per line, as strace prints them. */
const lines = {
  made: `7 mkdir("${folder}", 0777) = 0`,
  parentSynced: '8 fsync(9</d/blobs/content/jobs>) = 0',
  written: '7 write(9</d/blobs/temporary/1>, "abc", 3) = 3',
  blobSyncBegins: '7 fsync(9</d/blobs/temporary/1> <unfinished ...>',
  blobSyncEnds: '7 <... fsync resumed>) = 0',
  renamed: `8 rename("/d/blobs/temporary/1", "/d/blobs/content/${blob}") = 0`,
  folderSynced: `7 fsync(9<${folder}>) = 0`,
  record: `5 pwrite64(4</d/trainyard.db-wal>, "\\0\\1${blob}\\0", 4096, 32) = 4096`,
  logSynced: '5 fdatasync(4</d/trainyard.db-wal>) = 0',
  answered: `5 write(20<TCP:[127.0.0.1:1->127.0.0.1:2]>, "HTTP/1.1 201 Created\\r\\nlocation: /v1/jobs/${id}\\r\\n", 90) = 90`,
};

const faultsOf = (...calls: string[]) => checkOrder(parseTrace(calls.join('\n')), '/d').faults;
const without = (name: keyof typeof lines) =>
  Object.entries(lines).flatMap(([key, line]) => (key === name ? [] : line));
const withLast = (name: keyof typeof lines) => [...without(name), lines[name]];

describe('the order of writes and syncs', () => {
  it('is right when everything is on the disk before what depends on it', () => {
    const order = checkOrder(parseTrace(Object.values(lines).join('\n')), '/d');
    expect(order).toEqual({ answers: 1, creations: 1, blobs: 1, directories: 1, faults: [] });
  });

  it.each([
    ['the log is not synced', without('logSynced'), /answered before the log was synced/],
    ['the log is synced after the answer', withLast('logSynced'), /answered before the log was synced/],
    ['the record is written after the answer', [...withLast('record'), lines.logSynced], /was acknowledged before/],
    ['the blob is not synced', without('blobSyncBegins'), /was renamed before it was synced/],
    ['the sync of the blob ends after its renaming', withLast('blobSyncEnds'), /was renamed before it was synced/],
    ['the record comes before the blob', withLast('renamed'), /a record names .* before it is there/],
    ['the directory of the blob is not synced', without('folderSynced'), /the directory of .* was not synced/],
    ['a new directory is not synced in its parent', without('parentSynced'), /was not synced in its parent/],
    [
      'the blob is written in place',
      [`7 openat(AT_FDCWD</>, "${folder}/data", O_WRONLY|O_CREAT, 0666) = 9<${folder}/data>`, ...Object.values(lines)],
      /was written in place/,
    ],
  ])('is wrong when %s', (_name, calls, fault) => {
    expect(faultsOf(...calls).join('\n')).toMatch(fault);
  });

  it('is right when a checkpoint is written once more that a record names already', () => {
    const { written, blobSyncBegins, blobSyncEnds, renamed, folderSynced } = lines;
    const again = [written, blobSyncBegins, blobSyncEnds, renamed, folderSynced];
    expect(faultsOf(...Object.values(lines), ...again)).toEqual([]);
  });

  it('of a real server is right, where strace can look', async () => {
    const problem = straceProblem();
    if (problem !== null) return expect(problem).toContain('the order of syncs was not looked at');
    const { faults, creations, blobs } = await traceServer();
    expect(faults).toEqual([]);
    expect(creations).toBe(7);
    expect(blobs).toBeGreaterThan(3);
  }, 60_000);
});
