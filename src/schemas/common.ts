/** The wire vocabulary that every resource shares: numbers that may be non-finite, times, metadata, lists. */
import { z } from 'zod';
import { limits } from '../config.ts';
import type { CheckParams } from './issues.ts';

/** A float that may be non-finite: JSON has no NaN, so three strings stand for what it lacks. */
export const finiteOrNot = z.union([z.number(), z.literal('NaN'), z.literal('Infinity'), z.literal('-Infinity')]).meta({
  id: 'Float',
  description:
    'A float64. JSON has no NaN, so the strings "NaN", "Infinity" and "-Infinity" stand for what is not finite.',
});

export type WireFloat = z.output<typeof finiteOrNot>;

/** A number as it goes over the wire. */
export function toWire(value: number): WireFloat {
  return Number.isFinite(value) ? value : (String(value) as 'NaN' | 'Infinity' | '-Infinity');
}

/** The number that a wire value stands for. */
export const fromWire = (value: WireFloat): number => Number(value);

export const timestamp = z.iso
  .datetime()
  .meta({ description: 'RFC 3339, UTC.', examples: ['2026-01-31T12:00:00.000Z'] });

/** Milliseconds since 1970 as the wire writes them. */
export const toTimestamp = (milliseconds: number): string => new Date(milliseconds).toISOString();

/** What an id consists of; anything else does not exist. */
const idText = /^[\w-]{1,100}$/;

/** An id in a path. What is not found, or cannot be an id at all, is a 404. */
export const idParams = (kind: string, prefix: string) =>
  z.object({
    id: z
      .string()
      .regex(idText)
      .meta({ description: `The id of the ${kind}.`, examples: [`${prefix}_0198c5d2-7a3e-7bc1-9f00-5d3c1c0a8e21`] }),
  });

/** Text that every database can keep: without U+0000 and without half of a surrogate pair. */
export const text = (maximum: number) =>
  z
    .string()
    .min(1)
    .max(maximum)
    .refine((value) => value.isWellFormed() && !value.includes('\0'), {
      error: 'The text contains U+0000 or half of a surrogate pair, which cannot be kept.',
    });

/** Free JSON: what it contains is the client's own, but its numbers must be numbers. */
export const metadata = z
  .record(z.string(), z.unknown())
  .superRefine((value, context) => {
    for (const path of overflowingNumbers(value)) {
      const params: CheckParams = { code: 'not_finite' };
      context.addIssue({
        code: 'custom',
        path,
        params,
        message: 'The number is too large for a float64; the largest is about 1.8e308.',
      });
    }
  })
  .meta({
    description: 'Labels of your own, at most 16 KiB as JSON; lists can be filtered by them.',
    examples: [{ team: 'a' }],
  });

function* overflowingNumbers(value: unknown, path: PropertyKey[] = []): Generator<PropertyKey[]> {
  if (typeof value === 'number' && !Number.isFinite(value)) yield path;
  if (typeof value !== 'object' || value === null) return;
  const isArray = Array.isArray(value);
  for (const [key, entry] of Object.entries(value))
    yield* overflowingNumbers(entry, [...path, isArray ? Number(key) : key]);
}

/** A query parameter that is a whole number. */
export const queryInteger = (minimum: number, maximum: number) =>
  z.coerce.number<string>().pipe(z.int().min(minimum).max(maximum));

/** A query parameter that is a flag: `true`, `false`, or present without a value. */
export const queryFlag = z.enum(['true', 'false', '']).transform((text) => text !== 'false');

/** `?limit=20&after=<id>`. The upper bound of `limit` is the default of the service's limit; a smaller one cuts the page. */
export const listQuery = z.strictObject({
  limit: queryInteger(1, limits.max_page_size.default)
    .default(20)
    .meta({ description: 'The most entries to return.', examples: [20] }),
  after: z
    .string()
    .regex(idText, 'must be the id of an entry')
    .optional()
    .meta({ description: 'The id of the last entry already seen: the page starts behind it.' }),
});

export type ListQuery = z.output<typeof listQuery>;

/** A page of a list, newest first. */
export const listOf = <Entry extends z.ZodType>(entry: Entry, id: string) =>
  z
    .strictObject({
      data: z.array(entry),
      has_more: z.boolean().meta({ description: 'Whether there is a next page; the header `Link` has its URL.' }),
    })
    .meta({ id, description: 'A page, newest first.' });

/** What a service hands to a route as a page. */
export interface WirePage<Entry> {
  readonly data: Entry[];
  readonly has_more: boolean;
}

/** The names of a table as zod's enums want them: a non-empty tuple. */
export function names<Table extends object>(table: Table): [keyof Table & string, ...(keyof Table & string)[]] {
  return Object.keys(table) as [keyof Table & string, ...(keyof Table & string)[]];
}
