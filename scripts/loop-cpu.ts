/**
 * Loaded into a server by `--import <this file>?file=<path>`: how much processor time its main thread takes between two turns of its event
 * loop. Unlike the time on the clock it does not count what other processes of a busy machine take away.
 */
import { writeFileSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';

const resolution = 5;

/** Writes the largest number of milliseconds so far into the file at every SIGUSR2, and begins anew. */
function watch(path: string): void {
  let last = process.threadCpuUsage();
  let longest = 0;
  setInterval(() => {
    const { user, system } = process.threadCpuUsage(last);
    longest = Math.max(longest, (user + system) / 1000);
    last = process.threadCpuUsage();
  }, resolution).unref();
  process.on('SIGUSR2', () => {
    writeFileSync(path, String(longest));
    longest = 0;
  });
}

const file = new URL(import.meta.url).searchParams.get('file');
if (isMainThread && file !== null) watch(file);
