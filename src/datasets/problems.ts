/** What is wrong with a data set: collected, so that one answer names several places, and thrown when it is enough. */

/** Codes of the registry of problems that reading can find; the service passes them on. */
export type DatasetProblemCode =
  | 'invalid'
  | 'wrong_type'
  | 'wrong_format'
  | 'not_finite'
  | 'ragged_rows'
  | 'row_mismatch'
  | 'empty'
  | 'required'
  | 'unknown_field'
  | 'unknown_name'
  | 'not_allowed'
  | 'limit_exceeded'
  | 'target_domain';

export interface DatasetProblem {
  readonly pointer: string;
  readonly code: DatasetProblemCode;
  readonly detail: string;
}

/** Reading ends at so many problems. */
const maxProblems = 20;

export class DatasetError extends Error {
  override readonly name = 'DatasetError';
  readonly problems: readonly DatasetProblem[];

  constructor(problems: readonly DatasetProblem[], options?: ErrorOptions) {
    super(problems[0]?.detail ?? 'The data set cannot be read.', options);
    this.problems = problems;
  }
}

/** A single problem that ends the reading. */
export function refuseData(code: DatasetProblemCode, detail: string, pointer = ''): never {
  throw new DatasetError([{ pointer, code, detail }]);
}

export class Problems {
  readonly #found: DatasetProblem[] = [];

  add(code: DatasetProblemCode, detail: string, pointer = ''): void {
    this.#found.push({ pointer, code, detail });
    if (this.#found.length >= maxProblems) this.throwIfAny();
  }

  throwIfAny(): void {
    if (this.#found.length > 0) throw new DatasetError(this.#found);
  }
}
