/** Ids: a prefix that names the resource and a UUIDv7, so that ids sort by the time they were made. */
import { v7 } from 'uuid';

export const idPrefixes = { network: 'net', dataset: 'ds', job: 'job' } as const;
export type IdKind = keyof typeof idPrefixes;

/**
 * A new id such as `job_0198c5d2-7a3e-7bc1-9f00-5d3c1c0a8e21`; ids of one process ascend, also within a millisecond.
 * Source: RFC 9562 §5.7 and §6.2 (method 1, a counter).
 */
export function newId(kind: IdKind): string {
  return `${idPrefixes[kind]}_${v7()}`;
}
