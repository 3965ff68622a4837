/** From zod's issues to problems in plain words: every one with its pointer, its code and what would be right. */
import { closest, distance } from 'fastest-levenshtein';
import type { z } from 'zod';
import type { Problem, ProblemCode } from '../errors.ts';

type Issue = z.core.$ZodIssue;
type Path = readonly PropertyKey[];

/** A hand-written check reports with `code: 'custom'` and these `params`. */
export interface CheckParams {
  readonly code: ProblemCode;
  readonly allowed?: readonly string[];
  readonly did_you_mean?: string;
}

/** RFC 6901: `~` and `/` in a key are written `~0` and `~1`. */
export function jsonPointer(path: Path): string {
  return path.map((key) => `/${String(key).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
}

/** The name that was probably meant: the only one that begins like it, or one in which at most a third of the letters differ. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  if (known.length === 0 || name.length > 100) return undefined;
  const extended = known.filter((candidate) => name.length >= 3 && candidate.startsWith(name.toLowerCase()));
  if (extended.length === 1) return extended[0];
  const best = closest(name.toLowerCase(), [...known]);
  return distance(name.toLowerCase(), best) <= Math.max(1, Math.ceil(best.length / 3)) ? best : undefined;
}

/**
 * Zod's parse with every issue as a problem.
 * @param pointerOf how a path becomes a pointer: a JSON pointer for bodies, `?name` for queries.
 */
export function check<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
  pointerOf: (path: Path) => string = jsonPointer,
): { readonly data: z.output<Schema>; readonly problems?: never } | { readonly problems: readonly Problem[] } {
  const result = schema.safeParse(value, { error: keepKnownKeys });
  if (result.success) return { data: result.data };
  return { problems: result.error.issues.flatMap((issue) => problemsOf(issue, [], value, pointerOf)) };
}

/** Zod drops the schema that raised an issue, so the names that an object knows are put into the issue while it is there. */
function keepKnownKeys(issue: z.core.$ZodRawIssue): undefined {
  if (issue.code !== 'unrecognized_keys') return;
  const definition = issue.inst?._zod.def as { readonly shape?: object } | undefined;
  (issue as { known?: readonly string[] }).known = Object.keys(definition?.shape ?? {});
}

function problemsOf(issue: Issue, base: Path, root: unknown, pointerOf: (path: Path) => string): Problem[] {
  const path = [...base, ...issue.path];
  const at = (key: PropertyKey) => pointerOf([...path, key]);
  const found = valueAt(root, path);
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => unknownField(key, at(key), (issue as { known?: readonly string[] }).known ?? []));
    case 'invalid_key':
      return [
        {
          pointer: pointerOf(path),
          code: 'wrong_format',
          detail: `The key ${shown(path.at(-1))} cannot be used here.`,
        },
      ];
    case 'invalid_union':
      return unionProblems(issue, path, root, pointerOf);
    default:
      return [{ pointer: pointerOf(path), ...judge(issue, subject(path), found) }];
  }
}

function unknownField(key: string, pointer: string, known: readonly string[]): Problem {
  const meant = nearest(key, known);
  const hint = meant === undefined ? `Known here: ${known.join(', ') || 'no fields'}.` : `Did you mean ${meant}?`;
  return {
    pointer,
    code: 'unknown_field',
    detail: `There is no field ${shown(key)}. ${hint}`,
    allowed: known,
    did_you_mean: meant,
  };
}

/** A union's problems are those of the alternative that was meant: of the right JSON type, and nearest to valid. */
function unionProblems(
  issue: Extract<Issue, { code: 'invalid_union' }>,
  path: Path,
  root: unknown,
  pointerOf: (path: Path) => string,
): Problem[] {
  const found = valueAt(root, path);
  if (issue.errors.length === 0) {
    const names = 'options' in issue ? (issue.options as unknown[]).map(String) : [];
    return [{ pointer: pointerOf(path), ...unknownName(subject(path), found, names) }];
  }
  const ofType = issue.errors.filter((branch) => !branch.some((inner) => isTypeMismatch(inner, found)));
  if (ofType.length === 0) {
    const expected = [
      ...new Set(
        issue.errors
          .flat()
          .filter((inner) => inner.path.length === 0)
          .map(expectation),
      ),
    ];
    return [{ pointer: pointerOf(path), ...missingOrWrong(subject(path), found, expected.join(' or ')) }];
  }
  const names = ofType.every(
    (branch) => branch.length === 1 && branch[0].code === 'invalid_value' && branch[0].path.length === 0,
  )
    ? ofType.flatMap((branch) => (branch[0] as Extract<Issue, { code: 'invalid_value' }>).values.map(String))
    : [];
  if (names.length > 0) return [{ pointer: pointerOf(path), ...unknownName(subject(path), found, names) }];
  const nearestBranch = ofType.reduce((best, branch) => (weight(branch) < weight(best) ? branch : best));
  return nearestBranch.flatMap((inner) => problemsOf(inner, path, root, pointerOf));
}

function isTypeMismatch(issue: Issue, found: unknown): boolean {
  if (issue.path.length > 0) return false;
  if (issue.code === 'invalid_type') return true;
  return issue.code === 'invalid_value' && !issue.values.some((value) => typeof value === typeof found);
}

/** How far a branch is from valid: unknown and missing fields tell alternatives apart best. */
function weight(branch: readonly Issue[]): number {
  return branch.reduce((sum, issue) => sum + (issue.code === 'unrecognized_keys' ? 2 * issue.keys.length : 1), 0);
}

type Judgement = Omit<Problem, 'pointer'>;

function judge(issue: Issue, name: string, found: unknown): Judgement {
  switch (issue.code) {
    case 'invalid_type':
      return missingOrWrong(name, found, expectation(issue));
    case 'invalid_value':
      return unknownName(name, found, issue.values.map(String));
    case 'too_small':
      return bound(issue.origin, name, found, issue.inclusive ? 'at least' : 'greater than', issue.minimum);
    case 'too_big':
      return bound(issue.origin, name, found, issue.inclusive ? 'at most' : 'less than', issue.maximum);
    case 'not_multiple_of':
      return {
        code: 'out_of_range',
        detail: `${name} must be a multiple of ${issue.divisor}, but is ${shown(found)}.`,
      };
    case 'invalid_format':
      return {
        code: 'wrong_format',
        detail: `${name} ${explicit(issue) ?? `must be a valid ${issue.format}`}, but is ${shown(found)}.`,
      };
    case 'custom':
      return { code: 'invalid', ...(issue.params as Partial<CheckParams> | undefined), detail: issue.message };
    default:
      return { code: 'invalid', detail: `${name} cannot be used.` };
  }
}

/** A message written in the schema, as opposed to zod's own. */
const explicit = (issue: Issue): string | undefined => (/^Invalid /.test(issue.message) ? undefined : issue.message);

function bound(origin: string, name: string, found: unknown, relation: string, limit: number | bigint): Judgement {
  if (origin === 'number' || origin === 'int') {
    if (found === Infinity || found === -Infinity) return notFinite(name);
    return { code: 'out_of_range', detail: `${name} must be ${relation} ${limit}, but is ${shown(found)}.` };
  }
  const unit = origin === 'string' ? 'characters' : 'entries';
  const empty = origin === 'array' && Array.isArray(found) && found.length === 0;
  return { code: empty ? 'empty' : 'wrong_length', detail: `${name} must have ${relation} ${limit} ${unit}.` };
}

function unknownName(name: string, found: unknown, allowed: readonly string[]): Judgement {
  if (found === undefined)
    return { code: 'required', detail: `${name} must be given: one of ${allowed.join(', ')}.`, allowed };
  const meant = typeof found === 'string' ? nearest(found, allowed) : undefined;
  const hint = meant === undefined ? `It must be one of ${allowed.join(', ')}.` : `Did you mean ${meant}?`;
  return { code: 'unknown_name', detail: `${name} cannot be ${shown(found)}. ${hint}`, allowed, did_you_mean: meant };
}

function missingOrWrong(name: string, found: unknown, expected: string): Judgement {
  if (found === undefined) return { code: 'required', detail: `${name} must be given: ${expected}.` };
  if (found === Infinity || found === -Infinity) return notFinite(name);
  const actual = typeof found === 'number' ? shown(found) : typeName(found);
  return { code: 'wrong_type', detail: `${name} must be ${expected}, but is ${actual}.` };
}

function notFinite(name: string): Judgement {
  return { code: 'not_finite', detail: `${name} is too large for a float64; the largest is about 1.8e308.` };
}

const typeNames: Readonly<Record<string, string>> = {
  int: 'an integer',
  number: 'a number',
  string: 'a string',
  boolean: 'true or false',
  object: 'an object',
  record: 'an object',
  array: 'an array',
  null: 'null',
};

function expectation(issue: Issue): string {
  if (issue.code === 'invalid_type') return typeNames[issue.expected] ?? `of type ${issue.expected}`;
  if (issue.code === 'invalid_value') return issue.values.length === 1 ? shown(issue.values[0]) : 'one of its names';
  return 'something else';
}

function typeName(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'an array';
  return typeof value === 'boolean' ? String(value) : (typeNames[typeof value] ?? typeof value);
}

/** What the sentence is about: the last name of the path, with the index where it is an entry of an array. */
function subject(path: Path): string {
  const last = path.at(-1);
  if (last === undefined) return 'The body';
  if (typeof last !== 'number') return String(last);
  return `${path.length > 1 ? String(path.at(-2)) : 'entry'}[${last}]`;
}

function valueAt(root: unknown, path: Path): unknown {
  let value = root;
  for (const key of path) {
    if (value === null || typeof value !== 'object' || !Object.hasOwn(value, key)) return undefined;
    value = (value as Record<PropertyKey, unknown>)[key];
  }
  return value;
}

/** A value as a message may repeat it: as JSON, at most 60 characters. */
export function shown(value: unknown): string {
  if (typeof value === 'number') return String(value);
  if (typeof value === 'object' && value !== null) return typeName(value);
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}
