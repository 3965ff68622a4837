/** What a job is warned of when it is created. */
import type { NetworkDefinition } from '../engine/definition.ts';
import type { JobWarning } from '../schemas/job-warnings.ts';
import { lint } from './lint.ts';

/** The warnings of the definition, with pointers and patches for a job that holds it inline. */
export function lintJob(definition: NetworkDefinition): JobWarning[] {
  return lint(definition).map(({ code, pointer, detail, patch }) => ({
    code,
    level: 'warning',
    pointer: `/network${pointer}`,
    detail,
    patch: patch.map((operation) => ({ ...operation, path: `/network${operation.path}` })),
  }));
}
