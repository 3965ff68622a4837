import { runInNewContext } from 'node:vm';

/**
 * Frees the memory of WebAssembly and the shared data that nothing in this thread refers to any more, and gives pages of
 * the heap back to the system. By itself the collector comes when the next run has taken its own memory beside it, or, in
 * a thread that rests, not at all. Does nothing before `prepareMachine` has made V8's `gc` known to new contexts: a process
 * that was started with `--expose-gc` would compile Node's own modules anew.
 */
export function collectGarbage(): void {
  runInNewContext("globalThis.gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' })");
}
