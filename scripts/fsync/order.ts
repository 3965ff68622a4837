/**
 * What must have reached the disk before what: in a trace of the server's system calls,
 *
 * - the record of whatever an answer says has been created is in the write-ahead log, and synced, before the answer,
 * - a blob is written to a temporary file, synced, renamed, and its directory synced, before a record names it,
 * - a directory that is made is synced in its parent before a record names what is in it.
 */
import { dirname, join } from 'node:path';
import type { Call } from './trace.ts';

export interface Order {
  /** Answers that were looked at. */
  readonly answers: number;
  /** Of these, those that say what they have created. */
  readonly creations: number;
  readonly blobs: number;
  readonly directories: number;
  readonly faults: readonly string[];
}

const writes = new Set(['write', 'writev', 'pwrite64', 'pwritev', 'pwritev2', 'sendto', 'sendmsg']);
const syncs = new Set(['fsync', 'fdatasync']);

/** The two paths of a rename. */
const paths = (text: string): string[] => [...text.matchAll(/"([^"]*)"/g)].map(([, path]) => path!);

/** Whether the path was synced by a call that began after one line and had ended before another. */
const isSynced = (calls: readonly Call[], path: string, after: number, before: number): boolean =>
  calls.some(
    (call) => syncs.has(call.name) && !call.failed && call.path === path && call.began > after && call.ended < before,
  );

export function checkOrder(calls: readonly Call[], dataDir: string): Order {
  const log = join(dataDir, 'trainyard.db-wal');
  const done = calls.filter(({ failed }) => !failed);
  const logged = done.filter(({ name, path }) => writes.has(name) && path === log);
  const content = join(dataDir, 'blobs', 'content');
  /** When a record that holds this text begins to be written. */
  const recordOf = (text: string, from = 0): number =>
    logged.find((call) => call.began >= from && call.text.includes(text))?.began ?? Number.POSITIVE_INFINITY;

  const answers = done.filter(
    ({ name, path, text }) => writes.has(name) && path.startsWith('TCP') && text.includes('"HTTP/1.1 2'),
  );
  const faults: string[] = [];
  let creations = 0;
  for (const { text, began } of answers) {
    const id = /location: \/v1\/\w+\/(\w+_[0-9a-f-]{36})/i.exec(text)?.[1];
    if (id === undefined) continue;
    creations += 1;
    const record = logged.find((call) => call.text.includes(id));
    if (record === undefined || record.began > began)
      faults.push(`line ${began + 1}: ${id} was acknowledged before its record was written`);
    // Another transaction may be on its way already: what counts is a sync since this record was written.
    else if (!isSynced(calls, log, record.ended, began))
      faults.push(
        `line ${began + 1}: answered before the log was synced, which was written in line ${record.began + 1}`,
      );
  }

  const renames = done.filter(({ name, text }) => name.startsWith('rename') && paths(text)[1]?.startsWith(content));
  for (const { text, began, ended } of renames) {
    const [from, to] = paths(text) as [string, string];
    const written = done.findLast((call) => writes.has(call.name) && call.path === from && call.began < began);
    const key = to.slice(content.length + 1);
    const named = recordOf(key, ended);
    if (written === undefined || !isSynced(calls, from, written.ended, began))
      faults.push(`line ${began + 1}: ${key} was renamed before it was synced`);
    // What is written once more, such as the checkpoint of a step at which a pause came, may be named already.
    const isFirst = !renames.some((call) => call.ended < began && paths(call.text)[1] === to);
    if (isFirst && recordOf(key) < began)
      faults.push(`line ${recordOf(key) + 1}: a record names ${key} before it is there`);
    if (!isSynced(calls, dirname(to), ended, named))
      faults.push(`line ${began + 1}: the directory of ${key} was not synced before a record named it`);
  }
  // A blob that is opened for writing under its own name could be seen half written.
  for (const { name, text, began } of done) {
    const path = paths(text)[0] ?? '';
    if (name === 'openat' && path.startsWith(`${content}/`) && /O_WRONLY|O_RDWR/.test(text))
      faults.push(`line ${began + 1}: ${path} was written in place`);
  }

  const made = done.filter(({ name, text }) => name === 'mkdir' && paths(text)[0]?.startsWith(`${content}/`));
  for (const { text, began, ended } of made) {
    const path = paths(text)[0]!;
    const named = recordOf(`${path.slice(content.length + 1)}/`, ended);
    if (!isSynced(calls, dirname(path), ended, named))
      faults.push(`line ${began + 1}: ${path} was not synced in its parent before a record named what is in it`);
  }
  return { answers: answers.length, creations, blobs: renames.length, directories: made.length, faults };
}
