import { runInNewContext } from 'node:vm';

/**
 * Frees the memory of WebAssembly and the shared data that nothing in this thread refers to any more, and gives pages of
 * the heap back to the system. By itself the collector comes when the next run has taken its own memory beside it, or, in
 * a thread that rests, not at all. Does nothing before `prepareMachine` has made V8's `gc` known to new contexts: a process
 * that was started with `--expose-gc` would compile Node's own modules anew. The `last-resort` gives back all it can and
 * takes twice as long as the `regular` one.
 */
export function collectGarbage(flavor: 'regular' | 'last-resort' = 'last-resort'): void {
  runInNewContext("globalThis.gc?.({ type: 'major', execution: 'sync', flavor })", { flavor });
}
