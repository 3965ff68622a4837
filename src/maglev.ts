/**
 * V8 13.6 (Node 24) miscompiles objects that are written out with numbers in them, `{ mean, std }`: where more threads
 * than there are cores want the processor, all objects that one piece of code makes share their numbers, once in a
 * thousand jobs. It has not been seen without the compiler Maglev, whose crashes in Node 24.15 and later are
 * nodejs/node#64841. Not to be turned off later: a process whose threads are compiling by then dies of it.
 */
const isAffected = process.versions.v8.startsWith('13.');

/** What to tell whoever has started the process without `--no-maglev`; null where nothing is wrong. */
export function maglevWarning(args: readonly string[] = process.execArgv): string | null {
  if (!isAffected || args.includes('--no-maglev')) return null;
  return (
    `Numbers may come out wrong now and then: Node ${process.versions.node} was started with a compiler that has a fault. ` +
    'Start it as `node --no-maglev src/server.ts`, or with `npm start`.'
  );
}
