/** Errors on their way between threads: an Error loses its class on the way, its code must not get lost. */
import type { CodedError } from './request.ts';

/** What V8 says when an array, an ArrayBuffer or a WebAssembly memory cannot be had. */
const allocationFailure = /alloc|out of memory|invalid (typed )?array length/i;

export function codedError(thrown: unknown): CodedError {
  if (!(thrown instanceof Error)) return { code: 'internal_error', message: String(thrown) };
  if ('code' in thrown && typeof thrown.code === 'string') return { code: thrown.code, message: thrown.message };
  if (thrown instanceof RangeError && allocationFailure.test(thrown.message)) {
    return { code: 'out_of_memory', message: `the job needs more memory than there is: ${thrown.message}` };
  }
  return { code: thrown instanceof RangeError ? 'invalid_request' : 'internal_error', message: thrown.message };
}
