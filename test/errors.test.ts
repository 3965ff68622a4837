import { describe, expect, it } from 'vitest';
import { errorCodes, errors, ProblemError, problemCodes, problemError, refuse } from '../src/errors.ts';

describe('the registry of errors', () => {
  it.each(errorCodes)('%s has a 4xx or 5xx status and texts for people', (code) => {
    const { status, title, description } = errors[code];
    expect(status).toBeGreaterThanOrEqual(400);
    expect(status).toBeLessThan(600);
    expect(title).not.toMatch(/\.$/);
    expect(description).toMatch(/\.$/);
    expect(code).toMatch(/^[a-z]+(_[a-z]+)*$/);
  });

  it('problem codes are described in whole sentences', () => {
    for (const text of Object.values(problemCodes)) expect(text).toMatch(/^[A-Z].*\.$/);
  });
});

describe('refusing a request', () => {
  const problem = { pointer: '/a', code: 'required', detail: 'a must be given.' } as const;
  const limited = { ...problem, limit: { name: 'max_units', value: 1, estimate: 2 } };

  it('does nothing without a problem', () => {
    expect(() => refuse([])).not.toThrow();
  });

  it('throws all problems with the status of the code', () => {
    expect(() => refuse([problem, limited], 'limit_exceeded')).toThrow(ProblemError);
    const error = problemError([problem, limited], 'limit_exceeded');
    expect(error.status).toBe(422);
    expect(error.message).toBe('2 problems; the first: a must be given.');
    expect(error.members).toEqual({ errors: [problem, limited], limit: limited.limit });
  });
});
